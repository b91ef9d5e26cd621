/** A router that is being deleted, and takes its time: its backends are those of other routers, too. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { PbxBackendStatus, RawObject } from "../../../src/api/index.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  for (const object of [backend("pbx-1"), backend("pbx-2"), router(), router({}, "other")]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => ["edge", "other"].every((name) => bench.condition("Ready", name) === "True Ready"));
  await bench.clock.advance(5000);
});
afterEach(() => bench.stop());

const condition = (type: string, name = "pbx-1"): string => bench.condition(type, name, "PbxBackend");
const objectOf = (name: string): RawObject => bench.cluster.get("PbxBackend", "default", name) as RawObject;
const statusOf = (name: string): PbxBackendStatus => objectOf(name).status as PbxBackendStatus;
const beginDeletion = (name: string): void => {
  const object = bench.cluster.get("SipRouter", "default", name) as RawObject;
  const metadata = { ...object.metadata, deletionTimestamp: "2026-01-01T00:00:05Z" };
  bench.cluster.put({ ...object, metadata });
};
const silence = (name: string): void => {
  for (const { ip } of bench.cluster.pods(`default/${name}`)) {
    const kamailio = bench.kamailios.at(ip);
    kamailio.destinations = kamailio.destinations.map((one) =>
      one.uri.includes("192.0.2.1:") ? { ...one, state: "Inactive", flags: "IP" } : one,
    );
  }
};

test("what other routers see of a backend is told", async () => {
  beginDeletion("other");
  await bench.clock.advance(2000);
  expect(statusOf("pbx-1").routers).toMatchObject([{ name: "edge", state: "Active" }]);
  silence("edge");
  await bench.clock.until(() => condition("Reachable") === "False Unreachable", 10_000);
  bench.cluster.put(backend("pbx-2", { weight: 7 }));
  await bench.clock.until(() => statusOf("pbx-2").observedGeneration === objectOf("pbx-2").metadata.generation, 10_000);
});

test("a backend is drained when its pods are gone, not before: what calls they have nobody knows", async () => {
  beginDeletion("other");
  bench.cluster.put(backend("pbx-1", { adminState: "Draining" }));
  await bench.clock.advance(60_000);
  expect(condition("Drained")).toBe("Unknown Unobserved");
  bench.cluster.remove("SipRouter", "default", "other");
  await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
});

test("a backend of no other router is not used", async () => {
  for (const name of ["edge", "other"]) beginDeletion(name);
  await bench.clock.until(() => condition("Reachable") === "Unknown NotUsed", 10_000);
  expect(statusOf("pbx-1").routers).toEqual([]);
});
