/**
 * Each folder is a case: in.yaml, and what the pure stages make of it. `npm run golden:update` writes the rest anew; look
 * at the difference before it is committed.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import type { RawObject, SipRouterSpec } from "../../src/api/index.ts";
import { goldenFiles, readCase, runCase } from "../support/golden.ts";

const root = import.meta.dirname;
const update = process.env["UPDATE_GOLDEN"] === "1";
const sample = (file: string): string => readFileSync(join(root, "../../config/samples", file), "utf8");
const samples = `${sample("backends.yaml")}---\n${sample("router.yaml")}`;
if (update) writeFileSync(join(root, "samples/in.yaml"), samples);
const cases = readdirSync(root).filter((name) => existsSync(join(root, name, "in.yaml")));

const inputs = new Set(["in.yaml", "context.yaml"]);
function filesBelow(folder: string, base = folder): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path, base) : [relative(base, path)];
  });
}

function write(folder: string, files: ReadonlyMap<string, string>): void {
  for (const name of filesBelow(folder)) if (!inputs.has(name)) rmSync(join(folder, name));
  for (const [name, text] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** A different order each time, the same in every run (xorshift32). */
function shuffler(seed: number): <Item>(items: readonly Item[]) => Item[] {
  let state = seed;
  const next = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  return (items) => {
    const mixed = [...items];
    for (let index = mixed.length - 1; index > 0; index -= 1) {
      const other = next(index + 1);
      [mixed[index], mixed[other]] = [mixed[other] as (typeof mixed)[number], mixed[index] as (typeof mixed)[number]];
    }
    return mixed;
  };
}

type Shuffle = ReturnType<typeof shuffler>;

/** The keys of every map, at any depth. */
function shuffleKeys<Value>(value: Value, shuffle: Shuffle): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => shuffleKeys(item, shuffle)) as Value;
  return Object.fromEntries(shuffle(Object.entries(value)).map(([key, inner]) => [key, shuffleKeys(inner, shuffle)])) as Value;
}

/** The lists of a spec whose order means nothing. Issues name places in them, so theirs differ. */
function shuffleLists(object: RawObject, shuffle: Shuffle): RawObject {
  if (object.kind !== "SipRouter") return object;
  const spec = object.spec as Partial<SipRouterSpec>;
  const { routes, dispatcherSets, listeners } = spec;
  const mixed = {
    ...spec,
    ...(routes === undefined ? {} : { routes: shuffle(routes).map((route) => shuffleMatch(route, shuffle)) }),
    ...(dispatcherSets === undefined ? {} : { dispatcherSets: shuffle(dispatcherSets).map((set) => (set.backends === undefined ? set : { ...set, backends: shuffle(set.backends) })) }),
    ...(listeners === undefined ? {} : { listeners: shuffle(listeners) }),
  };
  return { ...object, spec: mixed };
}

function shuffleMatch(route: SipRouterSpec["routes"][number], shuffle: Shuffle): SipRouterSpec["routes"][number] {
  const { extensions, prefixes } = route.match;
  return {
    ...route,
    match: {
      ...route.match,
      ...(extensions === undefined ? {} : { extensions: shuffle(extensions) }),
      ...(prefixes === undefined ? {} : { prefixes: shuffle(prefixes) }),
    },
  };
}

const seeds = [1, 2, 3, 4, 5];

describe.each(cases)("%s", (name) => {
  const folder = join(root, name);
  const input = readCase(folder);
  const produced = goldenFiles(runCase(input.objects, input), input);

  test("gives what is written down", () => {
    if (update) write(folder, produced);
    const expected = filesBelow(folder).filter((file) => !inputs.has(file));
    expect(Object.fromEntries(produced)).toEqual(
      Object.fromEntries(expected.map((file) => [file, readFileSync(join(folder, file), "utf8")])),
    );
  });

  test.each(seeds)("is the same for objects and keys in another order (%i)", (seed) => {
    const shuffle = shuffler(seed);
    const objects = shuffle(input.objects).map((object) => shuffleKeys(object, shuffle));
    expect(goldenFiles(runCase(objects, input), input)).toEqual(produced);
  });

  test.each(seeds)("gives the same files for lists in another order (%i)", (seed) => {
    const shuffle = shuffler(seed);
    const files = goldenFiles(runCase(input.objects.map((object) => shuffleLists(object, shuffle)), input), input);
    const without = (all: ReadonlyMap<string, string>): unknown => [...all].filter(([file]) => file !== "issues.txt" && file !== "status.yaml");
    expect(without(files)).toEqual(without(produced));
  });
});

test("the samples of this project are a case", () => {
  expect(readFileSync(join(root, "samples/in.yaml"), "utf8")).toBe(samples);
});
