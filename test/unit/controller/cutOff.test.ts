/** Pods that the operator cannot reach for a while: what they missed is no failure of a change, and the others keep it. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { backend, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";

const NAMES = ["pbx-1", "pbx-2", "pbx-3"];
const uriOf = (name: string): string => `192.0.2.${name.slice(4)}:`;
/** An addition that was under way when its PBX was taken out may still arrive. */
const UNDER_WAY_MS = 1000;

async function started(random?: () => number): Promise<Bench> {
  const bench = createBench(random === undefined ? {} : { random });
  for (const name of NAMES) bench.cluster.put(backend(name));
  bench.cluster.put(router(setOf(...NAMES)));
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  await bench.clock.advance(3000);
  return bench;
}
const ips = ({ cluster }: Bench): readonly string[] => cluster.pods("default/edge").map(({ ip }) => ip);
const halts = ({ cluster }: Bench): readonly string[] =>
  cluster.events.filter(({ reason }) => reason === "ReloadFailed").map(({ message }) => message);

test.for([1500, 3000, 10_000])(
  "a pod that answers again after %i ms takes the change that it missed, and nobody goes back",
  async (outage) => {
    const bench = await started();
    const [cut = "", ...others] = ips(bench);
    bench.kamailios.at(cut).up = false;
    bench.cluster.put(router(setOf("pbx-1", "pbx-2")));
    await bench.clock.advance(outage);
    const without = (ip: string): boolean => bench.kamailios.at(ip).destinations.length === 2;
    expect(others.map(without)).toEqual([true, true]);
    const back: string[] = [];
    bench.kamailios.after = (host, method) => void (method === "dispatcher.add" && back.push(host));
    bench.kamailios.at(cut).up = true;
    await bench.clock.until(() => without(cut) && bench.condition("Programmed") === "True Programmed", 5000);
    await bench.clock.advance(20_000);
    expect(back).toEqual([]);
    expect(halts(bench)).toEqual([]);
    await bench.stop();
  },
);

test("a pod that is read but takes no change stops it, also when what it refuses is not answered", async () => {
  const bench = await started();
  const [deaf] = ips(bench);
  bench.kamailios.onCall = (host, method) =>
    host === deaf && method === "dispatcher.remove" ? "unreachable" : undefined;
  bench.cluster.put(router(setOf("pbx-1", "pbx-2")));
  await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed", 30_000);
  expect(bench.kamailios.at(deaf ?? "").destinations).toHaveLength(3);
  await bench.stop();
});

test("whoever is cut off, and for how long: no change is halted, and what was taken out stays out of every pod", async () => {
  const edit = fc.record({ names: fc.shuffledSubarray(NAMES, { minLength: 1 }) });
  const cut = fc.record({ pod: fc.nat(2), up: fc.boolean() });
  const timed = fc.record({ step: fc.oneof(edit, cut), pause: fc.constantFrom(0, 20, 150, 1500, 4000, 15_000) });
  await fc.assert(
    fc.asyncProperty(fc.array(timed, { maxLength: 15 }), async (sequence) => {
      const bench = await started();
      let wanted: readonly string[] = NAMES;
      let since = 0;
      const woken: string[] = [];
      bench.kamailios.after = (host, method, _, [, uri = ""]) => {
        if (method !== "dispatcher.add" || bench.clock.now() - since < UNDER_WAY_MS) return;
        if (!wanted.some((name) => String(uri).includes(uriOf(name)))) woken.push(`${uri} on ${host}`);
      };
      for (const { step, pause } of sequence) {
        if ("names" in step) {
          wanted = step.names;
          since = bench.clock.now();
          bench.cluster.put(router(setOf(...wanted)));
        } else bench.kamailios.at(ips(bench)[step.pod] ?? "").up = step.up;
        await bench.clock.advance(pause);
      }
      for (const ip of ips(bench)) bench.kamailios.at(ip).up = true;
      await bench.clock.until(() => bench.inSync() && bench.condition("Programmed") === "True Programmed", 30_000);
      expect(woken).toEqual([]);
      expect(halts(bench)).toEqual([]);
      await bench.stop();
    }),
    { numRuns: 60 },
  );
});
