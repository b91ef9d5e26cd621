/** The status is about the spec that was decided last, not about the newest one. */
import { afterEach, expect, test } from "vitest";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";
import { watchClaims } from "../../support/statusClaims.ts";

let bench: Bench;
let fastApply: Bench["cluster"]["apply"] | undefined;
afterEach(async () => {
  if (fastApply !== undefined) bench.cluster.apply = fastApply;
  fastApply = undefined;
  await bench.clock.advance(5000);
  await bench.stop();
});

const slowWrites = (milliseconds: number): void => {
  const apply = bench.cluster.apply.bind(bench.cluster);
  fastApply = apply;
  bench.cluster.apply = async (objects) => {
    await new Promise<void>((resolve) => void bench.clock.setTimeout(resolve, milliseconds));
    await apply(objects);
  };
};

const started = async (options: Parameters<typeof createBench>[0] = {}): Promise<readonly string[]> => {
  bench = createBench(options);
  for (const object of [backend("pbx-1"), backend("pbx-2"), router()]) bench.cluster.put(object);
  const violations = watchClaims(bench);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  return violations;
};
const observed = (): unknown =>
  (bench.cluster.get("SipRouter", "default", "edge") as { status?: { observedGeneration?: number } }).status
    ?.observedGeneration;

test("an edit that has to wait for the last one's files is not claimed before it is taken up", async () => {
  const violations = await started({ syncMs: () => 50 });
  for (const range of ["2000-2999", "3000-3999", "4000-4999"]) {
    bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: [range] }, set: "pbx" }] }));
    await bench.clock.advance(250);
  }
  await bench.clock.until(() => bench.condition("Ready") === "True Ready" && observed() === 4);
  expect(violations).toEqual([]);
});

test("an edit that comes while the last one is written is not claimed with it", async () => {
  const violations = await started();
  slowWrites(500);
  bench.cluster.put(router({ dispatcherSets: [{ name: "pbx", id: 1, backends: [{ name: "pbx-1" }] }] }));
  await bench.clock.advance(100);
  bench.cluster.put(router({ dispatcherSets: [{ name: "pbx", id: 1, backends: [{ name: "pbx-2" }] }] }));
  await bench.clock.until(() => bench.condition("Ready") === "True Ready" && observed() === 3);
  expect(violations).toEqual([]);
});

test("a change of the structure is not Ready before the Deployment has it", async () => {
  const violations = await started();
  const port = (): string => JSON.stringify(bench.cluster.get("Deployment", "default", "edge")?.spec);
  let claimed: string | undefined;
  const { onStatus } = bench.cluster;
  bench.cluster.onStatus = (object, status) => {
    onStatus(object, status);
    const { conditions } = status as { conditions: { type: string; status: string; observedGeneration: number }[] };
    const ready = conditions.find(({ type }) => type === "Ready");
    if (ready?.status === "True" && ready.observedGeneration === 2) claimed ??= port();
  };
  slowWrites(700);
  bench.cluster.put(router({ listeners: [{ name: "udp", transport: "UDP", port: 5080 }] }));
  await bench.clock.until(() => claimed !== undefined);
  expect(claimed).toContain("5080");
  expect(violations).toEqual([]);
});
