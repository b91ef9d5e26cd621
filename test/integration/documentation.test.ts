/** The commands that the documentation shows, run as they stand there. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, commandsOf } from "../../hack/checkDocs.ts";
import { startApiServer, type TestApiServer } from "../support/apiserver.ts";
import { type NodeAgent, startNodeAgent } from "../support/nodeAgent.ts";
import { until } from "../support/until.ts";

const root = resolve(import.meta.dirname, "../..");

/** Each is one shell block of README.md, and again of docs/getting-started.md. */
const withoutCluster = [
  "npm ci",
  "npm exec --no -- sip-router-operator render -f config/samples",
  "npm exec --no -- sip-router-operator standalone --resources config/samples --state /tmp/sip-router --addresses 127.50.1.10,127.50.1.11",
];
const onCluster = [
  "kubectl apply -f crds/",
  'npm exec --no -- sip-router-operator run --kubeconfig "$KUBECONFIG"',
  "kubectl apply -k config/samples",
  "kubectl get sip",
  "kubectl wait --for=condition=Ready siprouter/edge --timeout=5m",
];
const troubleshooting = ["kubectl get sip", "kubectl describe siprouter edge"];

const shown = async (page: string): Promise<string[][]> =>
  blocksOf(await readFile(join(root, page), "utf8"))
    .filter(({ language }) => language === "sh")
    .map(commandsOf);

let work: string;
let server: TestApiServer;
let node: NodeAgent;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "documentation-"));
  const built = await run("npm run build");
  if (built.code !== 0) throw new Error(built.out + built.errors);
  server = await startApiServer();
  node = await startNodeAgent({
    kubeConfig: server.kubeConfig,
    addresses: ["127.50.3.1", "127.50.3.2"],
    workDir: work,
  });
});
afterAll(async () => {
  await Promise.all([...running].map(end));
  await node?.stop();
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
  rmSync("/tmp/sip-router", { recursive: true, force: true });
});

interface Output {
  out: string;
  errors: string;
}

/** Starts a command line in a process group of its own; `output` grows. */
function start(command: string): { child: ChildProcess; output: Output } {
  const path = `${server?.assets ?? ""}:${process.env["PATH"] ?? ""}:/usr/sbin`;
  const env = { ...process.env, PATH: path, KUBECONFIG: server?.kubeconfigPath, HOME: work };
  const child = spawn("bash", ["-c", command], { cwd: root, env, detached: true });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const output = { out: "", errors: "" };
  child.stdout.on("data", (data: Buffer) => (output.out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (output.errors += data.toString()));
  return { child, output };
}

async function run(command: string): Promise<Output & { code: number | null }> {
  const { child, output } = start(command);
  const [code] = (await once(child, "close")) as [number | null];
  return { ...output, code };
}

/** As Ctrl-C does: to the whole process group. */
async function end(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const closed = once(child, "close");
  if (child.pid !== undefined) process.kill(-child.pid, "SIGINT");
  await closed;
  return child.exitCode;
}

test("the pages show these commands", async () => {
  const readme = await shown("README.md");
  expect(readme).toContainEqual(withoutCluster);
  expect(readme).toContainEqual(onCluster);
  const started = await shown("docs/getting-started.md");
  expect(started.flat()).toEqual(["make demo", ...withoutCluster, ...onCluster]);
  expect(await shown("docs/troubleshooting.md")).toEqual([troubleshooting]);
});

test("without a cluster: render prints what would run, standalone runs it and ends on Ctrl-C", async () => {
  const [, render = "", standalone = ""] = withoutCluster;
  const rendered = await run(render);
  expect(rendered).toMatchObject({ code: 0, errors: "" });
  expect(rendered.out).toContain("kind: Deployment");
  const { child, output } = start(standalone);
  await until("the router is ready", () => child.exitCode !== null || output.out.includes('"event":"ready"'), 60_000);
  expect(output.out, output.errors).toContain('"event":"ready"');
  await end(child);
  expect(output.out).not.toContain('"event":"rejected"');
});

test("on a cluster: the samples become Ready", async () => {
  const [crds = "", operator = "", samples = "", list = "", ready = ""] = onCluster;
  expect(await run(crds)).toMatchObject({ code: 0 });
  // a free port for its metrics: 8080 may be somebody's
  const { child, output } = start(`${operator} --metrics-port 0`);
  expect(await run(samples)).toMatchObject({ code: 0 });
  expect((await run(ready)).code, output.errors).toBe(0);
  const listed = await run(list);
  expect(listed.out).toMatch(/siprouter\S*\/edge\s+True\s+2/);
  expect(listed.out).toContain("freepbx-1");
  const [, describe = ""] = troubleshooting;
  expect((await run(describe)).out).toMatch(/Reason:\s+Programmed/);
  await end(child);
});
