import { expect, test } from "vitest";
import { sipRouterSpec, type SipRouter } from "../../../src/api/index.ts";
import { resolveRouter, snapshotOf } from "../../../src/model/index.ts";
import { sharedUsers } from "../../../src/model/tenants.ts";

const authentication = { mode: "Digest", realm: "example.com", credentialsSecretName: "users" };
const routerOf = (mode: string, one: object, other: object, login: object = authentication): SipRouter => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "default" },
  spec: sipRouterSpec.parse({
    authentication: login,
    registration: { mode },
    dispatcherSets: [{ name: "s", backends: [{ name: "b" }] }],
    routes: [
      { name: "one", match: one, set: "s" },
      { name: "other", match: other, set: "s" },
    ],
  }),
});

const a = { domains: ["a.test"], extensions: ["2000", "1000-1999"] };

test.each([
  ["the same range", { domains: ["b.test"], extensions: ["1000-1999"] }],
  ["a range inside it", { domains: ["b.test"], extensions: ["300", "1200-1299"] }],
  ["one extension of it", { domains: ["b.test"], extensions: ["1500"] }],
  ["a range that ends in it", { domains: ["b.test"], extensions: ["0500-1000"] }],
])("a registrar whose tenants share %s is refused: phones would get each other's calls", (_, b) => {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const [issue, ...more] = sharedUsers(routerOf("Registrar", one, other));
    expect(more).toEqual([]);
    expect(issue).toMatchObject({ reason: "NotSupported", transient: false });
    expect(issue?.path).toMatch(/^spec\.routes\[1\]\.match\.extensions\[[01]\]$/);
    expect(issue?.message).toMatch(
      /the route one .*the route other .*spec\.authentication\.domains.*router of its own/,
    );
  }
});

test.each<[string, string, object]>([
  ["extensions apart", "Registrar", { domains: ["b.test"], extensions: ["3000-3999"] }],
  ["extensions of another length", "Registrar", { domains: ["b.test"], extensions: ["100-199"] }],
  ["a domain in common", "Registrar", { domains: ["a.test", "b.test"], extensions: ["1200-1299"] }],
  ["no domain", "Registrar", { extensions: ["1000-1999"] }],
  ["the PBXes as registrars", "Forward", { domains: ["b.test"], extensions: ["1000-1999"] }],
])("%s: no phone gets another's calls", (_, mode, other) => {
  expect(sharedUsers(routerOf(mode, a, other))).toEqual([]);
});

const domainsOf = (...domains: readonly string[]): object => ({
  mode: "Digest",
  domains: domains.map((domain) => ({ domain, credentialsSecretName: "users" })),
});

test("domains that have users of their own may share extensions; one that has none is named", () => {
  const b = { domains: ["b.test"], extensions: ["1200-1299"] };
  expect(sharedUsers(routerOf("Registrar", a, b, domainsOf("a.test", "b.test")))).toEqual([]);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const [issue, ...more] = sharedUsers(routerOf("Registrar", one, other, domainsOf("a.test", "c.test")));
    expect(more).toEqual([]);
    expect(issue).toMatchObject({ reason: "NotSupported", transient: false });
    expect(issue?.message).toMatch(/b\.test has no users of its own: add it to spec\.authentication\.domains/);
  }
  // of a route with several domains each counts
  const both = { ...b, domains: ["b.test", "d.test"] };
  const [issue] = sharedUsers(routerOf("Registrar", a, both, domainsOf("a.test", "b.test")));
  expect(issue?.message).toContain("d.test has no users of its own");
});

test("such a router is not served", () => {
  const { router, issues } = resolveRouter(
    snapshotOf([routerOf("Registrar", a, { ...a, domains: ["b.test"] })]),
    "default/edge",
  );
  expect(router).toBeUndefined();
  expect(issues.map(({ reason }) => reason)).toContain("NotSupported");
});
