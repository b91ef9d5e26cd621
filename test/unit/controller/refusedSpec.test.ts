/** While the newest spec is refused, the one that was accepted last is followed: its backends come, go and drain as ever. */
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { backend, createBench, router, serviceBackend, slice, type Bench } from "../../support/controllerBench.ts";

let bench: Bench;
afterEach(() => bench.stop());

const conflict = [
  { name: "a", match: { extensions: ["1000-1999"] }, set: "pbx" },
  { name: "b", match: { extensions: ["1000-1999"] }, set: "pbx" },
];
const set = { dispatcherSets: [{ name: "pbx", id: 1, backends: [{ name: "pbx-1" }, { name: "pbx-2" }] }] };
const started = async (spec: object = set, more: readonly RawObject[] = []): Promise<void> => {
  bench = createBench();
  const [first, service] = serviceBackend("pbx-1") as [RawObject, RawObject];
  for (const object of [first, service, slice("pbx-1", { "192.0.2.11": { ready: true } }), backend("pbx-2"), ...more])
    bench.cluster.put(object);
  bench.cluster.put(router(spec));
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
};
const lists = (): ReadonlySet<string> =>
  new Set(
    bench.cluster.pods("default/edge").map(({ ip }) =>
      bench.kamailios
        .at(ip)
        .destinations.map(({ setId, uri }) => `${setId} ${/[0-9.]+/.exec(uri)?.[0]}`)
        .toSorted()
        .join(", "),
    ),
  );
const follow = async (wanted: string): Promise<void> => {
  await bench.clock.until(() => lists().size === 1 && lists().has(wanted), 10_000);
};

test("after a conflicting edit the pods follow slices and adminState, also under an operator that is started anew", async () => {
  await started();
  bench.cluster.put(router({ ...set, routes: conflict }));
  await bench.clock.until(() => bench.condition("Accepted") === "False RouteConflict");
  bench.cluster.put(slice("pbx-1", { "192.0.2.11": { ready: false }, "192.0.2.12": { ready: true } }));
  await follow("100 192.0.2.12, 100 192.0.2.2, 199 192.0.2.11");
  await bench.clock.until(() => bench.condition("Programmed") === "True Programmed");
  expect(bench.condition("Accepted")).toBe("False RouteConflict");

  await bench.restart();
  bench.cluster.put(slice("pbx-1", { "192.0.2.13": { ready: true } }));
  await follow("100 192.0.2.13, 100 192.0.2.2");
  bench.cluster.put(backend("pbx-2", { adminState: "Draining" }));
  await follow("100 192.0.2.13, 199 192.0.2.2");
  expect(bench.condition("Accepted")).toBe("False RouteConflict");
  expect(bench.condition("Ready")).toBe("False RouteConflict");

  bench.cluster.put(router({ ...set, replicas: 2 }));
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
});

test("a backend that the refused spec names no longer is followed, too", async () => {
  await started();
  bench.cluster.put(
    router({ dispatcherSets: [{ name: "pbx", id: 1, backends: [{ name: "pbx-2" }] }], routes: conflict }),
  );
  await bench.clock.until(() => bench.condition("Accepted") === "False RouteConflict");
  bench.cluster.put(slice("pbx-1", { "192.0.2.12": { ready: true } }));
  await follow("100 192.0.2.12, 100 192.0.2.2");
  expect(bench.condition("Accepted")).toBe("False RouteConflict");
});

test("while the Secret of the users is gone, the users stay and the backends are followed", async () => {
  const users: RawObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace: "default", name: "users" },
    ...{ data: { alice: Buffer.from("a-long-password").toString("base64") } },
  };
  await started({ ...set, authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "users" } }, [
    users,
  ]);
  const table = (): unknown => bench.cluster.get("Secret", "default", "edge-credentials")?.["data"] ?? "none";
  const before = table();
  expect(JSON.stringify(before)).toContain("credentials");
  bench.cluster.remove("Secret", "default", "users");
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "False SecretNotFound");
  bench.cluster.put(slice("pbx-1", { "192.0.2.12": { ready: true } }));
  await follow("100 192.0.2.12, 100 192.0.2.2");
  expect(table()).toEqual(before);

  // so does an operator that starts meanwhile, by the router's own Secret
  await bench.restart();
  bench.cluster.put(slice("pbx-1", { "192.0.2.13": { ready: true } }));
  await follow("100 192.0.2.13, 100 192.0.2.2");
  const hashes = (of: unknown): readonly string[] =>
    atob((of as Record<string, string>)["credentials"] ?? "").match(/^alice:.*$/gm) ?? [];
  expect(hashes(before)).toHaveLength(1);
  expect(hashes(table())).toEqual(hashes(before));
  expect(bench.condition("ResolvedRefs")).toBe("False SecretNotFound");
});

const secretOf = (name: string, users: Readonly<Record<string, string>>): RawObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "default", name },
  ...{ data: Object.fromEntries(Object.entries(users).map(([user, text]) => [user, btoa(text)])) },
});
const domainsOf = (...names: readonly string[]): object => ({
  authentication: {
    mode: "Digest",
    domains: names.map((name) => ({ domain: `${name}.example.com`, credentialsSecretName: name })),
  },
});

test("a Secret of one tenant that is gone or wrong leaves its users as they are, and the other tenants and the spec go on", async () => {
  const users = (): readonly string[] => {
    const data = bench.cluster.get("Secret", "default", "edge-credentials")?.["data"] as Record<string, string>;
    return atob(data["tenants"] ?? "").match(/[\w.]+@[ab]\.example\.com/g) ?? [];
  };
  const untilUsers = (...wanted: readonly string[]): Promise<void> =>
    bench.clock.until(
      () =>
        users().join() ===
        wanted
          .map((one) => `${one}.example.com`)
          .toSorted()
          .join(),
      10_000,
    );
  await started({ ...set, ...domainsOf("a", "b") }, [secretOf("a", { 1001: "x" }), secretOf("b", { 1001: "x" })]);
  await untilUsers("1001@a", "1001@b");

  bench.cluster.remove("Secret", "default", "b");
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "False SecretNotFound");
  bench.cluster.put(secretOf("a", { 1001: "x", 1002: "y" }));
  await untilUsers("1001@a", "1002@a", "1001@b");
  bench.cluster.put(router({ ...set, ...domainsOf("a", "b"), routes: [conflict[0]] }));
  await bench.clock.until(() => bench.condition("Programmed") === "True Programmed");
  expect(bench.condition("Accepted")).toBe("True Accepted");
  await untilUsers("1001@a", "1002@a", "1001@b");

  bench.cluster.put(secretOf("b", { 1001: "x", 1002: "" }));
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "False SecretInvalid");
  bench.cluster.put(secretOf("a", { 1002: "y" }));
  await untilUsers("1002@a", "1001@b");

  // an operator that starts knows what was there by the router's own Secret
  await bench.restart();
  bench.cluster.put(secretOf("a", { 1003: "z" }));
  bench.cluster.put(slice("pbx-1", { "192.0.2.12": { ready: true } }));
  await follow("100 192.0.2.12, 100 192.0.2.2");
  await untilUsers("1003@a", "1001@b");
  expect(bench.condition("ResolvedRefs")).toBe("False SecretInvalid");
  bench.cluster.put(router({ ...set, ...domainsOf("a", "b"), routes: [] }));
  await bench.clock.until(() => bench.condition("Accepted") === "True Accepted");
  await untilUsers("1003@a", "1001@b");
  bench.cluster.put(secretOf("b", { 1002: "y" }));
  await untilUsers("1003@a", "1002@b");
  await bench.clock.until(() => bench.condition("ResolvedRefs") === "True ResolvedRefs");
});

describe("an operator that starts while the Secret of users is missing", () => {
  const tenants = (of: Readonly<Record<string, string>>): object => ({
    ...set,
    authentication: {
      mode: "Digest",
      domains: Object.entries(of).map(([name, credentialsSecretName]) => ({
        domain: `${name}.example.com`,
        credentialsSecretName,
      })),
    },
  });
  const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
  const stored = (): RawObject & { data: Record<string, string> } =>
    bench.cluster.get("Secret", "default", "edge-credentials") as RawObject & { data: Record<string, string> };
  const file = (name: string): string => atob(stored().data[name] ?? "");
  const lost = async (spec: object): Promise<void> => {
    await started(spec, [secretOf("users", { alice: "pw" })]);
    bench.cluster.remove("Secret", "default", "users");
    await bench.clock.until(() => bench.condition("ResolvedRefs") === "False SecretNotFound");
    await bench.restart();
  };

  test("keeps the hashes of each realm where two domains have one Secret", async () => {
    await lost(tenants({ a: "users", b: "users" }));
    bench.cluster.put(slice("pbx-1", { "192.0.2.13": { ready: true } }));
    await bench.clock.advance(20_000);
    for (const name of ["a", "b"])
      expect(file("tenants")).toContain(`alice@${name}.example.com:0:0:${md5(`alice:${name}.example.com:pw`)}`);
  });

  test.each<Record<string, string>>([{ c: "users" }, { a: "users", c: "users" }])(
    "does not take a hash of another realm when the Secret is of other domains now: %j",
    async (next) => {
      await lost(tenants({ a: "users" }));
      await bench.clock.advance(60_000);
      bench.cluster.put(router(tenants(next)));
      await bench.clock.advance(20_000);
      expect(file("tenants")).toContain(`alice@a.example.com:0:0:${md5("alice:a.example.com:pw")}`);
      expect(file("tenants")).not.toContain("c.example.com");
    },
  );

  test("mends what somebody writes into the router's own Secret then", async () => {
    await lost({ ...set, authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "users" } });
    await bench.clock.advance(60_000);
    const credentials = btoa(`${file("credentials")}mallory:0:0:${"0".repeat(32)}:0\n`);
    bench.cluster.put({ ...stored(), data: { ...stored().data, credentials } });
    await bench.clock.advance(700_000);
    expect(file("credentials")).toContain("alice");
    expect(file("credentials")).not.toContain("mallory");
  });
});
