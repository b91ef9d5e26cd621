/** What a change does not wait for: the API server that stores it, and readings that nobody has asked for. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { backend, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(async () => {
  bench.kamailios.before = () => Promise.resolve();
  // whoever waits for the clock
  await bench.clock.advance(100);
  await bench.stop();
});

const started = async (options: Parameters<typeof createBench>[0] = {}): Promise<void> => {
  bench = createBench(options);
  for (const object of [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
};
const pods = (): readonly string[] => bench.cluster.pods("default/edge").map(({ ip }) => ip);
const stores = (): number => bench.cluster.writes.filter((what) => what.startsWith("apply ConfigMap")).length;
const has = (ip: string, backendNumber: number): boolean =>
  bench.kamailios.at(ip).destinations.some(({ uri }) => uri.includes(`192.0.2.${backendNumber}:`));

test("destinations are changed on every pod before the file that keeps them is written", async () => {
  await started();
  const before = stores();
  const storedThen: number[] = [];
  bench.kamailios.after = (_host, method) => {
    if (method.startsWith("dispatcher.")) storedThen.push(stores() - before);
  };
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.until(() => stores() > before);
  expect(pods().every((ip) => has(ip, 3) && !has(ip, 2))).toBe(true);
  expect(storedThen).toHaveLength(6);
  expect(storedThen.every((count) => count === 0)).toBe(true);
  await bench.clock.until(() => bench.condition("Programmed") === "True Programmed");
});

test("a backend that moves has one status more, after the pods have taken the change", async () => {
  await started();
  await bench.clock.advance(5000);
  const [writes] = [bench.cluster.writes.length];
  const told: string[][] = [];
  const since = (): string[] => bench.cluster.writes.slice(writes).filter((what) => what.includes("PbxBackend"));
  bench.kamailios.after = (_host, method) => {
    if (method.startsWith("dispatcher.")) told.push(since());
  };
  bench.cluster.put(backend("pbx-2", { address: "192.0.2.9" }));
  await bench.clock.advance(5000);
  expect(pods().every((ip) => has(ip, 9) && !has(ip, 2))).toBe(true);
  expect(told.length).toBeGreaterThan(0);
  expect(told.flat()).toEqual([]);
  expect(since()).toEqual(["status PbxBackend default/pbx-2"]);
});

test("the file is written though a pod does not answer, and before anybody gives that pod up", async () => {
  await started();
  const [silent] = pods();
  const answer = Promise.withResolvers<void>();
  bench.kamailios.before = (host) => (host === silent ? answer.promise : Promise.resolve());
  const before = stores();
  const at = bench.clock.now();
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.until(() => stores() > before, 1000);
  expect(bench.clock.now() - at).toBeLessThan(1000);
  answer.resolve();
  await bench.clock.until(() => bench.inSync() && bench.condition("Programmed") === "True Programmed");
});

const READING = 8;

/** Each request takes ten milliseconds; what was asked, once a reading has begun. */
const slowlyRead = async (): Promise<string[]> => {
  const asked: string[] = [];
  bench.kamailios.after = (host, method) => void asked.push(`${host} ${method}`);
  bench.kamailios.before = () =>
    new Promise((resolve) => {
      bench.clock.setTimeout(resolve, 10);
    });
  await bench.clock.until(() => asked.length > 0);
  return asked;
};

test("a reading that a change overtakes asks no further", async () => {
  await started({ requestsOfReading: READING });
  const asked = await slowlyRead();
  bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
  await bench.clock.until(() => pods().every((ip) => has(ip, 3) && !has(ip, 2)));
  for (const ip of pods()) {
    const from = asked.indexOf(`${ip} dispatcher.add`);
    expect(from).toBeGreaterThanOrEqual(0);
    // the one that was under way
    expect(asked.slice(from).filter((one) => one === `${ip} dlg.stats_active`).length).toBeLessThanOrEqual(1);
  }
});

test("changes without end do not keep the pods from being read to the end: a PBX may have registered", async () => {
  await started({ requestsOfReading: READING });
  await slowlyRead();
  await bench.clock.advance(200);
  bench.readings.length = 0;
  for (let count = 0; count < 300; count += 1) {
    bench.cluster.put(router(setOf("pbx-1", count % 2 === 0 ? "pbx-3" : "pbx-2")));
    await bench.clock.advance(30);
    await turn();
  }
  expect([...new Set(bench.readings)].toSorted()).toEqual(pods().toSorted());
});

test("pods that changes leave no pause are read as a whole by the changes: their calls are shown on", async () => {
  const shown: string[] = [];
  await started({ requestsOfReading: READING, metrics: { pod: (_router, pod) => void shown.push(pod) } });
  await slowlyRead();
  await bench.clock.advance(200);
  shown.length = 0;
  for (let count = 0; count < 3000; count += 1) {
    bench.cluster.put(router(setOf("pbx-1", count % 2 === 0 ? "pbx-3" : "pbx-2")));
    await bench.clock.advance(5);
    await turn();
  }
  for (const { name } of bench.cluster.pods("default/edge"))
    expect(shown.filter((pod) => pod === name).length).toBeGreaterThanOrEqual(2);
});
