/** Whatever happens in between, every ready pod ends at the last accepted revision, and then nothing happens any more. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { defaultPipeline } from "../../../src/controller/index.ts";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";
import type { CallFault } from "../../support/fakeKamailio.ts";

const NAMES = ["pbx-1", "pbx-2", "pbx-3", "pbx-4"];

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
          bench.cluster.put(backend(name, { adminState })),
    ),
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
  for (const pod of bench.cluster.pods("default/edge")) {
    bench.kamailios.at(pod.ip).up = true;
    if (!pod.ready) bench.cluster.setPod(pod.name, { ready: true });
  }
};

const wanted = ({ bench }: World): string | undefined => {
  const { router: resolved } = defaultPipeline.resolveRouter(bench.cluster.snapshot(), "default/edge");
  if (resolved === undefined) return undefined;
  return defaultPipeline.renderRouter(defaultPipeline.buildPlan(resolved, { image: "kamailio:test" })).files.desired
    .revision;
};

const revisionOf = ({ bench }: World): unknown => {
  const status = bench.cluster.get("SipRouter", "default", "edge")?.status as { revision?: string } | undefined;
  return status?.revision;
};

const written = ({ bench }: World): number =>
  bench.cluster.writes.length +
  bench.cluster.events.length +
  bench.cluster.pods("default/edge").reduce((sum, pod) => sum + bench.kamailios.at(pod.ip).calls.length, 0);

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
      for (const name of NAMES) bench.cluster.put(backend(name));
      put(world, {});
      await bench.start();
      for (const { step, pause } of sequence) {
        await step(world);
        await bench.clock.advance(pause);
      }
      heal(world);
      put(world, {});
      await bench.clock.until(
        () =>
          bench.inSync() && bench.condition("Programmed") === "True Programmed" && revisionOf(world) === wanted(world),
        400_000,
      );
      await bench.clock.advance(10_000);
      const before = written(world);
      await bench.clock.advance(30_000);
      expect(written(world)).toBe(before);
      expect(bench.inSync()).toBe(true);
      await bench.stop();
    }),
    { numRuns: 60 },
  );
});
