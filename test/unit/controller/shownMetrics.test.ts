/** Metrics of pods and routers that are not there any more, or do not run: alarms look at them. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PodView } from "../../../src/cluster/index.ts";
import { createMetrics, type OperatorMetrics } from "../../../src/server/metrics.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
let metrics: OperatorMetrics;
beforeEach(async () => {
  metrics = createMetrics("1");
  bench = createBench({ metrics: metrics.controller });
  for (const object of [backend("pbx-1"), backend("pbx-2"), router()]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  await bench.clock.advance(5000);
});
afterEach(() => bench.stop());

const pods = (): readonly PodView[] => bench.cluster.pods("default/edge");
const shown = async (part: string): Promise<string[]> =>
  (await metrics.registry.metrics()).split("\n").filter((line) => line.startsWith("siprouter_") && line.includes(part));
const active = async (): Promise<number> =>
  Number((await shown('siprouter_destinations{namespace="default",router="edge",state="Active"}'))[0]?.split(" ")[1]);

/** Resolves when a reading of the pod is under way, which is answered only when `answer` is called. */
const whileRead = async (ip: string): Promise<{ answer: () => void }> => {
  const answered = Promise.withResolvers<void>();
  let asked = false;
  bench.kamailios.before = (host) => {
    if (host !== ip) return Promise.resolve();
    asked = true;
    return answered.promise;
  };
  await bench.clock.until(() => asked);
  return { answer: answered.resolve };
};

test("a pod that begins to end while it is read", async () => {
  const [pod] = pods() as [PodView];
  expect(await shown(`siprouter_active_calls{namespace="default",router="edge",pod="${pod.name}"}`)).toHaveLength(1);
  const { answer } = await whileRead(pod.ip);
  bench.cluster.setPod(pod.name, { terminating: true, ready: false });
  await bench.clock.advance(100);
  answer();
  await bench.clock.advance(100);
  bench.cluster.deletePod(pod.name);
  await bench.clock.advance(60_000);
  expect(await shown(`pod="${pod.name}"`)).toEqual([]);
});

test("a router that is deleted while its pods are read and changed", async () => {
  const [pod] = pods() as [PodView];
  bench.cluster.put(backend("pbx-2", { adminState: "Disabled" }));
  await bench.clock.advance(5000);
  for (const name of ["reloads_total", "change_to_effect_seconds_count", "active_calls"])
    expect(await shown(`siprouter_${name}{`)).not.toEqual([]);
  const { answer } = await whileRead(pod.ip);
  bench.cluster.put(backend("pbx-2"));
  await bench.clock.advance(100);
  bench.cluster.remove("SipRouter", "default", "edge");
  await bench.clock.advance(100);
  answer();
  await bench.clock.advance(60_000);
  expect(await shown('router="edge"')).toEqual([]);
});

test("destinations of a pod that does not run are not counted, and again when it does", async () => {
  const [pod] = pods() as [PodView];
  expect(await active()).toBe(6);
  bench.kamailios.at(pod.ip).up = false;
  bench.cluster.setPod(pod.name, { ready: false, running: false, message: "CrashLoopBackOff" });
  await bench.clock.advance(60_000);
  expect(await active()).toBe(4);
  bench.kamailios.restart(pod.ip);
  bench.cluster.setPod(pod.name, { ready: true, running: true, message: "" });
  await bench.clock.advance(60_000);
  expect(await active()).toBe(6);
});
