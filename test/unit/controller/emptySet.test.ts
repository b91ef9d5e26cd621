/** A set that would lose its last destination keeps it, whoever looks. */
import { afterEach, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { backend, createBench, router, serviceBackend, slice, type Bench } from "../../support/controllerBench.ts";

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

test("a backend whose slice is empty for a while rolls nothing, and keeps its login and its limit of calls", async () => {
  bench = createBench();
  const login: RawObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace: "default", name: "login" },
    ...{ data: { username: "dHJ1bms=", password: "c2VjcmV0LXdvcmQ=" } },
  };
  const trunk = serviceBackend("pbx-2", { maxCalls: 30, credentialsSecretName: "login" });
  for (const object of [login, backend("pbx-1"), ...trunk, slice("pbx-2", { "192.0.2.21": { ready: true } })])
    bench.cluster.put(object);
  bench.cluster.put(router(sets));
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  const stored = (): string =>
    JSON.stringify([
      bench.cluster.get("Secret", "default", "edge-credentials"),
      bench.cluster.get("ConfigMap", "default", "edge-dispatcher"),
      bench.cluster.get("Deployment", "default", "edge")?.spec,
    ]);
  const before = stored();
  expect(before).toContain("192.0.2.21");
  bench.cluster.put(slice("pbx-2", {}));
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "False NoBackends");
  await bench.clock.advance(30_000);
  expect(stored()).toBe(before);
  const deployments = (): number => bench.cluster.writes.filter((one) => one.includes("Deployment")).length;
  await bench.restart();
  await bench.clock.advance(30_000);
  bench.cluster.put(slice("pbx-2", { "192.0.2.22": { ready: true } }));
  await bench.clock.until(() =>
    bench.cluster
      .pods("default/edge")
      .every(({ ip }) => bench.kamailios.at(ip).destinations.some(({ uri }) => uri.includes("192.0.2.22:"))),
  );
  expect(deployments()).toBe(1);
});

test("the last pod of a Service takes calls while it ends and still serves; one that is not ready does not", async () => {
  bench = createBench();
  for (const object of [
    backend("pbx-1"),
    ...serviceBackend("pbx-2"),
    slice("pbx-2", { "192.0.2.21": { ready: true } }),
  ])
    bench.cluster.put(object);
  bench.cluster.put(router(sets));
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  const tiers = (): ReadonlySet<string> =>
    new Set(
      bench.cluster.pods("default/edge").map(({ ip }) =>
        bench.kamailios
          .at(ip)
          .destinations.filter(({ setId }) => setId >= 200)
          .map(({ setId, uri }) => `${setId} ${/[0-9.]+/.exec(uri)?.[0]}`)
          .toSorted()
          .join(", "),
      ),
    );
  const told = (): string => JSON.stringify(bench.cluster.get("SipRouter", "default", "edge")?.status);
  const ends = slice("pbx-2", { "192.0.2.21": { ready: false, serving: true, terminating: true } });
  for (const object of [ends, slice("pbx-2", {})]) {
    bench.cluster.put(object);
    await bench.clock.advance(10_000);
    expect([...tiers()]).toEqual(["200 192.0.2.21"]);
  }
  expect(told()).toContain("goes on serving");
  const fails = slice("pbx-2", { "192.0.2.22": { ready: false, serving: false } });
  for (const object of [fails, slice("pbx-2", {})]) {
    bench.cluster.put(object);
    await bench.clock.advance(10_000);
    expect([...tiers()]).toEqual(["299 192.0.2.22"]);
  }
  expect(told()).not.toContain("goes on serving");
  bench.cluster.put(
    slice("pbx-2", { "192.0.2.22": { ready: true }, "192.0.2.21": { ready: false, serving: true, terminating: true } }),
  );
  await bench.clock.advance(10_000);
  expect([...tiers()]).toEqual(["200 192.0.2.22, 299 192.0.2.21"]);
});
