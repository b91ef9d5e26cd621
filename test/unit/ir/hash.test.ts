import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, hashOf } from "../../../src/ir/index.ts";

/** Every object with its fields in another order. */
const turned = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, inner]) => [name, turned(inner)]),
  );
};

test("values that differ in the order of their fields have one form, which says all that they hold", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(turned(value))).toBe(text);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("the form is the one that is stored: revisions outlive the operator", () => {
  const value = {
    b: [{ y: 1, x: undefined }, { x: null, y: "\u2028" }, [undefined]],
    "10": 1,
    "9": { Z: 1, a: 2 },
    a: {},
  };
  expect(canonicalJson(value)).toBe('{"10":1,"9":{"Z":1,"a":2},"a":{},"b":[{"y":1},{"x":null,"y":"\u2028"},[null]]}');
  expect(hashOf({ dispatcher: [], tables: [] })).toBe("ec4322e8ba27");
});
