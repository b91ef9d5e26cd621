import { describe, expect, test } from "vitest";
import { createQueue, type QueueOptions } from "../../../src/controller/queue.ts";
import { createFakeClock } from "../../support/fakeClock.ts";

const make = (run: QueueOptions["run"], more: Partial<QueueOptions> = {}) => {
  const clock = createFakeClock();
  const queue = createQueue({ clock, run, parallel: () => 2, random: () => 1, ...more });
  return { clock, queue };
};
const gate = () => Promise.withResolvers<undefined>();

describe("the queue", () => {
  test("acts on the first event at once and answers a burst during the run by one more run, never two at a time", async () => {
    const open = [gate(), gate(), gate()];
    let runs = 0;
    const { clock, queue } = make(() => open[(runs += 1) - 1]?.promise ?? Promise.resolve(undefined));
    queue.add("a");
    expect(runs).toBe(1);
    for (let count = 0; count < 10; count += 1) queue.add("a");
    await clock.advance(10);
    expect(runs).toBe(1);
    open[0]?.resolve(undefined);
    await clock.advance(0);
    expect(runs).toBe(2);
    open[1]?.resolve(undefined);
    await clock.advance(10_000);
    expect(runs).toBe(2);
    expect(queue.idle()).toBe(true);
  });

  test("a run that adds its own key before it waits for anything is followed by one more, not joined by it", async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { clock, queue } = make(async () => {
      running += 1;
      runs += 1;
      most = Math.max(most, running);
      if (runs === 1) queue.add("a");
      await Promise.resolve();
      running -= 1;
      return undefined;
    });
    queue.add("a");
    await clock.advance(10);
    expect([runs, most]).toEqual([2, 1]);
  });

  test("runs no more keys at once than it may, and each waiting key in its turn", async () => {
    const gates = new Map(["a", "b", "c"].map((key) => [key, gate()]));
    const order: string[] = [];
    const { clock, queue } = make((key) => {
      order.push(key);
      return gates.get(key)?.promise ?? Promise.resolve(undefined);
    });
    for (const key of gates.keys()) queue.add(key);
    await clock.advance(0);
    expect(order).toEqual(["a", "b"]);
    gates.get("b")?.resolve(undefined);
    await clock.advance(0);
    expect(order).toEqual(["a", "b", "c"]);
  });

  test("says when keys wait because as many run as may, and takes up more as soon as more may", async () => {
    const gates = new Map(["a", "b", "c", "d"].map((key) => [key, gate()]));
    let most = 1;
    const order: string[] = [];
    const { clock, queue } = make(
      (key) => {
        order.push(key);
        return gates.get(key)?.promise ?? Promise.resolve(undefined);
      },
      { parallel: () => most },
    );
    queue.add("a");
    expect(queue.isFull()).toBe(false);
    for (const key of ["b", "c", "d"]) queue.add(key);
    expect([order, queue.isFull()]).toEqual([["a"], true]);
    most = 3;
    gates.get("a")?.resolve(undefined);
    await clock.advance(0);
    expect([order, queue.isFull()]).toEqual([["a", "b", "c", "d"], false]);
  });

  test("repeats a run that throws ever later up to the limit, and forgets that after a good one", async () => {
    const waits: number[] = [];
    let broken = true;
    const { clock, queue } = make(async () => (broken ? Promise.reject(new Error("no")) : undefined), {
      backoff: { firstMs: 100, maxMs: 500 },
      onError: (_key, _error, wait) => void waits.push(wait),
    });
    queue.add("a");
    await clock.advance(100 + 200 + 400 + 500);
    expect(waits).toEqual([100, 200, 400, 500, 500]);
    broken = false;
    await clock.advance(500);
    broken = true;
    queue.add("a");
    await clock.advance(0);
    expect(waits.at(-1)).toBe(100);
  });

  test("the earliest of several delays counts and an event makes it void", async () => {
    const at: number[] = [];
    const { clock, queue } = make(async () => void at.push(clock.now()) as undefined);
    const start = clock.now();
    queue.addAfter("a", 500);
    queue.addAfter("a", 200);
    queue.addAfter("a", 900);
    await clock.advance(1000);
    expect(at.map((time) => time - start)).toEqual([200]);
    queue.addAfter("a", 500);
    queue.add("a");
    await clock.advance(2000);
    expect(at).toHaveLength(2);
  });

  test("runs a key again after the time that its run asked for, but not once it is forgotten or stopped", async () => {
    let runs = 0;
    const { clock, queue } = make(async () => {
      runs += 1;
      return 100;
    });
    queue.add("a");
    await clock.advance(250);
    expect(runs).toBe(3);
    queue.forget("a");
    await clock.advance(1000);
    expect(runs).toBe(3);
    await queue.stop();
    queue.add("a");
    await clock.advance(1000);
    expect(runs).toBe(3);
  });
});
