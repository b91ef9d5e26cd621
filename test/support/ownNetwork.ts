/**
 * Tests in a network of their own (Linux network namespace), where addresses that are not loopback are this machine's:
 * `NET.0.0/16` on `lo`, and further ones of IPv6 where they are named. The API server takes no loopback address in an EndpointSlice. Needs root, or user namespaces.
 *
 *   inOwnNetwork("10.63", import.meta.filename, () => { test(…) });
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ownNetwork } from "./unshare.ts";

const VARIABLE = "SIP_TEST_NETWORK";
const VITEST = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const TIMEOUT_MS = 600_000;

export function inOwnNetwork(net: string, file: string, body: () => void, more: readonly string[] = []): void {
  if (process.env[VARIABLE] === net) return body();
  test(`in a network of its own, ${net}.0.0/16`, { timeout: TIMEOUT_MS, retry: 0 }, async () => {
    const project = file.includes("/dataplane/") ? "dataplane" : "integration";
    const command = [process.execPath, VITEST, "run", "--project", project, file];
    const child = spawn("unshare", ownNetwork(net, command, more), {
      env: { ...process.env, [VARIABLE]: net, VITEST: undefined, VITEST_WORKER_ID: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => (output += data.toString("utf8")));
    const [code] = (await once(child, "exit")) as [number | null];
    expect(code, output).toBe(0);
    expect(output).toMatch(/Tests .*\d+ passed/);
  });
}
