/** An object that is malformed, in whatever way, does not stop those that are right. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { refOf, type RawObject } from "../../../src/api/index.ts";
import { createMapper } from "../../../src/controller/mapping.ts";
import { namesToResolve, snapshotOf } from "../../../src/model/index.ts";
import { runPipeline } from "../../../src/pipeline.ts";
import { parseResources } from "../../../src/standalone/resources.ts";

const GOLDEN = "test/golden";

/** The resources of every golden case: all kinds, and every field that a case was thought of for. */
const cases: readonly (readonly RawObject[])[] = readdirSync(GOLDEN, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith("in.yaml"))
  .toSorted()
  .map((file) => parseResources(readFileSync(join(GOLDEN, file), "utf8"), file).objects);

const right = parseResources(
  `apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: right, namespace: elsewhere}
spec: {dispatcherSets: [{name: s, selector: {matchLabels: {role: pbx}}}]}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: right, namespace: elsewhere, labels: {role: pbx}}
spec: {address: 192.0.2.1}
`,
  "right.yaml",
).objects;

type Path = readonly (string | number)[];

/** Of every value in an object but those that readers of files and the API server hold to their form. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  const inner = typeof value === "object" && value !== null ? Object.entries(value) : [];
  const below = inner.flatMap(([key, one]) => pathsOf(one, [...path, Array.isArray(value) ? Number(key) : key]));
  return path.length === 0 || ["apiVersion", "kind", "metadata"].includes(String(path[0])) ? below : [path, ...below];
}

function replaced(value: unknown, [field, ...rest]: Path, by: unknown): unknown {
  if (field === undefined) return by;
  if (Array.isArray(value)) return value.map((item, index) => (index === field ? replaced(item, rest, by) : item));
  const record = value as Readonly<Record<string, unknown>>;
  return { ...record, [field]: replaced(record[field], rest, by) };
}

/** Likely slips (a forgotten dash, quotes that are missing or too many) among any other value. */
const anything = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>({}, [], [null], "", null, 0, { a: { b: 1 } }, [[]], { key: "role", operator: "Exists" }),
);
const spoiled = fc
  .constantFrom(...cases.filter((objects) => objects.some((object) => pathsOf(object).length > 0)))
  .chain((objects) => {
    const places = objects.flatMap((object, index) => pathsOf(object).map((path) => ({ index, path })));
    return fc.tuple(fc.constant(objects), fc.constantFrom(...places), anything);
  })
  .map(([objects, { index, path }, by]) =>
    objects.map((object, at) => (at === index ? (replaced(object, path, by) as RawObject) : object)),
  );

test("any value anywhere: nothing throws, and the router that is right is served", () => {
  fc.assert(
    fc.property(spoiled, (objects) => {
      const all = [...objects, ...right];
      const mapper = createMapper();
      for (const object of [...all, ...objects]) mapper.concerned({ ...refOf(object), object, previous: object });
      expect([...mapper.usersOf(right[1] as RawObject)]).toEqual(["elsewhere/right"]);
      namesToResolve(all);
      expect(
        runPipeline(snapshotOf(all), { image: "kamailio" }).routers.get("elsewhere/right")?.rendered,
      ).toBeDefined();
    }),
    { numRuns: 500 },
  );
});
