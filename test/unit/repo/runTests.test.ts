/** One command runs all tests: a program that cannot be had fails its own project only, and what was repeated is named. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");
let tree: string;

/** A program of the tree that does what a test wants. */
const program = (path: string, ...lines: string[]): void => {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), ["#!/bin/sh", ...lines, ""].join("\n"));
  chmodSync(join(tree, path), 0o755);
};
const runTests = (...projects: string[]): { lines: string[]; code: number | null } => {
  const { stdout, status } = spawnSync(join(tree, "hack/run-tests"), projects, { encoding: "utf8" });
  return { lines: stdout.trimEnd().split("\n"), code: status };
};

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "tree-"));
  mkdirSync(join(tree, "hack"));
  for (const file of ["run-tests", "run-project", "sum-tests.mjs", "failed-test-files.mjs", "retried-tests.mjs"])
    cpSync(join(root, "hack", file), join(tree, "hack", file));
  for (const name of ["install-programs", "kamailio-6/install", "asterisk/install", "krew/install", "tools/install"])
    program(`hack/${name}`, "exit 0");
  mkdirSync(join(tree, "hack/kube-assets"));
  writeFileSync(join(tree, "hack/kube-assets/main.ts"), "");
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

/** A vitest that says which project it runs, and reports one test that passed. */
const stubVitest = (): void => {
  const report = JSON.stringify({ testResults: [{ status: "passed", assertionResults: [{ status: "passed" }] }] });
  program(
    "node_modules/.bin/vitest",
    'echo "running $3"',
    `for each in "$@"; do case $each in --outputFile.json=*) echo '${report}' >"\${each#*=}" ;; esac; done`,
  );
};

test("without Helm the tests that need it count as failed, and all others run", () => {
  stubVitest();
  program("hack/tools/install", "exit 1");
  const { lines, code } = runTests();
  expect(code).toBe(1);
  expect(lines).toContain("running unit");
  expect(lines).toContain("running dataplane");
  expect(lines).not.toContain("running integration");
  expect(lines.slice(-2)).toEqual([
    "integration: a program that the integration tests need cannot be had here, see above",
    "2 passed, 1 failed",
  ]);
});

test("without Kamailio the unit tests run", () => {
  stubVitest();
  program("hack/install-programs", "exit 1");
  expect(runTests()).toMatchObject({ code: 1 });
  expect(runTests().lines.at(-1)).toBe("1 passed, 2 failed");
  program("hack/install-programs", "exit 0");
  expect(runTests()).toMatchObject({ code: 0 });
});

test("a test that passes at the second try is named", () => {
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  writeFileSync(join(tree, "package.json"), '{"type": "module"}');
  writeFileSync(
    join(tree, "vitest.config.js"),
    'export default { test: { projects: [{ test: { name: "unit", include: ["*.test.js"], retry: 1 } }] } };',
  );
  writeFileSync(
    join(tree, "calls.test.js"),
    'import { expect, test } from "vitest";\nlet tries = 0;\n' +
      'test("none is lost", () => { tries += 1; expect(tries).toBe(2); });\ntest("one is placed", () => {});\n',
  );
  const { lines, code } = runTests("unit");
  expect(lines.slice(-3)).toEqual([
    "RETRIED calls.test.js: none is lost (try 2)",
    "1 not at the first try",
    "2 passed, 0 failed",
  ]);
  expect(code).toBe(0);
});

test("a file in which something failed runs once more, in a new process, and counts as it ended then", () => {
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  writeFileSync(join(tree, "package.json"), '{"type": "module"}');
  writeFileSync(
    join(tree, "vitest.config.js"),
    'export default { test: { projects: [{ test: { name: "dataplane", include: ["*.test.js"] } }] } };',
  );
  const spoilt =
    'import { existsSync, writeFileSync } from "node:fs";\nimport { expect, test } from "vitest";\n' +
    'const again = existsSync("spoilt");\nwriteFileSync("spoilt", "");\n' +
    'test("none is lost", () => expect(again).toBe(true));\n';
  writeFileSync(join(tree, "calls.test.js"), spoilt);
  writeFileSync(join(tree, "whole.test.js"), 'import { test } from "vitest";\ntest("one is placed", () => {});\n');
  const { lines, code } = runTests("dataplane");
  expect(lines.slice(-3)).toEqual(["RUN AGAIN calls.test.js", "1 not at the first try", "2 passed, 0 failed"]);
  expect(code).toBe(0);
});
