/** `standalone` on a folder that is not there says so and ends: nothing that it had begun keeps the process alive. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";

const work = mkdtempSync(join(tmpdir(), "missing-folder-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

test("a resources folder that does not exist: the error with its remedy, exit code 1", async () => {
  const missing = join(work, "resources");
  const main = resolve(import.meta.dirname, "../../../src/main.ts");
  const options = ["--resources", missing, "--state", join(work, "state"), "--kamailio", process.execPath];
  const child = spawn(process.execPath, [main, "standalone", ...options, "--addresses", "127.0.0.1"]);
  try {
    const closed = once(child, "close");
    const errors = await text(child.stderr);
    expect(await closed).toEqual([1, null]);
    expect(errors).toContain(`error SIPR_USAGE: The resources folder ${missing} cannot be read`);
    expect(errors).toContain("Create it, or name another one with --resources.");
  } finally {
    child.kill("SIGKILL");
  }
});
