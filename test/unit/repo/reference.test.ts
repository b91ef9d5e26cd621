/** The pages of the reference that are written by hand are complete, and say nothing of what is not there. */
import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { reasons } from "../../../src/api/index.ts";
import { remedies } from "../../../src/cli/views/problems.ts";
import { errorTable } from "../../../src/errors.ts";
import { annotations, labels } from "../../../src/render/layout.ts";

const root = resolve(import.meta.dirname, "../../..");
const page = readFileSync(join(root, "docs/reference/configuration.md"), "utf8");
const sources = globSync("src/**/*.ts", { cwd: root }).map((path) => ({
  path,
  text: readFileSync(join(root, path), "utf8"),
}));

/** First cells of the table below a heading: the names in them. */
const namesBelow = (heading: string, name: RegExp): readonly string[] =>
  (page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => (line.split(" | ")[0] ?? "").match(name) ?? [])
    .toSorted();

describe("configuration", () => {
  test.each(["run", "standalone", "render"])("lists the options of %s", (command) => {
    const help = execFileSync(process.execPath, [join(root, "src/main.ts"), command, "--help"], { encoding: "utf8" });
    const options = (help.match(/(?<=^ +(?:-\w, )?)--[a-z-]+/gm) ?? []).filter((name) => name !== "--help");
    expect(namesBelow(`\`${command}\``, /--[a-z-]+/g)).toEqual(options.toSorted());
  });

  test("lists the environment that is read", () => {
    const read = sources.flatMap(({ text }) => [...text.matchAll(/\benv\["([A-Z_]+)"\]/g)].map(([, name]) => name));
    expect(namesBelow("Environment", /[A-Z_]{4,}/g)).toEqual([...new Set([...read, "KUBECONFIG"])].toSorted());
  });

  test("lists the labels and annotations of this project", () => {
    const own = [...Object.values(labels), ...Object.values(annotations)].filter((name) =>
      name.startsWith("siprouter"),
    );
    expect(namesBelow("Labels and annotations", /siprouter\.dev\/[a-z-]+/g)).toEqual(own.toSorted());
  });
});

/** Reasons that ask nothing of anybody: all is well, or as somebody wanted it. */
const asWanted = new Set(
  "Accepted ResolvedRefs Programmed Available Ready Reachable Reloaded NotUsed Draining Drained Undrained Disabled Managed".split(
    " ",
  ),
);

test("every other reason has a remedy", () => {
  const without = Object.keys(reasons).filter((reason) => !Object.hasOwn(remedies, reason));
  expect(without.filter((reason) => !asWanted.has(reason))).toEqual([]);
});

test("every error code and every reason of the closed tables is given somewhere", () => {
  const used = (name: string): boolean =>
    sources.some(
      ({ path, text }) =>
        !/(^src\/errors|api\/conditions|views\/problems)\.ts$/.test(path) &&
        new RegExp(`"${name}"|\\b${name}:`).test(text),
    );
  expect([...Object.keys(errorTable), ...Object.keys(reasons)].filter((name) => !used(name))).toEqual([]);
});

test("sizing names figures that the benchmark writes", () => {
  const text = readFileSync(join(root, "docs/sizing.md"), "utf8");
  const bench = globSync("hack/bench/*.ts", { cwd: root })
    .map((path) => readFileSync(join(root, path), "utf8"))
    .join();
  const named = [...text.matchAll(/`(costs|added|held|lookup|storm)(?:\[\])?(?:\.(\w+))?`/g)];
  expect(named.length).toBeGreaterThan(5);
  const fields = named.flatMap(([, list, field]) => [list, field]).filter((name) => name !== undefined);
  expect(fields.filter((name) => !new RegExp(`\\b${name}\\b`).test(bench))).toEqual([]);
});
