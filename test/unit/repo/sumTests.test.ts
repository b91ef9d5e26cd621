/** The sum of the test runs counts what did not run as failed: it is what says that everything holds. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let results: string;
beforeEach(() => {
  results = mkdtempSync(join(tmpdir(), "results-"));
});
afterEach(() => rmSync(results, { recursive: true, force: true }));

const script = join(import.meta.dirname, "../../../hack/sum-tests.mjs");
const write = (project: string, ...files: { status: string; tests: string[] }[]): void => {
  const testResults = files.map(({ status, tests }) => ({
    status,
    assertionResults: tests.map((each) => ({ status: each })),
  }));
  writeFileSync(join(results, `${project}.json`), JSON.stringify({ testResults }));
};
const linesAndCode = (...projects: string[]): { lines: string[]; code: number | null } => {
  const { stdout, status } = spawnSync(process.execPath, [script, results, ...projects], { encoding: "utf8" });
  return { lines: stdout.trimEnd().split("\n"), code: status };
};
const sum = (...projects: string[]): { last: string | undefined; code: number | null } => {
  const { lines, code } = linesAndCode(...projects);
  return { last: lines.at(-1), code };
};

test("passed and failed tests of all projects are added", () => {
  write("unit", { status: "passed", tests: ["passed", "passed"] });
  write("dataplane", { status: "failed", tests: ["passed", "failed"] });
  expect(sum("unit")).toEqual({ last: "2 passed, 0 failed", code: 0 });
  expect(sum("unit", "dataplane")).toEqual({ last: "3 passed, 1 failed", code: 1 });
});

test("a file that could not be loaded is a failure", () => {
  write("unit", { status: "failed", tests: [] }, { status: "passed", tests: ["passed"] });
  expect(sum("unit")).toEqual({ last: "1 passed, 1 failed", code: 1 });
});

test("a skipped test is a failure", () => {
  write("unit", { status: "passed", tests: ["passed", "skipped"] });
  expect(sum("unit")).toEqual({ last: "1 passed, 1 failed", code: 1 });
});

test("a project without results, and a run that failed beside its tests, are failures", () => {
  write("unit", { status: "passed", tests: ["passed"] });
  expect(sum("unit", "integration")).toEqual({ last: "1 passed, 1 failed", code: 1 });
  writeFileSync(join(results, "unit.failed"), "");
  expect(sum("unit")).toEqual({ last: "1 passed, 1 failed", code: 1 });
});

test("a file that was run again counts as it ended then, the others as they were", () => {
  const report = (...files: { name: string; status: string; tests: string[] }[]): string =>
    JSON.stringify({
      testResults: files.map(({ tests, ...file }) => ({
        ...file,
        assertionResults: tests.map((status) => ({ status })),
      })),
    });
  const first = report(
    { name: "a", status: "failed", tests: ["passed", "failed"] },
    { name: "b", status: "passed", tests: ["passed"] },
  );
  writeFileSync(join(results, "dataplane.json"), first);
  writeFileSync(
    join(results, "dataplane.again.json"),
    report({ name: "a", status: "passed", tests: ["passed", "passed"] }),
  );
  expect(sum("dataplane")).toEqual({ last: "3 passed, 0 failed", code: 0 });
  writeFileSync(
    join(results, "dataplane.again.json"),
    report({ name: "a", status: "failed", tests: ["failed", "passed"] }),
  );
  expect(sum("dataplane")).toEqual({ last: "2 passed, 1 failed", code: 1 });
});

test("no test at all is a failure", () => {
  write("unit");
  expect(sum("unit").code).toBe(1);
});

test("a test that passed only after a retry is named above the sum, and counted", () => {
  write("dataplane", { status: "passed", tests: ["passed", "passed"] });
  expect(linesAndCode("dataplane").lines).toEqual(["2 passed, 0 failed"]);
  writeFileSync(join(results, "dataplane.retried"), "a.test.ts: no call is lost (try 2)\n");
  expect(linesAndCode("dataplane")).toEqual({
    lines: ["RETRIED a.test.ts: no call is lost (try 2)", "1 not at the first try", "2 passed, 0 failed"],
    code: 0,
  });
});

test("a project that could not be run says why", () => {
  write("unit", { status: "passed", tests: ["passed"] });
  writeFileSync(join(results, "integration.not-run"), "no Helm\n");
  expect(linesAndCode("unit", "integration").lines).toEqual(["integration: no Helm", "1 passed, 1 failed"]);
});
