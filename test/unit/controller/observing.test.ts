/** What is told of a change. */
import { afterEach, expect, test } from "vitest";
import type { PodView } from "../../../src/cluster/index.ts";
import { conditionOf } from "../../../src/status/index.ts";
import { backend, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(() => bench.stop());

const started = async (options: Parameters<typeof createBench>[0] = {}): Promise<void> => {
  bench = createBench(options);
  for (const object of [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
};
const told = (reason: string): number => bench.cluster.events.filter((event) => event.reason === reason).length;

test("a status that could not be written at first loses no Event", async () => {
  await started();
  let failures = 2;
  bench.cluster.onWrite = (what) => {
    if (!what.startsWith("status SipRouter") || failures === 0) return;
    failures -= 1;
    throw new Error("the API server is away");
  };
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.until(() => told("Reloaded") > 0);
  await bench.clock.advance(60_000);
  expect([failures, told("Reloaded")]).toEqual([0, 1]);
});

test("how long a change took does not count for how long the one before it was stopped", async () => {
  await started();
  bench.kamailios.onCall = (_host, method) => {
    if (method === "dispatcher.add") throw new Error("refused");
    return undefined;
  };
  bench.cluster.put(router(setOf("pbx-1", "pbx-2", "pbx-3")));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
  await bench.clock.advance(3_600_000);
  bench.kamailios.onCall = () => undefined;
  bench.cluster.put(router(setOf("pbx-1")));
  await bench.clock.until(() => bench.seconds.length > 0);
  expect(bench.seconds.at(-1)).toBeLessThan(60);
});

test("pods are read in turn with no more requests a second than are allowed, however many a reading takes", async () => {
  await started({ requestsOfReading: 12, tuning: { requestsPerSecond: 24 } });
  for (const name of ["a", "b"]) bench.cluster.put(router({ replicas: 3 }, name));
  await bench.clock.until(() => bench.condition("Ready", "a") === "True Ready");
  await bench.clock.until(() => bench.condition("Ready", "b") === "True Ready");
  // what is known of a reading at first is how many requests they usually take
  await bench.clock.advance(10_000);
  const asked = new Map<string, number>();
  bench.kamailios.after = (host) => void asked.set(host, (asked.get(host) ?? 0) + 1);
  await bench.clock.advance(60_000);
  const all = [...asked.values()].reduce((sum, count) => sum + count, 0);
  expect(all).toBeLessThanOrEqual(60 * 24 + 12);
  expect(all).toBeGreaterThan(60 * 24 * 0.9);
  expect(Math.max(...asked.values()) - Math.min(...asked.values())).toBeLessThanOrEqual(12);
});

test("a pod that is cut off is called so until it answers, whatever is edited and whichever operator looks", async () => {
  await started();
  await bench.clock.advance(5000);
  const [{ ip }] = bench.cluster.pods("default/edge") as [PodView];
  bench.kamailios.at(ip).up = false;
  const reasons: string[] = [];
  bench.cluster.onStatus = ({ kind }, status) => {
    const reason = conditionOf(status, "Programmed")?.reason;
    if (kind === "SipRouter" && reason !== undefined && reasons.at(-1) !== reason) reasons.push(reason);
  };
  await bench.clock.advance(120_000);
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.advance(120_000);
  await bench.restart();
  await bench.clock.advance(120_000);
  expect(reasons).toEqual(["NotAnswering"]);
  expect(told("NotAnswering")).toBe(1);
  bench.kamailios.at(ip).up = true;
  await bench.clock.until(() => bench.condition("Programmed") === "True Programmed");
});
