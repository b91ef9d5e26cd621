/**
 * Whatever happens in between, every ready pod ends at the last accepted revision, and then nothing happens any more. On the way
 * no pod is without a destination, none is woken that did not answer, and no status claims a spec that was not carried out.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { backend, createBench, router, serviceBackend, slice, type Bench } from "../../support/controllerBench.ts";
import type { CallFault } from "../../support/fakeKamailio.ts";
import { wantedRevision, watchClaims } from "../../support/statusClaims.ts";

const NAMES = ["pbx-1", "pbx-2", "pbx-3", "pbx-4"];
const [, service] = serviceBackend("pbx-4") as [RawObject, RawObject];
/** The last one is a Service, with pods. */
const backendOf = (name: string, spec: object = {}): RawObject =>
  name === "pbx-4" ? (serviceBackend(name, spec)[0] as RawObject) : backend(name, spec);
const slices = [
  slice("pbx-4", { "192.0.2.41": { ready: true } }),
  slice("pbx-4", { "192.0.2.41": { ready: false, serving: true, terminating: true }, "192.0.2.42": { ready: true } }),
  slice("pbx-4", { "192.0.2.42": { ready: false, serving: true, terminating: true } }),
  slice("pbx-4", { "192.0.2.42": { ready: false, serving: false } }),
  slice("pbx-4", {}),
] as const;

interface World {
  readonly bench: Bench;
  readonly chance: () => number;
  spec: Record<string, unknown>;
}
type Step = (world: World) => void | Promise<void>;

const put = (world: World, more: object): void => {
  world.spec = { ...world.spec, ...more };
  world.bench.cluster.put(router(world.spec));
};
const podAt = ({ bench }: World, index: number) => {
  const pods = bench.cluster.pods("default/edge");
  return pods[index % Math.max(1, pods.length)];
};

const members = fc.uniqueArray(
  fc.record({ name: fc.constantFrom(...NAMES), priority: fc.integer({ min: 0, max: 2 }) }),
  {
    minLength: 1,
    maxLength: 4,
    selector: (one) => one.name,
  },
);
const steps: fc.Arbitrary<Step> = fc.oneof(
  members.map(
    (backends): Step =>
      (world) =>
        put(world, { dispatcherSets: [{ name: "pbx", id: 1, backends }] }),
  ),
  fc.constantFrom("1000-1999", "2000-2999", "30-39").map(
    (range): Step =>
      (world) =>
        put(world, { routes: [{ name: "all", match: { extensions: [range] }, set: "pbx" }] }),
  ),
  fc.constantFrom(...NAMES).chain((name) =>
    fc.constantFrom("Enabled", "Draining", "Disabled").map(
      (adminState): Step =>
        ({ bench }) =>
          bench.cluster.put(backendOf(name, { adminState })),
    ),
  ),
  fc.constantFrom(...NAMES).map(
    (name): Step =>
      ({ bench }) =>
        bench.cluster.remove("PbxBackend", "default", name),
  ),
  fc.constantFrom(...slices).map(
    (object): Step =>
      ({ bench }) =>
        bench.cluster.put(object),
  ),
  fc.constant<Step>((world) =>
    world.bench.cluster.put(
      router({ ...world.spec, routes: [{ name: "x", match: { extensions: ["1"] }, set: "none" }] }),
    ),
  ),
  fc.constantFrom(5060, 5080).map(
    (port): Step =>
      (world) =>
        put(world, { listeners: [{ name: "udp", transport: "UDP", port }] }),
  ),
  fc.integer({ min: 1, max: 4 }).map(
    (replicas): Step =>
      (world) =>
        put(world, { replicas }),
  ),
  fc.nat(3).map((index): Step => (world) => {
    const pod = podAt(world, index);
    if (pod !== undefined) world.bench.kamailios.restart(pod.ip);
  }),
  fc.nat(3).map((index): Step => (world) => {
    const pod = podAt(world, index);
    if (pod !== undefined) world.bench.cluster.deletePod(pod.name);
  }),
  fc.constantFrom("192.0.2.1:", "192.0.2.2:", "192.0.2.41:").map((host): Step => ({ bench }) => {
    for (const { ip } of bench.cluster.pods("default/edge")) {
      const kamailio = bench.kamailios.at(ip);
      kamailio.destinations = kamailio.destinations.map((one) =>
        one.uri.includes(host) && one.state === "Active" ? { ...one, state: "Inactive" } : one,
      );
    }
  }),
  fc.record({ index: fc.nat(3), up: fc.boolean() }).map(({ index, up }): Step => (world) => {
    const pod = podAt(world, index);
    if (pod !== undefined) world.bench.kamailios.at(pod.ip).up = up;
  }),
  fc.nat(3).map((index): Step => (world) => {
    const pod = podAt(world, index);
    if (pod !== undefined) world.bench.cluster.setPod(pod.name, { ready: !pod.ready });
  }),
  fc.constantFrom<CallFault>("unreachable", "lostReply", "fault").map((fault): Step => ({ bench, chance }) => {
    bench.kamailios.onCall = () => (chance() < 0.3 ? fault : undefined);
  }),
  fc.nat(3).map((index): Step => (world) => {
    const refusing = podAt(world, index)?.ip;
    world.bench.kamailios.onCall = (host, method) =>
      host === refusing && method === "dispatcher.add" ? "fault" : undefined;
  }),
  fc.constant<Step>(({ bench, chance }) => {
    bench.cluster.onWrite = (what) => {
      if (chance() < 0.3) throw new Error(`refused: ${what}`);
    };
  }),
  fc.constant<Step>(({ bench }) => bench.restart()),
);

const timed = fc.record({ step: steps, pause: fc.constantFrom(0, 0, 1, 20, 150, 600, 1500, 6000) });

const heal = ({ bench }: World): void => {
  bench.kamailios.onCall = () => undefined;
  bench.cluster.onWrite = () => {};
  for (const name of NAMES)
    if (bench.cluster.get("PbxBackend", "default", name) === undefined) bench.cluster.put(backendOf(name));
  bench.cluster.put(slices[0]);
  for (const pod of bench.cluster.pods("default/edge")) {
    bench.kamailios.at(pod.ip).up = true;
    if (!pod.ready) bench.cluster.setPod(pod.name, { ready: true });
  }
};

const revisionOf = ({ bench }: World): unknown => {
  const status = bench.cluster.get("SipRouter", "default", "edge")?.status as { revision?: string } | undefined;
  return status?.revision;
};

const written = ({ bench }: World): number =>
  bench.cluster.writes.length +
  bench.cluster.events.length +
  bench.cluster.pods("default/edge").reduce((sum, pod) => sum + bench.kamailios.at(pod.ip).calls.length, 0);

/** A pod without a destination, or with one awake that did not answer: no work on a pod may bring that about. */
function watchPods({ kamailios }: Bench): readonly string[] {
  const violations: string[] = [];
  const silent = new Map<string, ReadonlySet<string>>();
  kamailios.after = (host, method, { destinations, seeded }) => {
    if (destinations.length === 0) violations.push(`${method} left ${host} without a destination`);
    if (method !== "read") return;
    const before = seeded ? silent.get(host) : undefined;
    const uris = (state: string): ReadonlySet<string> =>
      new Set(destinations.filter((one) => one.state === state).map(({ uri }) => uri));
    // an addition whose answer was lost has its state with the next try, while the old one is still there
    const woken = uris("Active").difference(uris("Inactive"));
    for (const uri of woken) if (before?.has(uri) === true) violations.push(`${uri} was woken on ${host}`);
    // one that answers in another tier answers
    const answering = destinations.filter(({ state, flags }) => state === "Active" && flags === "AP");
    silent.set(host, uris("Inactive").difference(new Set(answering.map(({ uri }) => uri))));
  };
  return violations;
}

const generator = (seed: number) => (): number => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
};

test("any interleaving of edits, restarts, partitions, refused writes and lost replies ends right and quiet", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(timed, { maxLength: 30 }), fc.nat(), async (sequence, seed) => {
      const chance = generator(seed);
      const bench = createBench({
        random: chance,
        syncMs: () => [60, 400, 900, 5000, 90_000][Math.floor(chance() * 5)] as number,
      });
      const world: World = { bench, chance, spec: {} };
      for (const name of NAMES) bench.cluster.put(backendOf(name));
      bench.cluster.put(service);
      bench.cluster.put(slices[0]);
      put(world, {});
      const claims = watchClaims(bench);
      const harm = watchPods(bench);
      await bench.start();
      for (const { step, pause } of sequence) {
        await step(world);
        await bench.clock.advance(pause);
      }
      heal(world);
      // an edit, as a change that ended pods again and again waits for one
      put(world, { routes: [{ name: "all", match: { extensions: ["4000-4999"] }, set: "pbx" }] });
      await bench.clock.until(
        () =>
          bench.inSync() &&
          bench.condition("Programmed") === "True Programmed" &&
          revisionOf(world) === wantedRevision(bench),
        400_000,
      );
      await bench.clock.advance(10_000);
      const before = written(world);
      await bench.clock.advance(30_000);
      expect(written(world)).toBe(before);
      expect(bench.inSync()).toBe(true);
      expect(claims).toEqual([]);
      expect(harm).toEqual([]);
      await bench.stop();
    }),
    { numRuns: 60 },
  );
});
