/** Users of Secrets: their passwords become hashes in a Secret, and nothing tells of them elsewhere. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { buildPlan } from "../../../src/ir/index.ts";
import { resolveRouter, snapshotOf } from "../../../src/model/index.ts";
import { renderFiles, renderRouter } from "../../../src/render/index.ts";
import { HA1, readRows, securedPlan as plan } from "../../support/securedPlan.ts";

const secret = (data: Record<string, string>) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "default", name: "subscribers", uid: "6b9cf0f5" },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
});

const resolved = (data: Record<string, string>, domains?: readonly object[]) => {
  const router = {
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "SipRouter",
    metadata: { namespace: "default", name: "edge", uid: "1" },
    spec: {
      dispatcherSets: [{ name: "a", backends: [{ name: "pbx" }] }],
      authentication: {
        mode: "Digest",
        ...(domains === undefined ? { realm: "example.com", credentialsSecretName: "subscribers" } : { domains }),
      },
    },
  };
  const other = { ...secret({ "1001": "two" }), metadata: { namespace: "default", name: "other", uid: "other-uid" } };
  const backend = {
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "PbxBackend",
    metadata: { namespace: "default", name: "pbx", uid: "2" },
    spec: { address: "192.0.2.1" },
  };
  return resolveRouter(snapshotOf([router, backend, secret(data), other]), "default/edge");
};

test("users of several domains: each with the domain as the realm of its passwords, of its own Secret", () => {
  const { router, issues } = resolved({ "1001": "one" }, [
    { domain: "b.test", credentialsSecretName: "subscribers" },
    { domain: "a.test", credentialsSecretName: "other" },
  ]);
  expect(issues).toEqual([]);
  if (router === undefined) throw new Error("not resolved");
  const made = buildPlan(router, { image: "kamailio" });
  expect(made.structure.authentication).toEqual({ domains: true });
  const md5 = (text: string): string => createHash("md5").update(text).digest("hex");
  expect(made.data.credentials).toEqual({
    salt: "6b9cf0f5 other-uid",
    domains: ["a.test", "b.test"],
    users: [
      { user: "1001", domain: "a.test", ha1: md5("1001:a.test:two") },
      { user: "1001", domain: "b.test", ha1: md5("1001:b.test:one") },
    ],
  });
});

test("a Secret of a domain that is missing or wrong is told by its path", () => {
  const { router, issues, unusable } = resolved({ "1001": "" }, [
    { domain: "c.test", credentialsSecretName: "nowhere" },
    { domain: "a.test", credentialsSecretName: "other" },
    { domain: "b.test", credentialsSecretName: "subscribers" },
  ]);
  expect(router).toBeUndefined();
  expect(unusable).toEqual(["nowhere", "subscribers"]);
  expect(issues.map(({ reason, path }) => [reason, path])).toContainEqual([
    "SecretNotFound",
    "spec.authentication.domains[0].credentialsSecretName",
  ]);
  expect(issues.map(({ reason, path }) => [reason, path])).toContainEqual([
    "SecretInvalid",
    "spec.authentication.domains[2].credentialsSecretName",
  ]);
});

describe("the Secret of users", () => {
  test("more users than a Secret holds are refused, not half of them written", () => {
    const users = Array.from({ length: 25_000 }, (_, index) => ({ user: `user-${index}`, ha1: HA1 }));
    expect(() => renderRouter(plan({ credentials: { salt: "s", users } }))).toThrow(/a Secret holds 1048576/);
    expect(
      renderRouter(plan({ credentials: { salt: "s", users: users.slice(0, 15_000) } })).objects.length,
    ).toBeGreaterThan(0);
  });

  const password = 'gr8 secret: ä\\"';

  test("passwords become hashes, in a Secret and nowhere else", () => {
    const { router, issues } = resolved({ alice: password, bob: `ha1:${HA1.toUpperCase()}` });
    expect(issues).toEqual([]);
    if (router === undefined) throw new Error("not resolved");
    const made = buildPlan(router, { image: "kamailio" });
    const { files, objects } = renderRouter(made);
    const ha1 = createHash("md5").update(`alice:example.com:${password}`).digest("hex");
    expect(
      readRows(files.secret["credentials"] ?? "")
        .slice(1)
        .map((row) => [row[0], row[3]]),
    ).toEqual([
      ["alice", ha1],
      ["bob", HA1],
    ]);
    expect(JSON.stringify(made)).not.toContain(password);
    const others = JSON.stringify([
      objects.filter(({ kind }) => kind !== "Secret"),
      files.data,
      files.structure,
      files.desired,
    ]);
    for (const hidden of [ha1, HA1, "alice", "gr8"]) expect(others).not.toContain(hidden);
    const [stored] = objects.filter(({ kind }) => kind === "Secret");
    expect(stored?.metadata.name).toBe("edge-credentials");
    expect(JSON.stringify(objects.find(({ kind }) => kind === "Deployment"))).toContain(
      '"secret":{"name":"edge-credentials"}',
    );
  });

  test("the generation, which status shows, tells nothing without the Secret", () => {
    const of = (salt: string): string | undefined =>
      renderFiles(plan({ credentials: { salt, users: [{ user: "1000", ha1: HA1 }] } })).desired.tables.find(
        ({ name }) => name === "credentials",
      )?.generation;
    expect(of("a")).not.toBe(of("b"));
  });

  test.each([
    ["a password that is empty", { alice: "" }],
    ["a password that ends with a line end", { alice: "hidden1\n" }],
    ["a hash that is none", { alice: "ha1:hidden1" }],
    ["a password of 2,000 bytes", { alice: "hidden1".repeat(300) }],
    ["a user of 65 characters", { ["a".repeat(65)]: "hidden1" }],
  ])("%s is told by its key, without its value; nothing new is rendered", (_, data) => {
    const { router, issues } = resolved({ good: "x", ...data });
    expect(router).toBeUndefined();
    expect(issues.map(({ reason, path, transient }) => [reason, path, transient])).toEqual([
      ["SecretInvalid", "spec.authentication.credentialsSecretName", true],
    ]);
    expect(issues[0]?.message).toMatch(/^Secret default\/subscribers, key "a+|alice/);
    expect(issues[0]?.message).not.toContain("hidden1");
  });
});
