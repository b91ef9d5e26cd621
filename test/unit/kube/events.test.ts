import { expect, test, vi } from "vitest";
import type { Connection } from "../../../src/kube/connection.ts";
import { EventRecorder, microTime } from "../../../src/kube/events.ts";

test("an object that has much to tell goes on telling: a burst of 10, then one Event per 30 s", async () => {
  const notes: string[] = [];
  const request = async (_verb: string, _path: string, { body }: { body: { note: string } }): Promise<unknown> =>
    notes.push(body.note);
  let now = 0;
  const recorder = new EventRecorder({
    connection: { request } as unknown as Connection,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    instance: "test",
    find: () => undefined,
    clock: () => now,
  });
  const ref = { kind: "SipRouter", namespace: "default", name: "edge" } as const;
  for (let count = 0; count < 60; count += 1, now += 10_000)
    recorder.emit(ref, { type: "Normal", reason: "Reloaded", message: `revision ${count}` });
  await recorder.flush();
  // ten minutes refill 20
  expect(notes.length).toBeGreaterThanOrEqual(29);
  expect(notes.length).toBeLessThanOrEqual(30);
  expect(notes.slice(0, 10)).toEqual(Array.from({ length: 10 }, (_, count) => `revision ${count}`));
  expect(Number(notes.at(-1)?.split(" ")[1])).toBeGreaterThan(50);
});

test("goes on when the time of day is set back, and writes down the new one", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const times: string[] = [];
  const request = async (_verb: string, _path: string, { body }: { body: { eventTime: string } }): Promise<unknown> =>
    times.push(body.eventTime);
  const recorder = new EventRecorder({
    connection: { request } as unknown as Connection,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    instance: "test",
    find: () => undefined,
  });
  const emit = (message: string): void =>
    recorder.emit(
      { kind: "SipRouter", namespace: "default", name: "edge" },
      { type: "Normal", reason: "Ready", message },
    );
  emit("before");
  vi.setSystemTime(Date.now() - 3_600_000);
  emit("after");
  await recorder.flush();
  expect(times).toHaveLength(2);
  expect(times.at(-1)).toBe(microTime(Date.now()));
  vi.useRealTimers();
});
