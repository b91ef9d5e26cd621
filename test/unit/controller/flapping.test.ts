/** What the pods see of a PBX: said in one word, and not more often than anybody can read. */
import { afterEach, describe, expect, test } from "vitest";
import type { PbxBackendStatus, RawObject } from "../../../src/api/index.ts";
import type { DestinationState } from "../../../src/kamailio/types.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
const started = async (objects: readonly RawObject[]): Promise<Bench> => {
  bench = createBench();
  for (const object of objects) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  await bench.clock.advance(60_000);
  return bench;
};
afterEach(() => bench.stop());

const pods = () => bench.cluster.pods("default/edge").map(({ ip }) => bench.kamailios.at(ip));
/** What OPTIONS of these pods bring from now on. */
const see = (host: string, state: DestinationState, which = pods()): void => {
  for (const pod of which)
    pod.destinations = pod.destinations.map((one) =>
      one.uri.includes(host) ? { ...one, state, flags: state === "Active" ? "AP" : "IP" } : one,
    );
};
const reachable = (): string => bench.condition("Reachable", "pbx-1", "PbxBackend");
const status = (): PbxBackendStatus => bench.cluster.get("PbxBackend", "default", "pbx-1")?.status as PbxBackendStatus;
const since = (): string | undefined =>
  status().conditions?.find((one) => one.type === "Reachable")?.lastTransitionTime;
const message = (): string | undefined => status().conditions?.find((one) => one.type === "Reachable")?.message;

const service = (...ips: string[]): readonly RawObject[] => [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name: "asterisk" },
    spec: { ports: [{ name: "sip", port: 5060, protocol: "UDP" }] },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { namespace: "default", name: "asterisk-1", labels: { "kubernetes.io/service-name": "asterisk" } },
    addressType: "IPv4",
    ports: [{ name: "sip", port: 5060, protocol: "UDP" }],
    endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
  } as unknown as RawObject,
];

describe("the reason why a backend is not reachable", () => {
  test("is that pods disagree, when one and the same PBX answers some of them", async () => {
    await started([backend("pbx-1"), backend("pbx-2"), router()]);
    see("192.0.2.1", "Inactive", pods().slice(0, 1));
    await bench.clock.until(() => reachable() === "False PodsDisagree", 3000);
    expect(message()).toBe(
      "Some pods of SipRouter edge get answers to OPTIONS from 192.0.2.1, others do not: look for a firewall between some nodes and there.",
    );
    see("192.0.2.1", "Inactive");
    await bench.clock.until(() => reachable() === "False Unreachable", 3000);
    see("192.0.2.1", "Active");
    await bench.clock.until(() => reachable() === "True Reachable", 3000);
  });

  test("is that Kubernetes calls an endpoint ready that SIP finds down", async () => {
    const behind = { ...backend("pbx-1"), spec: { service: { name: "asterisk" } } };
    await started([...service("192.0.2.11", "192.0.2.12"), behind, backend("pbx-2"), router()]);
    see("192.0.2.12", "Inactive");
    await bench.clock.until(() => reachable() === "False ReadyButSilent", 3000);
    expect(message()).toContain("192.0.2.12 is ready");
    see("192.0.2.12", "Active");
    await bench.clock.until(() => reachable() === "True Reachable", 3000);
  });

  test("moves no transition time while the condition stays as it is", async () => {
    await started([backend("pbx-1"), backend("pbx-2"), router()]);
    see("192.0.2.1", "Inactive");
    await bench.clock.until(() => reachable() === "False Unreachable", 3000);
    const flipped = since();
    await bench.clock.advance(20_000);
    see("192.0.2.1", "Active", pods().slice(0, 2));
    await bench.clock.until(() => reachable() === "False PodsDisagree", 3000);
    expect(since()).toBe(flipped);
    see("192.0.2.1", "Active");
    await bench.clock.until(() => reachable() === "True Reachable", 3000);
    expect(since()).not.toBe(flipped);
  });
});

describe("a PBX that comes and goes every other second", () => {
  test("costs a bounded number of writes and Events, and its last state is told", async () => {
    await started([backend("pbx-1"), backend("pbx-2"), router()]);
    const writes = bench.cluster.writes.length;
    const events = bench.cluster.events.length;
    for (let second = 0; second < 600; second += 2) {
      see("192.0.2.1", second % 4 === 0 ? "Inactive" : "Active");
      await bench.clock.advance(2000);
    }
    const minutes = 10;
    // 20 at once and 6 a minute, for the backend and for the router
    expect(bench.cluster.writes.length - writes).toBeLessThanOrEqual(2 * (20 + 6 * minutes + 1));
    expect(bench.cluster.events.length - events).toBeLessThanOrEqual(2 * (20 + 6 * minutes + 1));
    see("192.0.2.1", "Inactive");
    await bench.clock.advance(12_000);
    expect(reachable()).toBe("False Unreachable");
    expect(bench.cluster.get("SipRouter", "default", "edge")?.status).toMatchObject({ active: "1/2" });
    const quiet = bench.cluster.writes.length;
    await bench.clock.advance(600_000);
    expect(bench.cluster.writes.length).toBe(quiet);
  });

  test("does not delay what somebody writes meanwhile", async () => {
    await started([backend("pbx-1"), backend("pbx-2"), router()]);
    for (let second = 0; second < 120; second += 2) {
      see("192.0.2.1", second % 4 === 0 ? "Inactive" : "Active");
      await bench.clock.advance(2000);
    }
    bench.cluster.put(router({ replicas: 3, routes: [] }));
    bench.cluster.put(backend("pbx-1", { adminState: "Draining" }));
    await bench.clock.advance(500);
    expect(status().observedGeneration).toBe(2);
  });
});
