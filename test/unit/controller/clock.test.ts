/** The time of day may be set while the operator runs, by hand or by NTP: what waits goes on, what is written down has the new one. */
import { afterEach, expect, test, vi } from "vitest";
import { systemClock } from "../../../src/controller/index.ts";
import { conditionOf } from "../../../src/status/index.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

const HOUR = 3_600_000;
let bench: Bench | undefined;
afterEach(async () => {
  vi.useRealTimers();
  await bench?.stop();
  bench = undefined;
});

const started = async (): Promise<Bench> => {
  const made = createBench();
  bench = made;
  for (const object of [backend("pbx-1"), backend("pbx-2"), router()]) made.cluster.put(object);
  await made.start();
  await made.clock.until(() => made.condition("Ready") === "True Ready");
  await made.clock.advance(5000);
  return made;
};

test.each([
  ["back", -HOUR],
  ["forward", HOUR],
])("the system's clock goes on as if nothing had happened when the time of day is set %s", (_name, by) => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const [before, day] = [systemClock.now(), systemClock.timeOfDay()];
  vi.setSystemTime(Date.now() + by);
  expect(systemClock.now()).toBeGreaterThanOrEqual(before);
  expect(systemClock.now() - before).toBeLessThan(HOUR / 2);
  expect(systemClock.timeOfDay()).toBe(day + by);
});

test("conditions have the time of day", async () => {
  const { clock, cluster, kamailios, condition } = await started();
  clock.setTimeOfDay(-HOUR);
  for (const { ip } of cluster.pods("default/edge")) {
    const kamailio = kamailios.at(ip);
    kamailio.destinations = kamailio.destinations.map((one) => ({ ...one, state: "Inactive", flags: "IP" }));
  }
  await clock.until(() => condition("Available") === "False SetDown", 10_000);
  const since = conditionOf(cluster.get("SipRouter", "default", "edge")?.status, "Available")?.lastTransitionTime ?? "";
  expect(Math.abs(Date.parse(since) - clock.timeOfDay())).toBeLessThan(10_000);
});

test.each([
  ["back", -HOUR],
  ["forward", HOUR],
])("which calls ring since before a backend drained is known by the time of day, set %s", async (_name, by) => {
  const { clock, cluster, kamailios, condition } = await started();
  clock.setTimeOfDay(by);
  const drained = (): string => condition("Drained", "pbx-1", "PbxBackend");
  const [pod] = cluster.pods("default/edge");
  const kamailio = kamailios.at(pod?.ip ?? "");
  const ringing = (id: string) => ({ id, startedAt: clock.timeOfDay() / 1000 });
  kamailio.dialogs = [ringing("to it, maybe")];
  cluster.put(backend("pbx-1", { adminState: "Draining" }));
  await clock.until(() => drained() === "False Draining", 10_000);
  await clock.advance(60_000);
  expect(drained()).toBe("False Draining");
  kamailio.dialogs = [ringing("to another one")];
  await clock.until(() => drained() === "True Drained", 10_000);
});
