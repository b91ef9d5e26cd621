/** Backends whose address is a DNS name, while an operator starts: "not looked up yet" is not "does not resolve". */
import { afterEach, expect, test } from "vitest";
import type { ResolveName } from "../../../src/controller/types.ts";
import { backend, changesOf, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
let answer: ResolveName;
const ADDRESSES = { addresses: ["192.0.2.99"], ttlSeconds: 60 };
afterEach(() => bench.stop());

const started = async (): Promise<void> => {
  answer = async () => ADDRESSES;
  bench = createBench({ resolveName: (name) => answer(name) });
  bench.cluster.put(backend("pbx-1"));
  bench.cluster.put(backend("pbx-2", { address: "pbx.example", maxCalls: 30 }));
  bench.cluster.put(router(setOf("pbx-1", "pbx-2")));
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  for (const { ip } of bench.cluster.pods("default/edge")) {
    const kamailio = bench.kamailios.at(ip);
    kamailio.destinations = kamailio.destinations.map((one) => ({
      ...one,
      state: one.uri.includes(".99:") ? "Inactive" : "Active",
    }));
  }
  await bench.clock.until(() => bench.condition("Reachable", "pbx-2", "PbxBackend") === "False Unreachable");
};
const states = (): readonly string[] =>
  bench.cluster
    .pods("default/edge")
    .map(({ ip }) => bench.kamailios.at(ip).destinations.find(({ uri }) => uri.includes(".99:"))?.state ?? "gone");

test.each<[string, ResolveName]>([
  ["answers late", () => new Promise((resolve) => void bench.clock.setTimeout(() => resolve(ADDRESSES), 2000))],
  ["never answers", () => new Promise(() => {})],
  ["fails", () => Promise.reject(new Error("SERVFAIL"))],
])("an operator that starts while DNS %s leaves the pods and the Deployment as they are", async (_, resolve) => {
  await started();
  const { writes } = bench.cluster;
  const before = [writes.filter((one) => one.includes("Deployment")).length, changesOf(bench).length];
  await bench.stop();
  answer = resolve;
  await bench.start();
  await bench.clock.advance(60_000);
  expect([writes.filter((one) => one.includes("Deployment")).length, changesOf(bench).length]).toEqual(before);
  expect(states()).toEqual(["Inactive", "Inactive", "Inactive"]);
  expect(bench.condition("ResolvedRefs")).toBe("True ResolvedRefs");
});

test("a spec that was edited while no operator ran waits for the first answer, and then says what does not resolve", async () => {
  await started();
  const before = changesOf(bench).length;
  await bench.stop();
  bench.cluster.put(backend("pbx-2", { address: "pbx.example", maxCalls: 40 }));
  answer = () => new Promise((resolve) => void bench.clock.setTimeout(() => resolve(ADDRESSES), 1000));
  await bench.start();
  await bench.clock.advance(20_000);
  expect(changesOf(bench).filter((call) => call.startsWith("dispatcher")).length).toBe(before);
  expect(states()).toEqual(["Inactive", "Inactive", "Inactive"]);

  answer = () => Promise.reject(new Error("ENOTFOUND"));
  bench.cluster.put(backend("pbx-2", { address: "other.example", maxCalls: 40 }));
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "False NameNotResolved");
});
