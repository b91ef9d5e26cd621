/** While a change is stopped: the last good spec serves with the backends as they are, and is what is stored and known. */
import { afterEach, expect, test } from "vitest";
import type { PodView } from "../../../src/cluster/index.ts";
import { conditionOf } from "../../../src/status/index.ts";
import {
  backend,
  createBench,
  router,
  serviceBackend,
  setOf,
  slice,
  type Bench,
} from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(() => bench.stop());

const both = setOf("pbx-1", "pbx-2");
const edit = { ...both, routes: [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }] };
const pods = (): readonly PodView[] => bench.cluster.pods("default/edge");
const stored = (): Readonly<Record<string, string>> =>
  bench.cluster.get("ConfigMap", "default", "edge-dispatcher")?.metadata.annotations ?? {};
const revisionOf = (): unknown =>
  (bench.cluster.get("SipRouter", "default", "edge")?.status as { revision?: string } | undefined)?.revision;
const message = (): string | undefined =>
  conditionOf(bench.cluster.get("SipRouter", "default", "edge")?.status, "Programmed")?.message;
const lists = (host: number): readonly (string | undefined)[] =>
  pods().map(({ ip }) => {
    const found = bench.kamailios.at(ip).destinations.filter(({ uri }) => uri.includes(`192.0.2.${host}:`));
    return found.map(({ state }) => state).join();
  });
const halted = (): boolean => bench.condition("Programmed") === "False ReloadFailed";

/** The first pod loads no routes any more, and is asked for other ones. */
async function started(): Promise<string> {
  bench = createBench();
  const endpoints = slice("pbx-1", { "192.0.2.41": { ready: true }, "192.0.2.42": { ready: true } });
  for (const object of [...serviceBackend("pbx-1"), endpoints, backend("pbx-2"), backend("pbx-3"), router(both)])
    bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  await bench.clock.advance(3000);
  const [{ ip }] = pods() as [PodView];
  bench.kamailios.onCall = (host, method) => (host === ip && method === "mtree.reload" ? "fault" : undefined);
  bench.cluster.put(router(edit));
  return String(revisionOf());
}

test("backends of the spec that serves come, go and are disabled while another spec is halted", async () => {
  await started();
  await bench.clock.until(halted);
  await bench.clock.advance(2000);
  bench.cluster.put(slice("pbx-1", { "192.0.2.42": { ready: true }, "192.0.2.43": { ready: true } }));
  bench.cluster.put(backend("pbx-2", { adminState: "Disabled" }));
  await bench.clock.advance(2000);
  for (let second = 0; second < 600; second += 1) {
    expect([lists(41), lists(2)]).toEqual([
      ["", "", ""],
      ["Disabled", "Disabled", "Disabled"],
    ]);
    expect(lists(43).every((state) => state !== "")).toBe(true);
    await bench.clock.advance(1000);
  }
  expect(bench.condition("Programmed")).toBe("False ReloadFailed");
  bench.kamailios.onCall = () => undefined;
  await bench.clock.until(() => bench.inSync() && bench.condition("Programmed") === "True Programmed");
});

test("a backend that only the serving spec names is followed, too, and edits of the spec are tried at once", async () => {
  await started();
  bench.cluster.put(router({ ...edit, ...setOf("pbx-1", "pbx-3") }));
  await bench.clock.until(halted);
  await bench.clock.advance(2000);
  bench.cluster.put(backend("pbx-2", { adminState: "Disabled" }));
  await bench.clock.advance(2000);
  expect(lists(2)).toEqual(["Disabled", "Disabled", "Disabled"]);
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.until(() => bench.inSync() && bench.condition("Programmed") === "True Programmed", 3000);
  expect(lists(2)).toEqual(["", "", ""]);
});

test("an operator that starts before the change is halted knows what to go back to, with today's backends", async () => {
  const good = await started();
  await bench.clock.advance(30_000);
  expect(stored()["siprouter.dev/revision"]).not.toBe(good);
  await bench.stop();
  bench.cluster.put(backend("pbx-2", { adminState: "Disabled" }));
  await bench.start();
  await bench.clock.until(halted);
  await bench.clock.until(() => bench.inSync());
  expect(message()).toContain("the last good one, was restored and serves");
  expect(lists(2)).toEqual(["Disabled", "Disabled", "Disabled"]);
  const tables = pods().map(({ ip }) => JSON.stringify(bench.kamailios.at(ip).tables));
  expect(new Set(tables).size).toBe(1);
  bench.cluster.put(backend("pbx-2"));
  await bench.clock.advance(2000);
  expect(stored()["siprouter.dev/revision"]).toBe(good);
});

test("the good revision is stored most of the time while the change is tried again, and the condition says which is", async () => {
  const good = await started();
  await bench.clock.until(halted);
  await bench.clock.advance(1000);
  let [whole, wrong] = [0, 0];
  for (let second = 0; second < 1200; second += 1) {
    await bench.clock.advance(1000);
    const isGood = stored()["siprouter.dev/revision"] === good;
    const says = message()?.includes("was restored and serves") === true;
    if (isGood) whole += 1;
    if (isGood !== says) wrong += 1;
  }
  expect(whole / 1200).toBeGreaterThan(0.6);
  expect(wrong).toBeLessThan(60);
});

test("a try ends in time, however often backends come and go meanwhile", async () => {
  await started();
  await bench.clock.until(halted);
  let served = 0;
  for (let change = 0; change < 100; change += 1) {
    bench.cluster.put(slice("pbx-1", { [`192.0.2.${41 + (change % 3)}`]: { ready: true } }));
    await bench.clock.advance(3000);
    if (message()?.includes("was restored and serves") === true) served += 1;
  }
  expect(served).toBeGreaterThan(40);
});

test("what is stored names the proven spec as long as another one is not proven", async () => {
  await started();
  await bench.clock.advance(1000);
  expect(stored()).toHaveProperty(["siprouter.dev/proven-spec"]);
  bench.kamailios.onCall = () => undefined;
  await bench.clock.until(() => bench.inSync() && bench.condition("Programmed") === "True Programmed");
  await bench.clock.advance(1000);
  expect(stored()).not.toHaveProperty(["siprouter.dev/proven-spec"]);
  const writes = bench.cluster.writes.length;
  await bench.clock.advance(60_000);
  expect(bench.cluster.writes).toHaveLength(writes);
});
