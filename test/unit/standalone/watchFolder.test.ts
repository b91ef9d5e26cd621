/** The resources folder as people and their editors change it. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ParsedResources } from "../../../src/standalone/resources.ts";
import { watchResources, type ResourceWatch } from "../../../src/standalone/watchFolder.ts";
import { until } from "../../support/until.ts";

let folder: string;
let updates: ParsedResources[];
let failures: unknown[];
let take: (update: ParsedResources) => void;
let watch: ResourceWatch;

const service = (name: string, spec = ""): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {x: "${spec}"}\n`;
const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
const names = (): string => (updates.at(-1)?.objects ?? []).map(({ metadata }) => metadata.name).join();
const x = (): string | undefined => (updates.at(-1)?.objects[0]?.spec as { x: string } | undefined)?.x;
const everSeen = (): Set<string> =>
  new Set(updates.map(({ objects }) => objects.map(({ metadata }) => metadata.name).join()));
const errors = (): string => (updates.at(-1)?.errors ?? []).map(({ file, line }) => `${file}:${line}`).join();

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "resources-"));
  updates = [];
  failures = [];
  take = (update) => void updates.push(update);
  write("a.yaml", service("a") + "---\n" + service("b"));
  watch = await watchResources(folder, {
    onUpdate: (update) => take(update),
    onError: (error) => void failures.push(error),
    rescanMs: 200,
  });
});
afterEach(() => {
  watch.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("the first reading, an edit, a new file, one in a new folder, a deleted file", async () => {
  expect(names()).toBe("a,b");
  write("a.yaml", service("a", "new"));
  await until("b is gone", () => names() === "a");
  expect(updates.at(-1)?.objects[0]?.spec).toEqual({ x: "new" });
  write("c.yml", service("c"));
  mkdirSync(join(folder, "more"));
  write("more/d.yaml", service("d"));
  await until("c and d are there", () => names() === "a,c,d");
  unlinkSync(join(folder, "c.yml"));
  await until("c is gone", () => names() === "a,d");
});

test("a kustomization in the folder is no resource", async () => {
  write("kustomization.yaml", "kind: Kustomization\nresources: [a.yaml]\n");
  write("c.yaml", service("c"));
  await until("c is there", () => names() === "a,b,c");
  expect(errors()).toBe("");
});

test("a file that does not parse is named by line and keeps what it held, until it parses again", async () => {
  write("a.yaml", service("a") + "---\n" + service("new") + "---\nx: [1\n");
  await until("the error is told", () => errors() !== "");
  expect(errors()).toBe("a.yaml:11");
  const kept = "Correct the file. What the file held before stays in force until then.";
  expect(updates.at(-1)?.errors[0]?.message).toContain(kept);
  write("new.yaml", "a: [");
  await until("the other one is told", () => errors() === "a.yaml:11,new.yaml:1");
  expect(updates.at(-1)?.errors[1]?.message).toMatch(/Correct the file\.$/);
  unlinkSync(join(folder, "new.yaml"));
  await until("it is gone", () => errors() === "a.yaml:11");
  expect(names()).toBe("a,b");
  write("a.yaml", service("a") + "---\n" + service("b") + "---\n" + service("new"));
  await until("it counts", () => names() === "a,b,new");
  expect(errors()).toBe("");
});

test("an editor that truncates and rewrites, or removes and renames, makes nothing vanish in between", async () => {
  truncateSync(join(folder, "a.yaml"));
  await new Promise((resolve) => setTimeout(resolve, 60));
  write("a.yaml", service("a", "1") + "---\n" + service("b"));
  await until("the rewrite counts", () => x() === "1");
  renameSync(join(folder, "a.yaml"), join(folder, "a.yaml~"));
  await new Promise((resolve) => setTimeout(resolve, 60));
  write(".a.yaml.swp", "not: [yaml");
  write("a.yaml", service("a", "2") + "---\n" + service("b"));
  await until("the swap counts", () => x() === "2");
  expect(everSeen()).toEqual(new Set(["a,b"]));
});

test("a folder that is gone takes nothing with it", async () => {
  renameSync(folder, `${folder}.away`);
  await until("it is told", () => errors() !== "");
  expect(names()).toBe("a,b");
  renameSync(`${folder}.away`, folder);
  await until("it is well again", () => errors() === "");
  write("c.yaml", service("c"));
  await until("it is watched again", () => names() === "a,b,c");
});

test("a folder that is not there from the start is refused", async () => {
  const missing = watchResources(join(folder, "none"), { onUpdate: () => undefined, onError: () => undefined });
  await expect(missing).rejects.toMatchObject({ code: "SIPR_USAGE", message: expect.stringContaining("none") });
});

test("a change that cannot be taken over is told, and the next one counts", async () => {
  take = () => {
    throw new Error("not this one");
  };
  write("c.yaml", service("c"));
  await until("the failure is told", () => failures.length > 0);
  expect(String(failures[0])).toBe("Error: not this one");
  take = (update) => void updates.push(update);
  write("d.yaml", service("d"));
  await until("both are there", () => names() === "a,b,c,d");
});
