/** A Kamailio that starts is told which destinations do not answer, though no other pod is left that knows. */
import { afterEach, expect, test } from "vitest";
import type { PodView } from "../../../src/cluster/index.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(() => bench.stop());

const pods = (): readonly PodView[] => bench.cluster.pods("default/edge");
const destinations = (ip: string) => bench.kamailios.at(ip).destinations;
const dead = (ip: string) => destinations(ip).find((one) => one.uri.includes("192.0.2.1:"))?.state;
const started = async (replicas: number): Promise<void> => {
  bench = createBench();
  for (const object of [backend("pbx-1"), backend("pbx-2"), router({ replicas })]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  for (const { ip } of pods()) {
    const kamailio = bench.kamailios.at(ip);
    kamailio.destinations = kamailio.destinations.map((one) =>
      one.uri.includes("192.0.2.1:") ? { ...one, state: "Inactive" } : one,
    );
  }
  await bench.clock.until(() => bench.condition("Reachable", "pbx-1", "PbxBackend") === "False Unreachable");
};
/** Whether the pod knew of it when it was called right for the first time. */
const seededWith = async (ip: string): Promise<unknown> => {
  const seen: unknown[] = [];
  bench.kamailios.onCall = (host, method) => {
    if (host === ip && method === "htable.seti") seen.push(dead(ip));
    return undefined;
  };
  await bench.clock.until(() => bench.kamailios.at(ip).seeded, 20_000);
  return seen[0];
};

test("the only pod, started anew", async () => {
  await started(1);
  const [{ ip }] = pods() as [PodView];
  bench.kamailios.restart(ip);
  expect(await seededWith(ip)).toBe("Inactive");
});

test("all pods at once", async () => {
  await started(3);
  for (const { ip } of pods()) bench.kamailios.restart(ip);
  const [{ ip }] = pods() as [PodView];
  expect(await seededWith(ip)).toBe("Inactive");
  await bench.clock.until(() => pods().every((pod) => bench.kamailios.at(pod.ip).seeded));
  expect(pods().map((pod) => dead(pod.ip))).toEqual(["Inactive", "Inactive", "Inactive"]);
});

test("a pod in place of the only one, also while that one drains", async () => {
  await started(1);
  const [{ name }] = pods() as [PodView];
  bench.cluster.setPod(name, { terminating: true, ready: false });
  await bench.clock.advance(5000);
  bench.cluster.deletePod(name);
  const [{ ip }] = pods() as [PodView];
  for (const one of destinations(ip)) Object.assign(one, { flags: "AX" });
  expect(await seededWith(ip)).toBe("Inactive");
});

test("the only pod, started anew while no operator ran", async () => {
  await started(1);
  const [{ ip }] = pods() as [PodView];
  await bench.stop();
  bench.kamailios.restart(ip);
  await bench.start();
  expect(await seededWith(ip)).toBe("Inactive");
});

test("what answers again is not held back", async () => {
  await started(1);
  const [{ ip }] = pods() as [PodView];
  const kamailio = bench.kamailios.at(ip);
  kamailio.destinations = kamailio.destinations.map((one) => ({ ...one, state: "Active", flags: "AP" }));
  await bench.clock.until(() => bench.condition("Reachable", "pbx-1", "PbxBackend") === "True Reachable");
  bench.kamailios.restart(ip);
  expect(await seededWith(ip)).toBe("Active");
});
