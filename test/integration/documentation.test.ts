/** The commands that the documentation shows, run as they stand there. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dump } from "js-yaml";
import { blocksOf, commandsOf, isShell } from "../../hack/docs/blocks.ts";
import { applicable } from "../../hack/docs/resources.ts";
import { startApiServer, type TestApiServer } from "../support/apiserver.ts";
import { type NodeAgent, startNodeAgent } from "../support/nodeAgent.ts";
import { until } from "../support/until.ts";

const root = resolve(import.meta.dirname, "../..");

/** Of docs/getting-started.md: a PBX, a router and a call, each in a terminal of its own. */
const firstCall = {
  render: "npm exec --no -- sip-router-operator render -f config/examples/first-call",
  pbx: "sipp -sf config/examples/first-call/pbx.xml -i 127.66.9.2",
  router:
    "npm exec --no -- sip-router-operator standalone --resources config/examples/first-call --state /tmp/first-call --addresses 127.66.9.1",
  status: "npm exec --no -- kubectl-sip status --state /tmp/first-call",
  explain: "npm exec --no -- kubectl-sip route explain 101 --state /tmp/first-call",
  call: "sipp 127.66.9.1 -sf config/examples/first-call/call.xml -s 101 -i 127.66.9.3 -m 1",
};
/** One shell block of README.md, and but for its first line of docs/getting-started.md. */
const withoutCluster = [
  "npm ci",
  "npm exec --no -- sip-router-operator render -f config/samples",
  "npm exec --no -- sip-router-operator standalone --resources config/samples --state /tmp/sip-router --addresses 127.50.1.10,127.50.1.11",
];
/** One shell block of docs/getting-started.md. */
const onCluster = [
  "kubectl apply -f crds/",
  "npm exec --no -- sip-router-operator run",
  "kubectl apply -k config/samples",
  "kubectl get sip",
  "kubectl wait --for=condition=Ready siprouter/edge --timeout=5m",
];
const describe = "kubectl describe siprouter edge";

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
  await Promise.all([...running].map((child) => end(child)));
  await node?.stop();
  await server?.stop();
  rmSync(work, { recursive: true, force: true });
  for (const state of ["/tmp/sip-router", "/tmp/first-call"]) rmSync(state, { recursive: true, force: true });
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
async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGINT"): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const closed = once(child, "close");
  if (child.pid !== undefined) process.kill(-child.pid, signal);
  await closed;
  return child.exitCode;
}

test("the pages show these commands", async () => {
  const readme = await shown("README.md");
  expect(readme).toContainEqual(withoutCluster);
  expect(await shown("docs/getting-started.md")).toEqual([
    ["make demo"],
    ["npm ci", firstCall.render],
    [firstCall.pbx],
    [firstCall.router],
    [firstCall.status, firstCall.explain, firstCall.call],
    withoutCluster.slice(1),
    onCluster,
  ]);
  expect((await shown("docs/troubleshooting.md")).flat()).toContain(describe);
});

test("the first call: a PBX, a router, a question and a call, as the page has them", async () => {
  expect(await run(firstCall.render)).toMatchObject({ code: 0, errors: "" });
  const pbx = start(firstCall.pbx);
  try {
    const router = start(firstCall.router);
    const says = (text: string) => () => router.child.exitCode !== null || router.output.out.includes(text);
    await until("the router is ready", says('"event":"ready"'), 60_000);
    expect(router.output.out, router.output.errors).toContain('"event":"ready"');
    await until("the PBX is active", async () => (await run(firstCall.status)).out.includes("1/1 active"), 30_000);
    expect(await run(firstCall.explain)).toMatchObject({ code: 0, out: expect.stringContaining("the same") as string });
    const placed = await run(firstCall.call);
    expect(placed.out).toMatch(/Successful call +\| +\d+ +\| +1 /);
    const refused = await run(firstCall.call.replace("-s 101", "-s 999"));
    expect(`${refused.out}${refused.errors}`).toContain("404 Not Found");
    await end(router.child);
  } finally {
    await end(pbx.child, "SIGKILL");
  }
}, 240_000);

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
  expect((await run(describe)).out).toMatch(/Reason:\s+Programmed/);
  await end(child);
});

const pages = globSync("{*.md,docs/**/*.md,config/examples/**/*.md}", { cwd: root }).toSorted();
const blocksIn = async (page: string) => blocksOf(await readFile(join(root, page), "utf8"));

test("the API server takes every resource of the pages, and the examples", async () => {
  await run("kubectl apply -f crds/ && kubectl wait --for=condition=Established crd --all --timeout=60s");
  const refused: string[] = [];
  const apply = "kubectl apply --dry-run=server --validate=strict";
  for (const page of pages) {
    const objects = (await blocksIn(page))
      .filter(({ language }) => language === "yaml")
      .flatMap(({ text }) => applicable(text));
    if (objects.length === 0) continue;
    const file = join(work, "page.yaml");
    writeFileSync(file, objects.map((object) => dump(object)).join("---\n"));
    const { code, errors } = await run(`${apply} -f ${file}`);
    if (code !== 0) refused.push(`${page}: ${errors}`);
  }
  for (const example of globSync("config/examples/*/kustomization.yaml", { cwd: root }).map((path) => dirname(path))) {
    const { code, errors } = await run(`${apply} -k ${example}`);
    if (code !== 0) refused.push(`${example}: ${errors}`);
  }
  expect(refused).toEqual([]);
}, 240_000);

test("kubectl has the options that the pages use", async () => {
  const commands = (await Promise.all(pages.map((page) => blocksIn(page)))).flat().filter(isShell).flatMap(commandsOf);
  const plain = commands.filter((command) => /^kubectl (?!sip |krew )/.test(command));
  expect(plain.length).toBeGreaterThan(10);
  const helps = new Map<string, string>();
  const wrong: string[] = [];
  for (const command of plain) {
    // the namespace may stand before the verb
    const words = command
      .replace(/ -n \S+/, "")
      .split(/\s+/)
      .slice(1);
    const depth = words[1] === "secret" ? 3 : 2;
    const verb = words.slice(0, words[0] === "create" || words[0] === "rollout" ? depth : 1).join(" ");
    const help = helps.get(verb) ?? (await run(`kubectl ${verb} --help; kubectl options`)).out;
    helps.set(verb, help);
    for (const [, flag = ""] of command.matchAll(/ (--?[a-z][a-z-]*)/g))
      if (!new RegExp(`(^|[\\s,])${flag}[=,: ]`, "m").test(help)) wrong.push(`${command}: ${flag}`);
  }
  expect(wrong).toEqual([]);
});
