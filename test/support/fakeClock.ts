/** A clock that moves only when told to. */
import type { Clock } from "../../src/controller/types.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export interface FakeClock extends Clock {
  /** Somebody sets the time of day, by so many milliseconds. */
  setTimeOfDay(by: number): void;
  /** Runs every timer that falls due within `milliseconds`, in order, with all promises settled in between. */
  advance(milliseconds: number): Promise<void>;
  /** Advances until `done` holds; rejects after `limitMs` of this clock's time. */
  until(done: () => boolean, limitMs?: number): Promise<void>;
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function createFakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let set = 0;
  let order = 0;
  const timers = new Set<Timer>();
  const next = (): Timer | undefined => {
    let found: Timer | undefined;
    for (const timer of timers)
      if (found === undefined || timer.at < found.at || (timer.at === found.at && timer.order < found.order))
        found = timer;
    return found;
  };
  const advance = async (milliseconds: number): Promise<void> => {
    const end = now + milliseconds;
    await settle();
    for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) {
      timers.delete(timer);
      now = Math.max(now, timer.at);
      timer.run();
      await settle();
    }
    now = end;
  };
  return {
    now: () => now,
    timeOfDay: () => now + set,
    setTimeOfDay: (by) => void (set += by),
    setTimeout(run, milliseconds) {
      const timer: Timer = { at: now + Math.max(0, milliseconds), order: (order += 1), run };
      timers.add(timer);
      return timer;
    },
    clearTimeout: (timer) => void timers.delete(timer as Timer),
    advance,
    async until(done, limitMs = 300_000) {
      await settle();
      for (const end = now + limitMs; !done();) {
        if (now >= end) throw new Error(`not so after ${limitMs} ms of the clock's time`);
        const timer = next();
        await advance(Math.max(1, Math.min(timer === undefined ? 1000 : timer.at - now, end - now)));
      }
    },
  };
}
