/** One pod that ends by a change, hangs, or is not ready: what the others get meanwhile. */
import { afterEach, expect, test } from "vitest";
import type { PodView } from "../../../src/cluster/index.ts";
import { conditionOf } from "../../../src/status/index.ts";
import { backend, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(async () => {
  bench.kamailios.before = () => Promise.resolve();
  await bench.clock.advance(10_000);
  await bench.stop();
});

const started = async (options: Parameters<typeof createBench>[0] = {}): Promise<readonly PodView[]> => {
  bench = createBench(options);
  for (const object of [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  await bench.clock.advance(3000);
  return pods();
};
const pods = (): readonly PodView[] => bench.cluster.pods("default/edge");
const three = setOf("pbx-1", "pbx-2", "pbx-3");
const has = ({ ip }: PodView): boolean => bench.kamailios.at(ip).destinations.some(({ uri }) => uri.includes(".3:"));

/** The request ends the Kamailio; the container comes back with the old files after a while, or stays away. */
const deadly = (backAfterMs: number | undefined, readyAfterMs = 0): string[] => {
  const killed: string[] = [];
  bench.kamailios.onCall = (host, method) => {
    const kamailio = bench.kamailios.at(host);
    if (method !== "dispatcher.add" || !kamailio.up) return undefined;
    killed.push(host);
    kamailio.up = false;
    const { name } = pods().find(({ ip }) => ip === host) as PodView;
    bench.clock.setTimeout(() => bench.cluster.setPod(name, { ready: false, running: false }), 0);
    if (backAfterMs === undefined) return undefined;
    bench.clock.setTimeout(() => {
      bench.kamailios.restart(host);
      bench.cluster.setPod(name, { ready: readyAfterMs === 0, running: true });
    }, backAfterMs);
    bench.clock.setTimeout(
      () => bench.kamailios.at(host).up && bench.cluster.setPod(name, { ready: true }),
      backAfterMs + readyAfterMs,
    );
    return undefined;
  };
  return killed;
};

test("a change that ends a Kamailio ends one of them, and is stopped when that one does not come back", async () => {
  await started();
  const killed = deadly(undefined);
  bench.cluster.put(router(three));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
  await bench.clock.advance(300_000);
  expect(killed).toHaveLength(1);
  expect(pods().filter(has)).toEqual([]);
});

test.for([0, 2000])(
  "a change that ends a Kamailio again when it is back is tried once more there, and then not before an edit; ready %i ms later",
  async (readyAfterMs) => {
    await started();
    const killed = deadly(2000, readyAfterMs);
    bench.cluster.put(router(three));
    await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
    expect(killed).toHaveLength(2);
    await bench.clock.advance(3_600_000);
    expect(killed.length).toBeLessThan(5);
    const times = killed.length;
    expect(new Set(killed).size).toBe(1);
    expect(pods().filter(has)).toEqual([]);
    const { message } = conditionOf(bench.cluster.get("SipRouter", "default", "edge")?.status, "Programmed") ?? {};
    expect(message).toContain("not tried again before an edit");
    // nor does a change of its backends try it
    bench.cluster.put(backend("pbx-2", { adminState: "Disabled" }));
    await bench.clock.advance(600_000);
    expect(killed).toHaveLength(times);
    // nor does an autoscaler
    bench.cluster.put(router({ ...three, replicas: 4 }));
    bench.cluster.put(backend("pbx-2"));
    await bench.clock.advance(600_000);
    expect(killed).toHaveLength(times);
    bench.kamailios.onCall = () => undefined;
    bench.cluster.put(
      router({ ...three, routes: [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }] }),
    );
    await bench.clock.until(() => pods().every(has) && bench.condition("Ready") === "True Ready");
  },
);

test("a change that ended a Kamailio twice is tried again when anything else of the router is edited", async () => {
  await started();
  const killed = deadly(2000);
  bench.cluster.put(router(three));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
  await bench.clock.advance(3_600_000);
  const said = killed.length;
  bench.kamailios.onCall = () => undefined;
  bench.cluster.put(router({ ...three, kamailio: { workers: 3 } }));
  await bench.clock.until(() => pods().every(has), 120_000);
  expect(killed).toHaveLength(said);
});

test("answers that get lost on the way are no end of a pod: the change is tried on until it works", async () => {
  await started();
  bench.kamailios.onCall = (_host, method) => (method === "dispatcher.add" ? "lostReply" : undefined);
  bench.kamailios.after = (_host, method, kamailio, [, added]) => {
    // what was added is gone again: each try is one
    if (method !== "dispatcher.add") return;
    kamailio.destinations = kamailio.destinations.filter(({ uri }) => uri !== added);
  };
  bench.cluster.put(router(three));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
  await bench.clock.advance(600_000);
  expect(pods().filter(has)).toEqual([]);
  bench.kamailios.onCall = () => undefined;
  bench.kamailios.after = () => {};
  await bench.clock.until(() => pods().every(has) && bench.condition("Ready") === "True Ready");
});

test("a pod that runs a deadly change only because it started with it proves nothing: one more gets it, not all", async () => {
  await started();
  // kubelets bring the files unasked a minute after the pods began
  await bench.clock.advance(Date.UTC(2026, 0, 1, 0, 0, 59, 500) - bench.clock.now());
  const killed = deadly(2000);
  bench.cluster.put(router(three));
  await bench.clock.advance(3_600_000);
  expect(new Set(killed).size).toBe(2);
  expect(killed.length).toBeLessThan(5);
  expect(pods().filter(has)).toEqual([]);
});

test("a Kamailio that ends at a change by chance is waited for, and the change goes on", async () => {
  await started();
  const killed = deadly(2000);
  bench.cluster.put(router(three));
  await bench.clock.until(() => killed.length === 1);
  bench.kamailios.onCall = () => undefined;
  await bench.clock.advance(1000);
  expect(pods().filter(has)).toEqual([]);
  await bench.clock.until(() => pods().every(has) && bench.condition("Ready") === "True Ready", 10_000);
});

test("a pod that hangs delays no change after the first", async () => {
  const [hanging, ...others] = (await started()) as [PodView, ...PodView[]];
  const { ip } = hanging;
  bench.kamailios.at(ip).up = false;
  bench.kamailios.before = (host) =>
    host === ip ? new Promise((resolve) => void bench.clock.setTimeout(resolve, 3000)) : Promise.resolve();
  await bench.clock.until(() => bench.condition("Programmed") === "False NotAnswering", 60_000);
  for (const spec of [three, {}, three]) {
    bench.cluster.put(router(spec));
    await bench.clock.advance(100);
    expect(others.map(has)).toEqual([spec === three, spec === three]);
  }
});

test("a pod that stops being ready while it waits for its files does not hold up the others", async () => {
  const [waiting, ...others] = (await started()) as [PodView, ...PodView[]];
  const { touchPod } = bench.cluster;
  bench.cluster.touchPod = async (pod, revision) => {
    if (pod.name !== waiting.name) await touchPod(pod, revision);
  };
  const tables = ({ ip }: PodView): string => JSON.stringify(bench.kamailios.at(ip).tables);
  const before = tables(waiting);
  bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }] }));
  await bench.clock.advance(5000);
  expect(others.map(tables)).toEqual([before, before]);
  bench.cluster.setPod(waiting.name, { ready: false });
  await bench.clock.until(() => others.every((pod) => tables(pod) !== before), 10_000);
  expect(tables(waiting)).toBe(before);
});

test("a pod that cannot be told to fetch its files is right when they come; no change is halted for that", async () => {
  await started();
  bench.cluster.onWrite = (what) => {
    if (what.startsWith("touch")) throw new Error("pods is forbidden");
  };
  bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }] }));
  const said = new Set<string>();
  const messages = new Set<string>();
  await bench.clock.until(() => {
    said.add(bench.condition("Programmed"));
    messages.add(conditionOf(bench.cluster.get("SipRouter", "default", "edge")?.status, "Programmed")?.message ?? "");
    return bench.inSync() && bench.condition("Ready") === "True Ready";
  });
  expect([...said].filter((one) => one.includes("ReloadFailed"))).toEqual([]);
  expect([...messages].filter((one) => one.includes("pods is forbidden"))).toHaveLength(1);
  expect(bench.condition("Programmed")).toBe("True Programmed");
});

/** Fresh from its files, and not ready yet. */
const restartPod = ({ name, ip }: PodView): void => {
  bench.kamailios.restart(ip);
  bench.cluster.setPod(name, { ready: false });
};

test.for(["read", "dispatcher.add"])(
  "while one pod refuses %s and there is nothing to go back to, pods that start are told which PBX is dead",
  async (refused) => {
    const [sick, restarted, replaced] = (await started()) as [PodView, PodView, PodView];
    const known = pods().map(({ name }) => name);
    for (const { ip } of pods()) {
      const kamailio = bench.kamailios.at(ip);
      kamailio.destinations = kamailio.destinations.map((one) =>
        one.uri.includes(".1:") ? { ...one, state: "Inactive", flags: "IP" } : one,
      );
    }
    await bench.clock.advance(3000);
    bench.kamailios.onCall = (host, method) => (host === sick.ip && method === refused ? "fault" : undefined);
    if (refused !== "read") bench.kamailios.at(sick.ip).destinations.pop();
    await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
    restartPod(restarted);
    bench.cluster.deletePod(replaced.name);
    const newcomer = pods().find(({ name }) => !known.includes(name)) as PodView;
    bench.cluster.setPod(newcomer.name, { ready: false });
    const told = ({ ip }: PodView): boolean => {
      const { seeded, destinations } = bench.kamailios.at(ip);
      return seeded && destinations.some(({ uri, state }) => uri.includes(".1:") && state === "Inactive");
    };
    await bench.clock.until(() => told(restarted) && told(newcomer), 10_000);
    // ready by itself, as it is after ten seconds without being told
    bench.kamailios.restart(restarted.ip);
    bench.cluster.setPod(restarted.name, { ready: true });
    await bench.clock.until(() => told(restarted), 10_000);
    expect(bench.condition("Programmed")).toBe("False ReloadFailed");
  },
);

test("while a pod that ended at a change is away and there is nothing to go back to, one that starts is told what is known", async () => {
  await started();
  const killed = deadly(undefined);
  bench.cluster.put(backend("pbx-2", { address: "192.0.2.22" }));
  await bench.clock.until(() => killed.length === 1);
  await bench.restart();
  await bench.clock.advance(60_000);
  expect(killed).toHaveLength(2);
  const [last] = pods().filter(({ ip }) => !killed.includes(ip)) as [PodView];
  bench.kamailios.restart(last.ip);
  await bench.clock.until(() => bench.kamailios.at(last.ip).seeded, 10_000);
});

test("nothing is looked at over and over while a change waits for the pod that ended at it", async () => {
  await started();
  deadly(undefined);
  bench.cluster.put(router(three));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
  await bench.clock.advance(300_000);
  const { pods: podsOf } = bench.cluster;
  let looks = 0;
  bench.cluster.pods = (key) => {
    looks += 1;
    return podsOf(key);
  };
  await bench.clock.advance(60_000);
  bench.cluster.pods = podsOf;
  // two pods that are read once a second, and what a reading asks
  expect(looks).toBeLessThan(60 * 2 * 5);
});
