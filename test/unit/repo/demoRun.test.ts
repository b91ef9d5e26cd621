/** `make demo` where Kamailio cannot be installed: in a container when there is an engine, else it says what is missing. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
const run = (script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) => {
  const given = { PATH: join(tree, "bin"), ...env };
  const { stdout, stderr, status } = spawnSync(join(tree, script), args, { encoding: "utf8", env: given });
  return { stdout, stderr, code: status };
};

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "demo-"));
  mkdirSync(join(tree, "hack/demo"), { recursive: true });
  for (const file of ["hack/demo/run", "hack/install-programs", "Dockerfile"])
    cpSync(join(root, file), join(tree, file));
  // a machine without a package manager of Debian
  mkdirSync(join(tree, "bin"));
  for (const name of ["bash", "sh", "env", "cat", "dirname", "id", "mktemp", "rm", "sed"])
    symlinkSync(
      ["/usr/bin", "/bin"].map((each) => join(each, name)).find((each) => existsSync(each)) ?? name,
      join(tree, "bin", name),
    );
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

test("what is missing is named, and nothing that is there", () => {
  program("bin/mmdebstrap");
  const { code, stderr } = run("hack/install-programs", ["mmdebstrap", "chromium"]);
  expect(code).toBe(1);
  expect(stderr).toContain("error: missing programs: chromium\n");
});

describe("without Kamailio and without apt", () => {
  beforeEach(() => program("hack/install-programs", 'echo "error: missing programs: kamailio" >&2', "exit 1"));

  test("the demo runs in a container with this tree, and its exit code is the demo's", () => {
    program("bin/docker", '[ "$1" = run ] || exit 0', 'for each in "$@"; do echo "$each"; done', "exit 7");
    const { stdout, stderr, code } = run("hack/demo/run");
    expect({ stderr, code }).toEqual({ stderr: "", code: 7 });
    const said = stdout.split("\n");
    expect(said).toContain(`${tree}:/tree:ro`);
    expect(said.find((line) => line.startsWith("docker.io/"))).toMatch(/\/node:\d+\.\d+\.\d+-bookworm-slim$/);
    expect(stdout).toContain("hack/install-programs kamailio sipp && node hack/demo/main.ts");
    expect(said).not.toContain("KEEP");
  });

  test("KEEP=1 keeps the container at this machine's addresses, and says how to stop it", () => {
    program("bin/docker", "exit 1");
    program("bin/podman", '[ "$1" = run ] || exit 0', 'for each in "$@"; do echo "$each"; done');
    const said = run("hack/demo/run", [], { KEEP: "1" }).stdout.split("\n");
    expect(said[said.indexOf("--network") + 1]).toBe("host");
    expect(said).toContain("KEEP");
    expect(said).toContain("DEMO_STOP=podman stop sip-router-demo");
  });

  test("an engine that does not run is none: both ways are named", () => {
    program("bin/docker", "exit 1");
    const { stderr, code } = run("hack/demo/run");
    expect(code).toBe(1);
    expect(stderr).toBe(
      "error: missing programs: kamailio\nOr start docker or podman: then the demo runs in a container.\n",
    );
  });
});
