/** The last line of CI is the truth: whatever failed is in its count, also what is no test. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");
let folder: string;

const program = (path: string, ...lines: string[]): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), ["#!/bin/sh", ...lines, ""].join("\n"));
  chmodSync(join(folder, path), 0o755);
};
/** A Makefile with what each target does, instead of the project's own. */
const targets = (recipes: Readonly<Record<string, string>>): void => {
  const all = { packages: "true", check: "true", demo: "true", test: 'echo "7 passed, 0 failed"', ...recipes };
  const text = Object.entries(all).map(([name, recipe]) => `${name}:\n\t@${recipe}\n`);
  writeFileSync(join(folder, "tree/Makefile"), `.PHONY: ${Object.keys(all).join(" ")}\n${text.join("")}`);
};
const ci = (): { last: string | undefined; output: string; code: number | null } => {
  const { PATH } = process.env;
  const env = { PATH, TMPDIR: folder, KUBEBUILDER_ASSETS: folder };
  const { stdout, status } = spawnSync("bash", [join(folder, "tree/.ci/run")], { encoding: "utf8", env });
  return { last: stdout.trimEnd().split("\n").at(-1), output: stdout, code: status };
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ci-"));
  mkdirSync(join(folder, "tree/.ci"), { recursive: true });
  cpSync(join(root, ".ci/run"), join(folder, "tree/.ci/run"));
  program("tree/hack/install-programs", "exit 0");
  targets({});
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("when everything holds, the sum is that of the tests", () => {
  expect(ci()).toMatchObject({ last: "7 passed, 0 failed", code: 0 });
});

test.each([
  ["a check", { check: "false" }, "7 passed, 1 failed", "FAILED STEP make check"],
  ["the demo", { demo: "false" }, "7 passed, 1 failed", "FAILED STEP make demo"],
  ["two steps", { check: "false", demo: "false" }, "7 passed, 2 failed", "FAILED STEP make demo"],
  ["the packages", { packages: "false" }, "0 passed, 1 failed", "FAILED STEP packages"],
  ["a test", { test: 'echo "5 passed, 2 failed"; false' }, "5 passed, 2 failed", "FAILED STEP make test"],
  [
    "a run beside its tests",
    { test: 'echo "7 passed, 0 failed"; false' },
    "7 passed, 1 failed",
    "FAILED STEP make test",
  ],
  ["a run without a sum", { test: "true" }, "0 passed, 1 failed", "FAILED STEP make test"],
])("%s that fails is counted and named", (_, recipes, last, named) => {
  targets(recipes as Record<string, string>);
  const { output, ...result } = ci();
  expect(result).toEqual({ last, code: 1 });
  expect(output).toContain(named);
});

test("a program that cannot be installed is counted, and the tests run", () => {
  program("tree/hack/install-programs", "exit 1");
  expect(ci()).toMatchObject({ last: "7 passed, 1 failed", code: 1 });
});

/** A cluster kit as CI finds it beside the tree. */
const kit = (start: string): void => {
  program("shared/cluster/start", start);
  program("shared/cluster/down", 'echo down >>"$TMPDIR/downs"');
  for (const name of ["make-image", "load-image"]) program(`shared/cluster/${name}`, "exit 0");
  program("shared/cluster/env.sh", `IMG=${folder}/images`);
  for (const name of ["kamailio61", "asterisk", "phone", "rtpengine"]) program(`images/${name}.tar`);
  program("tree/hack/image/rootfs", "exit 0");
  program("tree/hack/e2e/before", 'mkdir -p "$1/charts" "$1/hack/image"', 'cp hack/image/rootfs "$1/hack/image/"');
};

test("on a cluster the sums are added; one that starts at the second try is as good", () => {
  kit('[ -e "$TMPDIR/downs" ] && echo "export KUBECONFIG=/somewhere"');
  targets({
    e2e: 'test "$$KUBECONFIG" = /somewhere && test -d "$$(dirname $$E2E_OPERATOR_BEFORE_CHART)" && echo "3 passed, 0 failed"',
  });
  expect(ci()).toMatchObject({ last: "10 passed, 0 failed", code: 0 });
  targets({ e2e: 'echo "2 passed, 1 failed"; false' });
  expect(ci()).toMatchObject({ last: "9 passed, 1 failed", code: 1 });
});

test("a clone without history upgrades from the same version under another name", () => {
  kit("echo export KUBECONFIG=/somewhere");
  program("tree/hack/e2e/before", "exit 1");
  targets({ e2e: 'test -z "$$E2E_OPERATOR_BEFORE_CHART" && echo "3 passed, 0 failed"' });
  expect(ci()).toMatchObject({ last: "10 passed, 0 failed", code: 0 });
});

test("a cluster that does not start, and images that cannot be made, are failures", () => {
  kit("exit 1");
  targets({ e2e: 'echo "3 passed, 0 failed"' });
  expect(ci()).toMatchObject({ last: "7 passed, 1 failed", code: 1 });
  kit("echo export KUBECONFIG=/somewhere");
  program("shared/cluster/make-image", "exit 1");
  expect(ci()).toMatchObject({ last: "10 passed, 1 failed", code: 1 });
});
