import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sipRouterSpec, type SipRouter, type SipRouterSpec } from "../../../src/api/index.ts";
import { blocksOfRange } from "../../../src/ir/blocks.ts";
import { lookupRoute } from "../../../src/ir/lookup.ts";
import { buildRoutes } from "../../../src/ir/routes.ts";
import { routeConflicts } from "../../../src/model/routes.ts";

type RouteSpec = SipRouterSpec["routes"][number];

const specOf = (routes: readonly object[], external?: object): SipRouterSpec =>
  sipRouterSpec.parse({
    dispatcherSets: [{ name: "s", backends: [{ name: "b" }] }],
    routes,
    ...(external ? { external } : {}),
  });
const routerOf = (spec: SipRouterSpec): SipRouter => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "default" },
  spec,
});

/** The documented order, one route after the other: domain, exact, narrowest range, longest prefix, external. */
function scan(spec: SipRouterSpec, number: string, domain: string): string | undefined {
  const score = (route: RouteSpec): readonly number[] | undefined => {
    const { domains = [], extensions = [], prefixes = [] } = route.match;
    if (domains.length > 0 && !domains.includes(domain)) return undefined;
    const exact = extensions.includes(number) || extensions.includes(`${number}-${number}`) ? [[2, 0]] : [];
    const ranges = extensions.flatMap((text) => {
      const [from = "", to] = text.split("-");
      const inside =
        to !== undefined && /^[0-9]+$/.test(number) && number.length === from.length && from <= number && number <= to;
      return inside ? [[1, -(Number(to) - Number(from))]] : [];
    });
    const open = [...prefixes, ...(extensions.length + prefixes.length === 0 ? [""] : [])]
      .filter((prefix) => number.startsWith(prefix))
      .map((prefix) => [0, prefix.length]);
    const best = [...exact, ...ranges, ...open].toSorted(descending)[0];
    return best === undefined ? undefined : [domains.length > 0 ? 1 : 0, ...best];
  };
  const scored = spec.routes.flatMap((route) => {
    const found = score(route);
    return found === undefined ? [] : [{ name: route.name, found }];
  });
  const [winner] = scored.toSorted((a, b) => descending(a.found, b.found));
  return winner?.name ?? (spec.external === undefined ? undefined : "external");
}

function descending(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return (b[index] ?? 0) - value;
  return 0;
}

// Short numbers over few digits: collisions, nesting and neighbours are the rule, not the exception.
const digit = fc.constantFrom("0", "1", "5", "9", "9");
const digits = (min: number, max: number) =>
  fc.array(digit, { minLength: min, maxLength: max }).map((list) => list.join(""));
const range = fc
  .integer({ min: 1, max: 4 })
  .chain((length) => fc.tuple(fc.nat(10 ** length - 1), fc.nat(10 ** length - 1), fc.constant(length)))
  .map(([a, b, length]) =>
    [Math.min(a, b), Math.max(a, b)].map((number) => String(number).padStart(length, "0")).join("-"),
  );
const aligned = fc
  .tuple(digits(0, 3), fc.integer({ min: 1, max: 3 }))
  .map(([head, open]) => `${head}${"0".repeat(open)}-${head}${"9".repeat(open)}`);
const exact = fc.oneof(
  { weight: 5, arbitrary: digits(1, 4) },
  { weight: 1, arbitrary: fc.constantFrom("*9", "1*", "1*5", "#", "+1") },
);
const match = fc
  .record(
    {
      extensions: fc.array(fc.oneof(range, aligned, exact), { minLength: 1, maxLength: 4 }),
      prefixes: fc.array(fc.oneof(digits(1, 3), fc.constantFrom("+", "+1", "*")), { minLength: 1, maxLength: 3 }),
      domains: fc.uniqueArray(fc.constantFrom("a.test", "b.test", "c.test"), { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: [] },
  )
  .filter((one) => Object.keys(one).length > 0);
/** Random routes, each kept only when it is right beside those before it. */
const table = fc.tuple(fc.array(match, { maxLength: 14 }), fc.boolean()).map(([matches, external]) => {
  let spec = specOf([], external ? { set: "s" } : undefined);
  for (const [index, one] of matches.entries()) {
    const next = { ...spec, routes: [...spec.routes, ...specOf([{ name: `r${index}`, match: one, set: "s" }]).routes] };
    if (routeConflicts(routerOf(next)).length === 0) spec = next;
  }
  return spec;
});
const number = fc.oneof(
  { weight: 6, arbitrary: digits(1, 5) },
  { weight: 2, arbitrary: fc.nat(99_999).map(String) },
  { weight: 1, arbitrary: exact },
);

describe("lookup table", () => {
  test("gives every number the route that the documented order gives it", () => {
    const seen = { routed: 0, tenants: 0 };
    fc.assert(
      fc.property(
        table,
        fc.array(number, { minLength: 20, maxLength: 20 }),
        fc.constantFrom("a.test", "b.test", "c.test", "other.test"),
        (spec, numbers, domain) => {
          const plan = { sets: [], access: { allow: [], deny: [] }, ...buildRoutes(spec.routes, spec.external) };
          for (const called of numbers) {
            const expected = scan(spec, called, domain);
            expect([called, lookupRoute(plan, called, domain)?.route]).toEqual([called, expected]);
            if (expected !== undefined && expected !== "external") seen.routed += 1;
          }
          if (plan.domains.length > 0) seen.tenants += 1;
        },
      ),
      { numRuns: 400 },
    );
    expect(seen.routed).toBeGreaterThan(500);
    expect(seen.tenants).toBeGreaterThan(50);
  });

  test("is the same whatever the order of the routes", () => {
    fc.assert(
      fc.property(
        table.chain((spec) =>
          fc.tuple(fc.constant(spec), fc.shuffledSubarray([...spec.routes], { minLength: spec.routes.length })),
        ),
        ([spec, shuffled]) => {
          expect(buildRoutes(shuffled, spec.external)).toEqual(buildRoutes(spec.routes, spec.external));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("holds one row for a range of a power of ten, and none that another row makes needless", () => {
    const { routes } = specOf([
      { name: "a", match: { extensions: ["1000-1999", "1200-1299", "1234"] }, set: "s" },
      {
        name: "b",
        match: { extensions: ["200", "201", "202", "203", "204", "205", "206", "207", "208", "209"] },
        set: "s",
      },
      { name: "c", match: { prefixes: ["44", "441", "4"] }, set: "s" },
    ]);
    const rows = buildRoutes(routes, undefined).routes.map(
      ({ route, pattern }) => `${route} ${pattern.digits}/${pattern.length ?? "any"}`,
    );
    expect(rows).toEqual(["c 4/any", "b 20/3", "a 1/4"]);
  });
});

describe("blocks of a range", () => {
  test("hold exactly its numbers, and no two could be one", () => {
    fc.assert(
      fc.property(range, (text) => {
        const [from = "", to = ""] = text.split("-");
        const blocks = blocksOfRange(from, to);
        const numbers = blocks.flatMap((block) => {
          const open = from.length - block.length;
          return Array.from({ length: 10 ** open }, (_, index) =>
            open === 0 ? block : block + String(index).padStart(open, "0"),
          );
        });
        const wanted = Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) =>
          String(Number(from) + index).padStart(from.length, "0"),
        );
        expect(numbers).toEqual(wanted);
        const parents = Map.groupBy(blocks, (block) => block.slice(0, -1));
        expect([...parents.values()].filter((children) => children.length === 10)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe("tenants", () => {
  const routeFor = (domain: string): object => ({
    name: domain.replaceAll(".", "-"),
    match: { domains: [domain], prefixes: ["1"] },
    set: "s",
  });
  const numbersOf = (domains: readonly string[]): Readonly<Record<string, number>> =>
    Object.fromEntries(
      buildRoutes(specOf(domains.map(routeFor)).routes, undefined).domains.map(({ domain, tenant }) => [
        domain,
        tenant,
      ]),
    );

  test("keep their numbers when others come and go", () => {
    const all = Array.from({ length: 50 }, (_, index) => `t${index}.test`);
    const before = numbersOf(all);
    const half = all.filter((_, index) => index % 2 === 1);
    expect(numbersOf(half)).toEqual(Object.fromEntries(half.map((domain) => [domain, before[domain]])));
  });

  test("never share a number, however many there are", () => {
    const numbers = Object.values(numbersOf(Array.from({ length: 3000 }, (_, index) => `t${index}.test`)));
    expect(new Set(numbers).size).toBe(3000);
    expect(Math.min(...numbers)).toBeGreaterThan(0);
    expect(Math.max(...numbers)).toBeLessThan(10_000);
  });
});
