import fc from "fast-check";
import { expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { findIn, indexOf } from "../../../src/model/lookup.ts";
import { snapshotOf } from "../../../src/model/snapshot.ts";

const slice = (name: string, service: string, version: number): RawObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    namespace: "default",
    name,
    resourceVersion: String(version),
    labels: { "kubernetes.io/service-name": service },
  },
});

const names = ["a", "b", "c", "d", "e", "f", "g"];

test("an index that follows from one list to another finds what an index made anew finds", () => {
  const edit = fc.record({
    name: fc.constantFrom(...names),
    service: fc.constantFrom("x", "y"),
    remove: fc.boolean(),
    again: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 30 }), (edits) => {
      const objects = new Map<string, RawObject>();
      let before: readonly RawObject[] = [];
      for (const [version, { name, service, remove, again }] of edits.entries()) {
        if (remove) objects.delete(name);
        else objects.set(name, slice(name, service, version));
        const list = names.flatMap((one) => objects.get(one) ?? []);
        // a reader of an older snapshot in between gets what that one held
        if (again) for (const object of before) expect(findIn(before, `default/${object.metadata.name}`)).toBe(object);
        for (const one of names) expect(findIn(list, `default/${one}`)).toBe(objects.get(one));
        const { slices } = indexOf(snapshotOf(list));
        for (const one of ["x", "y"]) {
          const ofService = list.filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === one);
          expect(slices.get(`default/${one}`) ?? []).toEqual(ofService);
        }
        before = list;
      }
    }),
    { numRuns: 200 },
  );
});

test("of two objects with one key the last counts, and the other does not vanish with it", () => {
  const [first, second] = [slice("a", "x", 1), slice("a", "x", 2)];
  expect(findIn([first, second], "default/a")).toBe(second);
  expect(findIn([first], "default/a")).toBe(first);
});
