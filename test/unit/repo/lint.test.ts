/** The import order and the purity rules are refused by the linter itself, on a small tree made for it. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { importOrder } from "../../../oxlint.config.ts";

const root = resolve(import.meta.dirname, "../../..");
let tree: string;

beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), "lint-"));
  copyFileSync(join(root, "oxlint.config.ts"), join(tree, "oxlint.config.ts"));
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
});
afterAll(() => rmSync(tree, { recursive: true, force: true }));

interface Finding {
  code: string;
  filename: string;
  message: string;
}

/** Lints one file of the given text at `path` and returns the rules it breaks. */
function lint(path: string, text: string): string[] {
  const file = join(tree, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
  let out: string;
  try {
    out = execFileSync(process.execPath, [oxlint, "-f", "json", path], { cwd: tree, encoding: "utf8" });
  } catch (error) {
    out = (error as { stdout: string }).stdout;
  }
  rmSync(file);
  const findings = (JSON.parse(out) as { diagnostics: Finding[] }).diagnostics;
  return findings.map(({ code }) => code.replace(/^.*\((.*)\)$/, "$1"));
}

describe("import order", () => {
  test.each([
    ["api/a.ts", "../model/types.ts"],
    ["model/a.ts", "../ir/types.ts"],
    ["ir/a.ts", "../render/types.ts"],
    ["render/a.ts", "../kamailio/types.ts"],
    ["kamailio/a.ts", "../render/files.ts"],
    ["kamailio/a.ts", "../reload/decide.ts"],
    ["status/a.ts", "../kube/kubeCluster.ts"],
    ["kube/a.ts", "../controller/controller.ts"],
    ["controller/a.ts", "../kube/kubeCluster.ts"],
    ["controller/a.ts", "../standalone/localCluster.ts"],
    ["standalone/a.ts", "../kube/kubeCluster.ts"],
    ["cli/a.ts", "../controller/controller.ts"],
    ["model/deep/a.ts", "../../cluster/index.ts"],
    ["render/kamailio/a.ts", "../../status/types.ts"],
    ["pipeline.ts", "./kamailio/control.ts"],
    ["main.ts", "./kube/kubeCluster.ts"],
    ["errors.ts", "./api/index.ts"],
    ["stray.ts", "./kube/kubeCluster.ts"],
    ["stray.ts", "node:fs"],
  ])("src/%s may not import %s", (from, to) => {
    expect(lint(`src/${from}`, `export * from "${to}";\n`)).toContain("no-restricted-imports");
    expect(lint(`src/${from}`, `export const late = await import("${to}");\n`)).toContain("no-restricted-imports");
  });

  test.each([
    ["model/a.ts", "../api/index.ts"],
    ["render/a.ts", "../ir/types.ts"],
    ["reload/a.ts", "../kamailio/types.ts"],
    ["controller/a.ts", "../cluster/index.ts"],
    ["standalone/runner/a.ts", "./b.ts"],
    ["render/kamailio/a.ts", "../layout.ts"],
    ["render/kamailio/a.ts", "../../ir/types.ts"],
    ["pipeline.ts", "./render/index.ts"],
    ["commands/a.ts", "../standalone/localCluster.ts"],
    ["main.ts", "./commands/io.ts"],
  ])("src/%s may import %s", (from, to) => {
    expect(lint(`src/${from}`, `export * from "${to}";\n`)).toEqual([]);
  });

  test("every folder of src has a line in the table", () => {
    const folders = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.length).toBeGreaterThan(5);
    expect(Object.keys(importOrder)).toEqual(expect.arrayContaining(folders.map(({ name }) => name)));
  });
});

describe("effects", () => {
  test.each([
    ["model/a.ts", 'export * from "node:fs";'],
    ["status/a.ts", 'export * from "node:child_process";'],
    ["render/a.ts", 'export { connect } from "node:net";'],
    ["reload/decide.ts", 'export * from "node:fs/promises";'],
    ["render/a.ts", 'export { randomBytes } from "node:crypto";'],
    ["ir/a.ts", 'export * as all from "node:crypto";'],
    ["ir/a.ts", 'export { KubeConfig } from "@kubernetes/client-node";'],
    ["kube/a.ts", 'export { default } from "node:process";'],
  ])("src/%s: %s is refused", (path, text) => {
    expect(lint(`src/${path}`, `${text}\n`)).toContain("no-restricted-imports");
  });

  test.each([
    ["ir/a.ts", 'export type { V1Pod } from "@kubernetes/client-node";'],
    ["model/a.ts", 'export { isIP } from "node:net";'],
    ["render/a.ts", 'export { createHash } from "node:crypto";'],
    ["reload/execute.ts", 'export { readFile } from "node:fs/promises";'],
    ["main.ts", "process.exitCode = 1;"],
  ])("src/%s: %s is allowed", (path, text) => {
    expect(lint(`src/${path}`, `${text}\n`)).toEqual([]);
  });

  test("only src/main.ts touches process, and pure modules have no clock", () => {
    expect(lint("src/kube/a.ts", "export const pid = process.pid;\n")).toContain("no-restricted-globals");
    expect(lint("src/cli/a.ts", "export const pid = globalThis.process.pid;\n")).toContain("no-restricted-properties");
    for (const text of [
      "Date.now()",
      "new Date()",
      "performance.now()",
      "performance.timeOrigin",
      "crypto.randomUUID()",
    ])
      expect(lint("src/status/a.ts", `export const value = ${text};\n`), text).toContain("no-restricted-globals");
    for (const text of ["Math.random()", "globalThis.crypto.randomUUID()", "new globalThis.Date()"])
      expect(lint("src/render/a.ts", `export const value = ${text};\n`), text).toContain("no-restricted-properties");
    expect(lint("src/ir/a.ts", "export const pid = process.pid;\n")).toContain("no-restricted-globals");
    expect(lint("src/kube/a.ts", "export const now = Date.now();\n")).toEqual([]);
  });
});
