/** A set that would lose its last destination keeps it, whoever looks. */
import { afterEach, expect, test } from "vitest";
import { backend, createBench, router, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(() => bench.stop());

const sets = {
  dispatcherSets: [
    { name: "main", id: 1, backends: [{ name: "pbx-1" }] },
    { name: "special", id: 2, backends: [{ name: "pbx-2" }] },
  ],
  routes: [
    { name: "main", match: { extensions: ["1000-1999"] }, set: "main" },
    { name: "special", match: { extensions: ["3000-3999"] }, set: "special" },
  ],
};
const uris = (): string[] =>
  bench.cluster.pods("default/edge").map(({ ip }) =>
    bench.kamailios
      .at(ip)
      .destinations.map((one) => `${one.setId} ${one.uri.slice(4, 13)}`)
      .join(),
  );

test("an operator that is started after the backend went keeps what is stored, and gives it up when another one comes", async () => {
  bench = createBench();
  for (const object of [backend("pbx-1"), backend("pbx-2"), router(sets)]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  const before = uris();
  bench.cluster.remove("PbxBackend", "default", "pbx-2");
  await bench.clock.advance(5000);
  expect(uris()).toEqual(before);
  await bench.restart();
  await bench.clock.advance(30_000);
  expect(uris()).toEqual(before);
  expect(bench.condition("ResolvedRefs")).toMatch(/^False/);
  bench.cluster.put(router({ ...sets, replicas: 2 }));
  await bench.clock.advance(30_000);
  expect(new Set(uris())).toEqual(new Set(before));
  bench.cluster.put(backend("pbx-3"));
  bench.cluster.put(
    router({
      ...sets,
      dispatcherSets: [sets.dispatcherSets[0], { name: "special", id: 2, backends: [{ name: "pbx-3" }] }],
    }),
  );
  await bench.clock.until(() => uris().every((list) => list.includes("192.0.2.3") && !list.includes("192.0.2.2")));
});
