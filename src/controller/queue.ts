/**
 * A deduplicating keyed queue. The first event acts at once, what comes while its key waits or runs is one more run; a
 * key never runs twice at once; a run that throws is repeated with exponential backoff.
 */
import type { Key } from "../api/index.ts";
import type { Clock } from "./types.ts";

export interface RunInfo {
  /** when the oldest event that this run answers was added, milliseconds since the epoch */
  readonly addedAt: number;
  /** failures of this key in a row before this run */
  readonly failures: number;
  /** the queue is being stopped: what is under way is ended, nothing new is begun */
  readonly isStopping: () => boolean;
}
/** Milliseconds until the key is to run again without an event; undefined: not. */
export type RunResult = number | undefined;

/** How one run went; times in seconds. */
export interface QueueRun {
  readonly waited: number;
  readonly worked: number;
  readonly failed: boolean;
}

export interface QueueOptions {
  readonly clock: Clock;
  readonly run: (key: Key, info: RunInfo) => Promise<RunResult>;
  /** keys that run at once; asked whenever one could begin, at least 1 */
  readonly parallel: () => number;
  /** 0 to 1 */
  readonly random: () => number;
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
  readonly onError?: (key: Key, error: unknown, retryInMs: number) => void;
  readonly onRun?: (key: Key, run: QueueRun) => void;
  /** a key that did not wait begins to */
  readonly onAdd?: (key: Key) => void;
  readonly onDepth?: (depth: number) => void;
}

export interface Queue {
  add(key: Key): void;
  /** runs the key in at most `milliseconds`; an earlier run answers it too */
  addAfter(key: Key, milliseconds: number): void;
  /** the key is gone: no delayed run, no memory of failures; a run under way goes on */
  forget(key: Key): void;
  /** resolves when the run of the key that is under way has ended; at once where none is */
  settled(key: Key): Promise<void>;
  /** no key waits to run or runs (delayed ones may be there) */
  idle(): boolean;
  /** keys wait because as many as may run at once do */
  isFull(): boolean;
  /** resolves when runs under way have ended; nothing runs after */
  stop(): Promise<void>;
}

interface Delayed {
  readonly at: number;
  readonly timer: unknown;
}

export function createQueue(options: QueueOptions): Queue {
  const { clock, random } = options;
  const backoff = options.backoff ?? { firstMs: 50, maxMs: 60_000 };
  const waiting = new Map<Key, number>();
  const running = new Map<Key, Promise<void>>();
  const delayed = new Map<Key, Delayed>();
  const failures = new Map<Key, number>();
  let stopped = false;

  const cancelDelay = (key: Key): void => {
    const found = delayed.get(key);
    if (found !== undefined) clock.clearTimeout(found.timer);
    delayed.delete(key);
  };

  const add = (key: Key): void => {
    if (stopped) return;
    if (!waiting.has(key)) {
      waiting.set(key, clock.now());
      options.onAdd?.(key);
    }
    options.onDepth?.(waiting.size);
    pump();
  };

  const addAfter = (key: Key, milliseconds: number): void => {
    if (stopped) return;
    if (milliseconds <= 0) return add(key);
    const at = clock.now() + milliseconds;
    const found = delayed.get(key);
    if (found !== undefined && found.at <= at) return;
    cancelDelay(key);
    const timer = clock.setTimeout(() => {
      delayed.delete(key);
      add(key);
    }, milliseconds);
    delayed.set(key, { at, timer });
  };

  const pump = (): void => {
    for (const [key, addedAt] of waiting) {
      if (stopped || running.size >= options.parallel()) return;
      if (running.has(key)) continue;
      waiting.delete(key);
      cancelDelay(key);
      // a run may add its own key before it waits for anything
      running.set(key, Promise.resolve());
      running.set(key, start(key, addedAt));
    }
  };

  const start = async (key: Key, addedAt: number): Promise<void> => {
    const began = clock.now();
    let failed = false;
    try {
      const again = await options.run(key, { addedAt, failures: failures.get(key) ?? 0, isStopping: () => stopped });
      failures.delete(key);
      if (again !== undefined) addAfter(key, again);
    } catch (error) {
      failed = true;
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(count, 30));
      const wait = full * (0.5 + random() / 2);
      options.onError?.(key, error, wait);
      addAfter(key, wait);
    } finally {
      running.delete(key);
      options.onRun?.(key, { waited: (began - addedAt) / 1000, worked: (clock.now() - began) / 1000, failed });
      options.onDepth?.(waiting.size);
      pump();
    }
  };

  return {
    add,
    addAfter,
    forget(key) {
      cancelDelay(key);
      waiting.delete(key);
      failures.delete(key);
    },
    settled: async (key) => running.get(key),
    idle: () => waiting.size === 0 && running.size === 0,
    isFull: () => waiting.size > 0 && running.size >= options.parallel(),
    async stop() {
      stopped = true;
      for (const key of delayed.keys()) cancelDelay(key);
      waiting.clear();
      await Promise.allSettled(running.values());
    },
  };
}
