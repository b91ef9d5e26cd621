/** The first Ctrl-C ends a command that waits for somebody who never answers. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "interrupt-"));
const kubeconfig = join(folder, "kubeconfig");
const sockets = new Set<Socket>();
/** takes connections, and answers nothing */
const server = createServer((socket) => void sockets.add(socket.on("error", () => undefined)));

beforeAll(async () => {
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((done) => server.close(done));
  rmSync(folder, { recursive: true, force: true });
});

const start = (
  ...args: readonly string[]
): { readonly child: ReturnType<typeof spawn>; readonly code: Promise<unknown> } => {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, "../../../src/kubectl-sip.ts"), ...args]);
  return { child, code: new Promise((done) => child.once("exit", (code, signal) => done(code ?? signal))) };
};

test.each([
  ["dump"],
  ["stats"],
  ["calls", "--follow"],
  ["status", "--watch"],
  ["ping"],
  ["registrations"],
  ["diagnose"],
  ["capture", "--number", "1"],
  ["ui"],
  ["reload"],
])("%s %s", async (...args) => {
  const before = sockets.size;
  const { child, code } = start(...args, "--kubeconfig", kubeconfig);
  await until("it waits for the API server", () => sockets.size > before || child.exitCode !== null, 30_000);
  child.kill("SIGINT");
  expect(await code).toBe(130);
});

test("validate that waits for standard input, by SIGTERM", async () => {
  const { child, code } = start("validate", "-f", "-");
  // its signal handler is there before anything is read
  const interval = setInterval(() => child.kill("SIGTERM"), 500);
  expect(["SIGTERM", 143]).toContain(await code);
  clearInterval(interval);
});
