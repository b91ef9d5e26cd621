import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SipRouterSpec } from "../../../src/api/index.ts";
import { assignSetIds } from "../../../src/model/sets.ts";

type SetSpec = SipRouterSpec["dispatcherSets"][number];
const set = (name: string, id?: number): SetSpec => ({
  name,
  algorithm: "RoundRobin",
  ...(id === undefined ? {} : { id }),
});
const idsOf = (sets: readonly SetSpec[], status?: unknown): Record<string, number> =>
  Object.fromEntries(assignSetIds(sets, status));

describe("ids of dispatcher sets", () => {
  test("are the spec's own, else the lowest free ones by name", () => {
    expect(idsOf([set("d"), set("b"), set("c", 2), set("a")])).toEqual({ a: 1, b: 3, c: 2, d: 4 });
  });

  test("stay when a set comes or goes", () => {
    const status = {
      sets: [
        { name: "b", id: 1 },
        { name: "c", id: 2 },
      ],
    };
    expect(idsOf([set("a"), set("b"), set("c")], status)).toEqual({ a: 3, b: 1, c: 2 });
    expect(idsOf([set("c")], status)).toEqual({ c: 2 });
  });

  test("an own id takes the number from a set that was only given it", () => {
    const status = { sets: [{ name: "old", id: 1 }] };
    expect(idsOf([set("old"), set("new", 1)], status)).toEqual({ new: 1, old: 2 });
  });

  test("a status of any shape is survived", () => {
    for (const status of [
      undefined,
      null,
      {},
      { sets: "x" },
      { sets: [null, { name: 1, id: 1 }, { name: "a", id: "1" }, { name: "a", id: 0 }, { name: "a", id: 1e9 }] },
    ])
      expect(idsOf([set("a")], status)).toEqual({ a: 1 });
  });

  test("are unique, kept, and never those of another name in the status, in any order of the sets", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e", "f");
    const id = fc.integer({ min: 1, max: 8 });
    const sets = fc
      .uniqueArray(fc.record({ name, id: fc.option(id, { nil: undefined }) }), {
        selector: (one) => one.name,
        minLength: 1,
      })
      .filter(
        (all) => new Set(all.flatMap((one) => one.id ?? [])).size === all.filter((one) => one.id !== undefined).length,
      );
    const status = fc.uniqueArray(fc.record({ name, id }), { selector: (one) => one.name });
    fc.assert(
      fc.property(sets, status, (all, kept) => {
        const specs = all.map((one) => set(one.name, one.id));
        const ids = assignSetIds(specs, { sets: kept });
        expect(Object.fromEntries(assignSetIds(specs.toReversed(), { sets: kept.toReversed() }))).toEqual(
          Object.fromEntries(ids),
        );
        expect(new Set(ids.values()).size).toBe(specs.length);
        const own = new Set(all.flatMap((one) => one.id ?? []));
        const keptTwice = (number: number): boolean => kept.filter((one) => one.id === number).length > 1;
        for (const one of all) {
          const before = kept.find((other) => other.name === one.name);
          const given = ids.get(one.name);
          const free = before !== undefined && !own.has(before.id) && !keptTwice(before.id);
          const expected = one.id ?? (free ? before.id : given);
          expect(given).toBe(expected);
          const stolen =
            one.id === undefined &&
            kept.some((other) => other.id === given && other.name !== one.name) &&
            !keptTwice(given ?? 0);
          expect(stolen).toBe(false);
        }
      }),
      { numRuns: 500 },
    );
  });
});
