import { readFileSync } from "node:fs";
import { load } from "js-yaml";
import { expect, test } from "vitest";

const rules = (folder: string): unknown =>
  (
    load(readFileSync(new URL(`../../../config/rbac/${folder}/role.yaml`, import.meta.url), "utf8")) as {
      rules: unknown;
    }
  ).rules;

test("one namespace needs exactly the rules that all namespaces need", () => {
  expect(rules("namespaced")).toEqual(rules("cluster"));
});
