/** `standalone` on a folder that is not there, or that has no router, says so. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let work: string;
let child: ChildProcessByStdio<null, Readable, Readable>;

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "nothing-to-run-"));
});
afterEach(() => {
  child.kill("SIGKILL");
  rmSync(work, { recursive: true, force: true });
});

/** With a program in the place of Kamailio that is there, and is never started. */
function start(resources: string): Promise<unknown[]> {
  const main = resolve(import.meta.dirname, "../../../src/main.ts");
  const options = ["--resources", resources, "--state", join(work, "state"), "--kamailio", process.execPath];
  child = spawn(process.execPath, [main, "standalone", ...options, "--addresses", "127.0.0.1"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return once(child, "close");
}

test("a folder that does not exist: the error with its remedy, and an end, whatever had begun", async () => {
  const missing = join(work, "resources");
  const closed = start(missing);
  const errors = await text(child.stderr);
  expect(await closed).toEqual([1, null]);
  expect(errors).toContain(`error SIPR_USAGE: The resources folder ${missing} cannot be read`);
  expect(errors).toContain("Create it, or name another one with --resources.");
});

test("a folder without a SipRouter: ready, and a warning that nothing runs", async () => {
  const empty = join(work, "empty");
  mkdirSync(empty);
  const closed = start(empty);
  const errors = text(child.stderr);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  expect(await closed).toEqual([0, null]);
  const warnings = (await errors).split("\n").filter((line) => line.includes('"level":"warn"'));
  expect(warnings).toEqual([expect.stringContaining("there is no SipRouter in the resources folder")]);
});
