import { expect, test } from "vitest";
import { maskAlphabet } from "../../../src/render/kamailio/mask.ts";

test("an alphabet is a shuffle of the same 64 characters, and another one for another key", () => {
  const one = maskAlphabet("0123456789abcdef0123456789abcdef");
  const other = maskAlphabet("1123456789abcdef0123456789abcdef");
  expect(new Set(one).size).toBe(64);
  expect([...one].toSorted()).toEqual([...other].toSorted());
  expect(one).not.toBe(other);
});
