import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sipRouterSpec, type SipRouter } from "../../../src/api/index.ts";
import { routeConflicts } from "../../../src/model/routes.ts";

const routerOf = (routes: readonly object[]): SipRouter => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "default" },
  spec: sipRouterSpec.parse({ dispatcherSets: [{ name: "s", backends: [{ name: "b" }] }], routes }),
});
const route = (name: string, match: object): object => ({ name, match, set: "s" });
const conflictsOf = (...routes: readonly object[]): readonly string[] =>
  routeConflicts(routerOf(routes)).map((issue) => `${issue.reason} ${issue.path}: ${issue.message}`);

describe("route conflicts", () => {
  test("name both routes, both places and the remedy", () => {
    const found = conflictsOf(
      route("sales", { extensions: ["1000-1999"] }),
      route("support", { extensions: ["300", "1500-2500"] }),
    );
    expect(found).toEqual([
      "RouteConflict spec.routes[1].match.extensions[1]: the route sales (spec.routes[0].match.extensions[0], range 1000-1999) and the route support (spec.routes[1].match.extensions[1], range 1500-2500) overlap, and neither range contains the other: change one of the two so that they are apart or one is inside the other.",
    ]);
  });

  test.each([
    ["the same extension", { extensions: ["100"] }, { extensions: ["200", "100"] }],
    ["a range of one number and that extension", { extensions: ["100-100"] }, { extensions: ["100"] }],
    ["the same range", { extensions: ["100-199"] }, { extensions: ["100-199"] }],
    ["the same prefix", { prefixes: ["+44"] }, { prefixes: ["0044", "+44"] }],
    [
      "the same range in one of several domains",
      { domains: ["a.test", "b.test"], extensions: ["100-199"] },
      { domains: ["b.test", "c.test"], extensions: ["100-199"] },
    ],
    ["a whole domain", { domains: ["a.test"] }, { domains: ["a.test"] }],
  ])("%s claimed by two routes", (_, one, other) => {
    const found = conflictsOf(route("one", one), route("other", other));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(
      /^RouteConflict spec\.routes\[1\].*the route one .*the route other .*claim the same numbers: remove one of the two\.$/,
    );
  });

  test.each([
    ["a range inside another", { extensions: ["1000-1999"] }, { extensions: ["1200-1299"] }],
    ["a range with the same start inside another", { extensions: ["1000-1999"] }, { extensions: ["1000-1099"] }],
    ["an extension inside a range", { extensions: ["1000-1999"] }, { extensions: ["1999"] }],
    ["ranges of other lengths", { extensions: ["100-199"] }, { extensions: ["1500-2500"] }],
    ["ranges side by side", { extensions: ["100-199"] }, { extensions: ["200-299"] }],
    ["a prefix and a range", { extensions: ["1000-1999"] }, { prefixes: ["1"] }],
    ["nested prefixes", { prefixes: ["4"] }, { prefixes: ["44"] }],
    [
      "the same range in other domains",
      { domains: ["a.test"], extensions: ["100-199"] },
      { domains: ["b.test"], extensions: ["100-199"] },
    ],
    [
      "the same range with and without a domain",
      { domains: ["a.test"], extensions: ["100-199"] },
      { extensions: ["100-199"] },
    ],
  ])("none: %s", (_, one, other) => {
    expect(conflictsOf(route("one", one), route("other", other))).toEqual([]);
  });

  test("ranges of one route may overlap", () => {
    expect(conflictsOf(route("one", { extensions: ["100-199", "150-250", "100-199", "120"] }))).toEqual([]);
  });

  test("are found exactly where two ranges of two routes are equal or partly overlap", () => {
    const range = fc
      .tuple(fc.nat(40), fc.nat(40))
      .map(([a, b]) => [100 + Math.min(a, b), 100 + Math.max(a, b)] as const);
    const routes = fc.array(fc.array(range, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(routes, (table) => {
        const all = table.flatMap((ranges, index) => ranges.map((one) => ({ index, one })));
        const clash = all.some((a) =>
          all.some(({ index, one: [from, to] }) => {
            if (index === a.index) return false;
            if (from === a.one[0] && to === a.one[1]) return true;
            const [single, other] = [from === to, a.one[0] === a.one[1]];
            return !single && !other && from < a.one[0] && a.one[0] <= to && to < a.one[1];
          }),
        );
        const issues = routeConflicts(
          routerOf(
            table.map((ranges, index) => route(`r${index}`, { extensions: ranges.map((one) => one.join("-")) })),
          ),
        );
        expect(issues.length > 0).toBe(clash);
      }),
      { numRuns: 500 },
    );
  });

  test("are found quickly in a table of 10,000 routes with nested ranges", () => {
    const nested = Array.from({ length: 9_999 }, (_, index) =>
      route(`r${index}`, { extensions: [`${10_000 + index}-${99_999 - index}`] }),
    );
    const found = conflictsOf(...nested, route("last", { extensions: ["15000-99998"] }));
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toContain("the route last");
  });
});
