/** The end-to-end suite touches the cluster that is meant, with the images that were built, and upgrades from something older. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");
let tree: string;

const program = (path: string, ...lines: string[]): void => {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), ["#!/bin/sh", ...lines, ""].join("\n"));
  chmodSync(join(tree, path), 0o755);
};
const run = (command: string, env: Readonly<Record<string, string>> = {}) => {
  const PATH = `${join(tree, "bin")}:${process.env["PATH"] ?? ""}`;
  const given = { PATH, HOME: tree, GIT_CONFIG_NOSYSTEM: "1", ...env };
  const { stdout, stderr, status } = spawnSync("bash", ["-c", command], { cwd: tree, encoding: "utf8", env: given });
  return { stdout, stderr, code: status };
};
const done = (): string[] =>
  existsSync(join(tree, "done")) ? readFileSync(join(tree, "done"), "utf8").trimEnd().split("\n") : [];

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "e2e-"));
  cpSync(join(root, "hack/e2e"), join(tree, "hack/e2e"), { recursive: true });
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

describe("hack/e2e/kind", () => {
  beforeEach(() => {
    const note = `echo "$(basename "$0") $*" >>${tree}/done`;
    program("bin/docker", "exit 1");
    program("bin/kind", note);
    program("bin/kubectl", note);
    // podman adds nothing to an archive that is there
    program("bin/podman", note, '[ "$1" = save ] || exit 0', '[ ! -e "$4" ] || exit 125', 'echo "$2" >"$4"');
    program("hack/image/build", `echo "build $*" >>${tree}/done`);
    program("hack/e2e/before", 'mkdir -p "$1/charts"');
  });

  test("every image is loaded, and the exports name them and a chart to upgrade from", () => {
    const { stdout, code } = run("hack/e2e/kind");
    expect(code).toBe(0);
    expect(done().filter((line) => line.startsWith("kind load"))).toHaveLength(6);
    expect(done()).toContain(
      "podman build --file .cache/e2e-before/Dockerfile --tag localhost/sip-router-operator:e2e-before .cache/e2e-before",
    );
    const shown = run(`${stdout}\necho "$KUBECONFIG $E2E_OPERATOR_BEFORE_CHART"`).stdout;
    expect(shown).toBe(`${tree}/.cache/e2e.kubeconfig ${tree}/.cache/e2e-before/charts/sip-router-operator\n`);
  });

  test("without a history the same operator has two names", () => {
    program("hack/e2e/before", "exit 1");
    const { stdout, code } = run("hack/e2e/kind");
    expect(code).toBe(0);
    expect(done()).toContain("podman tag localhost/sip-router-operator:e2e localhost/sip-router-operator:e2e-before");
    expect(stdout).not.toContain("BEFORE_CHART");
  });

  test("when it fails, the documented command does not go on with the cluster that was named before", () => {
    program("hack/image/build", "exit 1");
    program("bin/make", `echo "make $*" >>${tree}/done`);
    const [command = ""] = /^exports=.*$/m.exec(readFileSync(join(root, "docs/testing.md"), "utf8")) ?? [];
    expect(command).toContain("make e2e");
    expect(run(command, { KUBECONFIG: "/production" }).code).not.toBe(0);
    expect(done()).not.toContain("make e2e");
  });
});

test("the suite refuses a cluster that KUBECONFIG does not name", () => {
  program("bin/kubectl", `echo "kubectl $*" >>${tree}/done`);
  const { stderr, code } = run("hack/e2e/run");
  expect(code).toBe(1);
  expect(stderr).toContain("error: KUBECONFIG is not set");
  expect(done()).toEqual([]);
});

describe("hack/e2e/before", () => {
  const commit = (version: string): void => {
    writeFileSync(join(tree, "version"), version);
    const { code } = run(
      `git init -q . && git add version && git -c user.name=a -c user.email=a@example.org commit -qm "version ${version}"`,
    );
    expect(code).toBe(0);
  };

  test("is the last release before this commit", () => {
    for (const version of ["0.1.0", "0.2.0"]) {
      commit(version);
      run(`git tag v${version}`);
    }
    expect(run("hack/e2e/before older")).toMatchObject({ code: 0, stderr: expect.stringContaining("version 0.1.0") });
    expect(readFileSync(join(tree, "older/version"), "utf8")).toBe("0.1.0");
  });

  test("says so when the history does not reach that far", () => {
    commit("0.1.0");
    const { code, stderr } = run("hack/e2e/before older");
    expect(code).toBe(1);
    expect(stderr).toContain("this clone has no full history");
    expect(existsSync(join(tree, "older"))).toBe(false);
  });
});
