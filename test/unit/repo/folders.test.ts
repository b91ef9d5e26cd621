/** A stranger finds the way: every folder of the sources says what it is for, and the tables of folders are complete. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const firstComment = (path: string): string => /^\/\*\*([^]*?)\*\//.exec(read(path))?.[1] ?? "";

const files = globSync("src/**/*.ts", { cwd: root });
const folders = [...new Set(files.map((file) => relative("src", dirname(file))))].filter((folder) => folder !== "");

test.each(folders.toSorted())("src/%s states its contract in one file", (folder) => {
  const stating = files.filter(
    (file) =>
      dirname(file) === join("src", folder) &&
      firstComment(file)
        .replace(/^[\s*]+/, "")
        .startsWith(`${folder}: `),
  );
  expect(stating).toHaveLength(1);
});

test("every file of the sources begins by saying what it is", () => {
  expect(files.filter((file) => firstComment(file) === "" && !read(file).startsWith("#!"))).toEqual([]);
});

test("the README names every folder of src/, and the README of hack/ all that is in there", () => {
  const named = (readme: string, entries: readonly string[]): string[] =>
    entries.filter((entry) => !read(readme).includes(`\`${entry}\``));
  const top = folders.filter((folder) => !folder.includes("/")).map((folder) => `src/${folder}/`);
  expect(named("README.md", top)).toEqual([]);
  const inHack = globSync("hack/*", { cwd: root, withFileTypes: true })
    .filter(({ name }) => name !== "README.md")
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  expect(named("hack/README.md", inHack)).toEqual([]);
});
