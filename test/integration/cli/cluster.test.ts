/** `kubectl-sip` against a real API server, with the rights of the shipped roles and no way to the pods but the API server. */
import { execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { start, stop } from "../../../hack/demo/processes.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startKubelet, type Kubelet } from "../../support/kubelet.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "../kube/process.ts";

const root = resolve(import.meta.dirname, "../../..");
const net = "127.90.20";
const replicas = [1, 2, 3].map((host) => `${net}.${host}`);
const folder = mkdtempSync(join(tmpdir(), "cli-cluster-"));
let server: TestApiServer;
let node: NodeAgent;
let kubelet: Kubelet;
let operator: OperatorProcess;
const users: Record<"viewer" | "operator" | "nobody" | "admin", string> = {
  viewer: "",
  operator: "",
  nobody: "",
  admin: "",
};
const children: ReturnType<typeof start>[] = [];

const resources = `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-1, namespace: voice}
spec: {address: ${net}.11, port: 5061}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-2, namespace: voice}
spec: {address: ${net}.12, port: 5062}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge, namespace: voice}
spec:
  replicas: 3
  listeners: [{name: udp, transport: UDP, port: 5060}]
  healthCheck: {intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 1}
  drain: {timeoutSeconds: 2}
  kamailio:
    workers: 2
    podTemplate:
      metadata: {annotations: {example.com/api-token: planted-annotation}}
      spec:
        containers:
          - {name: kamailio, env: [{name: DB_PASSWORD, value: planted-variable}, {name: DSN, value: "mysql://a:planted-url@db/x"}]}
  dispatcherSets: [{name: main, backends: [{name: pbx-1}, {name: pbx-2, priority: 1}]}]
  routes: [{name: company, match: {extensions: ["1000-1999"]}, set: main}]
`;

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
const sip = (user: keyof typeof users, ...args: string[]): Promise<Result> =>
  new Promise((done) => {
    execFile(
      process.execPath,
      [resolve(root, "src/kubectl-sip.ts"), ...args, "--kubeconfig", users[user]],
      (error, out, err) => done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
const inVoice = (...args: string[]): Promise<Result> => sip("operator", ...args, "-n", "voice");
const json = async <Shape>(...args: string[]): Promise<Shape> =>
  JSON.parse((await inVoice(...args, "-o", "json")).out) as Shape;
const sipp = (scenario: string, ip: string, port: number, args: readonly string[]): void =>
  void children.push(
    start(
      "sipp",
      ["-sf", resolve(root, `hack/demo/scenarios/${scenario}.xml`), "-i", ip, "-p", String(port), "-nostdin", ...args],
      {
        cwd: folder,
        output: join(folder, `${scenario}-${ip}-${port}.out`),
      },
    ),
  );

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  users.admin = server.kubeconfigPath;
  const { kubectl } = server;
  const podIp = async (namespace: string, name: string): Promise<string | undefined> =>
    (await kubectl(["-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}"])).stdout || undefined;
  mkdirSync(join(folder, "kubelet"));
  kubelet = await startKubelet(
    join(folder, "kubelet"),
    podIp,
    (_pod, previous) => `${previous ? "the run before" : "this run"}\n{"password": "planted-log"}\n`,
  );
  node = await startNodeAgent({
    kubeConfig: server.kubeConfig,
    addresses: replicas,
    workDir: join(folder, "node"),
    nodeName: "node-1",
  });
  await kubectl(["apply", "-f", "-"], { input: '{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}' });
  const status = {
    addresses: [{ type: "InternalIP", address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
  };
  await kubectl(["patch", "node", "node-1", "--subresource=status", "--type=merge", "-p", JSON.stringify({ status })]);
  await kubectl(["create", "namespace", "voice"]);
  await kubectl(["apply", "-k", join(root, "config/rbac/users")]);
  for (const user of ["viewer", "operator", "nobody"] as const) {
    await kubectl(["-n", "voice", "create", "serviceaccount", user]);
    users[user] = await server.serviceAccountKubeconfig("voice", user);
  }
  for (const role of ["viewer", "operator"])
    await kubectl([
      "-n",
      "voice",
      "create",
      "rolebinding",
      role,
      `--clusterrole=sip-${role}`,
      `--serviceaccount=voice:${role}`,
    ]);
  await kubectl([
    "-n",
    "voice",
    "create",
    "role",
    "edge-control",
    "--verb=get",
    "--resource=secrets",
    "--resource-name=edge-control",
  ]);
  await kubectl([
    "-n",
    "voice",
    "create",
    "rolebinding",
    "edge-control",
    "--role=edge-control",
    "--serviceaccount=voice:operator",
  ]);
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  for (const at of [1, 2]) sipp("pbx", `${net}.1${at}`, 5060 + at, ["-key", "who", `pbx-${at}`]);
  await kubectl(["apply", "-f", "-"], { input: resources });
  await kubectl(["-n", "voice", "wait", "--for=condition=Available", "siprouter/edge", "--timeout=60s"]);
  await kubectl(["-n", "voice", "wait", "--for=condition=Ready", "siprouter/edge", "--timeout=60s"]);
}, 180_000);
afterAll(async () => {
  await Promise.all(children.map((child) => stop(child, 300)));
  await operator?.end();
  await node?.stop();
  await kubelet?.stop();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 120_000);

describe("with the rights of sip-operator and the router's token", () => {
  test("calls and stats through the API server: what SIPp placed", async () => {
    for (const [at, count] of [6, 4].entries())
      sipp("call", `${net}.21`, 5071 + at, [
        "-s",
        "1234",
        "-m",
        String(count),
        "-r",
        "50",
        "-d",
        "120000",
        "-key",
        "from",
        "ann",
        `${replicas[at]}:5060`,
      ]);
    const { calls, pods } = await until("10 calls", async () => {
      const found = await json<{
        total: number;
        calls: { id: string; backend: string; state: string }[];
        pods: { calls: number }[];
      }>("calls");
      return found.total === 10 && found.calls.every(({ state }) => state === "Answered") && found;
    });
    expect(pods.map((pod) => pod.calls).toSorted()).toEqual([0, 4, 6]);
    expect(new Set(calls.map(({ backend }) => backend))).toEqual(new Set(["pbx-1"]));
    expect(await json("stats", "--no-rate")).toMatchObject({
      sum: { stats: { calls: 10, placed: 10, replies: { "2xx": 10 } } },
    });
    expect(kubelet.forwarded()).toBeGreaterThanOrEqual(3);
    expect((await inVoice("end", calls[0]?.id ?? "")).code).toBe(0);
    await until("9 calls", async () => (await json<{ total: number }>("calls")).total === 9);
  });

  test("capture: the same rights are enough, through the API server", async () => {
    const args = ["capture", "edge", "--number", "1666", "--for", "30", "-o", "json", "-n", "voice"];
    const capturing = spawn(process.execPath, [
      resolve(root, "src/kubectl-sip.ts"),
      ...args,
      "--kubeconfig",
      users.operator,
    ]);
    let [out, err] = ["", ""];
    capturing.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    capturing.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    const code = new Promise((done) => capturing.once("exit", done));
    await until("it captures", () => err.includes("capturing on 3 pods"));
    sipp("call", `${net}.21`, 5075, [
      "-s",
      "1666",
      "-m",
      "1",
      "-d",
      "300",
      "-key",
      "from",
      "ann",
      `${replicas[2]}:5060`,
    ]);
    expect(await code, err).toBe(0);
    const { calls: found } = JSON.parse(out) as { calls: { from: string; to: string; steps: { label: string }[] }[] };
    expect(found).toMatchObject([{ from: "ann", to: "1666" }]);
    expect(found[0]?.steps.map(({ label }) => label.split(" ", 1)[0])).toEqual(
      expect.arrayContaining(["INVITE", "200", "ACK", "BYE"]),
    );
  });

  test("a router and a backend that are not there: those that are there are named", async () => {
    expect(await inVoice("dump", "egde")).toMatchObject({
      code: 2,
      err: expect.stringContaining("Use one of: voice/edge"),
    });
    expect(await inVoice("drain", "pbx-9")).toMatchObject({ code: 2, err: expect.stringContaining("voice/pbx-1") });
  });

  test("dump, ping and route explain: three pods agree", async () => {
    const { destinations } = await json<{ destinations: { backend: string; activePods: number; notes: string[] }[] }>(
      "dump",
    );
    expect(destinations.map(({ backend, activePods, notes }) => [backend, activePods, notes])).toEqual([
      ["pbx-1", 3, []],
      ["pbx-2", 3, []],
    ]);
    expect((await inVoice("ping")).out).toContain("all 6 answered");
    expect(await json("route", "explain", "1234")).toMatchObject({
      route: { route: "company" },
      pods: [{ agrees: true }, { agrees: true }, { agrees: true }],
    });
  });

  test("reload: asked of the operator by an annotation, the spec stays, every pod is read back", async () => {
    const generation = async (): Promise<string> =>
      (await server.kubectl(["-n", "voice", "get", "siprouter", "edge", "-o", "jsonpath={.metadata.generation}"]))
        .stdout;
    const before = await generation();
    expect(await inVoice("reload", "edge")).toMatchObject({
      code: 0,
      out: expect.stringContaining("3 of 3 pods read back"),
    });
    expect(await generation()).toBe(before);
    const { stdout } = await server.kubectl([
      "-n",
      "voice",
      "get",
      "siprouter",
      "edge",
      "-o",
      "jsonpath={.metadata.annotations.siprouter\\.dev/reload-requested-at}",
    ]);
    expect(stdout).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("reload and drain while the operator is stopped: not done; when it goes on, they are", async () => {
    process.kill(operator.pid, "SIGSTOP");
    try {
      expect(await inVoice("reload", "edge", "--timeout", "1")).toMatchObject({
        code: 1,
        out: expect.stringMatching(/3 of 3 pods read back[^]*the operator has not done it yet/),
      });
      expect(await inVoice("drain", "pbx-2", "--timeout", "1")).toMatchObject({
        code: 1,
        out: expect.stringContaining("The operator has not taken up the change yet"),
        err: expect.stringMatching(/stays Draining[^]*kubectl sip undrain pbx-2/),
      });
      expect(await inVoice("reload", "edge", "--timeout", "1")).toMatchObject({
        code: 1,
        out: expect.stringContaining("the operator has not looked at PbxBackend voice/pbx-2"),
      });
    } finally {
      process.kill(operator.pid, "SIGCONT");
    }
    expect(await inVoice("reload", "edge")).toMatchObject({ code: 0 });
    const { destinations } = await json<{ destinations: { backend: string; notes: string[] }[] }>("dump");
    expect(destinations.find(({ backend }) => backend === "pbx-2")?.notes).toEqual(["draining"]);
    expect(await inVoice("drain", "pbx-2")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/0 calls left at pbx-2\n$/),
    });
    expect((await inVoice("undrain", "pbx-2")).code).toBe(0);
    expect(await inVoice("reload", "edge")).toMatchObject({ code: 0 });
  });

  test("drain and undrain: the backend's adminState, new calls go to the other one", async () => {
    const drained = await inVoice("drain", "pbx-1", "--no-wait");
    expect(drained).toMatchObject({
      code: 0,
      out: expect.stringMatching(/spec\.adminState is Draining now\n[^]*^9 calls left at pbx-1/m),
    });
    await until("it takes no calls any more", async () =>
      (await json<{ targets: { backend: string; order: number }[] }>("route", "explain", "1234")).targets.every(
        ({ backend, order }) => (backend === "pbx-1") === (order === 0),
      ),
    );
    expect((await inVoice("undrain", "pbx-1")).out).toContain("spec.adminState is Enabled now");
    await until(
      "it takes calls again",
      async () =>
        (await json<{ targets: { backend: string; order: number }[] }>("route", "explain", "1234")).targets[0]
          ?.backend === "pbx-1",
    );
  });

  test("a stopped pod: the others are shown, exit code 3", async () => {
    const [pod = ""] = (
      await server.kubectl(["-n", "voice", "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"])
    ).stdout.split(" ");
    await node.pause(`voice/${pod}`);
    try {
      const { code, out, err } = await inVoice("dump", "--request-timeout", "1");
      expect(code).toBe(3);
      expect(out).toContain("pods 2/3");
      expect(err).toContain(`no answer from pod voice/${pod}`);
    } finally {
      await node.resume(`voice/${pod}`);
    }
  });
});

describe("diagnose", () => {
  const report = join(folder, "report.tar.gz");
  const unpacked = (): Promise<string> =>
    new Promise((done) => {
      execFile("tar", ["-xzOf", report], { maxBuffer: 1 << 26 }, (_error, content) => done(content));
    });

  test("nothing that was planted goes out: variables, annotations, logs, the token", async () => {
    const { code, out, err } = await inVoice("diagnose", "--to", report);
    expect(code, err).toBe(0);
    expect(out).toMatch(/events-edge\.txt[^]*logs\/edge-[^]*pods\/edge-/);
    const text = await unpacked();
    expect(text).toContain("DB_PASSWORD");
    expect(text).toContain("dispatcher.list");
    expect(text).toMatch(/Normal {2}\w+ {2}SipRouter\/edge/);
    expect(text).not.toMatch(/planted-\w+/);
    const secret = await server.kubectl([
      "-n",
      "voice",
      "get",
      "secret",
      "edge-control",
      "-o",
      "jsonpath={.data.token}",
    ]);
    expect(text).not.toContain(Buffer.from(secret.stdout, "base64").toString());
    // who may not read the operator's log is told who may
    expect(text).toContain("kubectl logs --all-containers");
  });

  test("the operator's log, and that of a run that crashed", async () => {
    const { kubectl } = server;
    const address = { addresses: [{ type: "InternalIP", address: "127.0.0.1" }] };
    const status = { ...address, daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } } };
    await kubectl(["apply", "-f", "-"], { input: '{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-2"}}' });
    await kubectl([
      "patch",
      "node",
      "node-2",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify({ status }),
    ]);
    const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: the-operator
  namespace: default
  labels: {app.kubernetes.io/name: sip-router-operator, app.kubernetes.io/component: operator}
spec: {nodeName: node-2, automountServiceAccountToken: false, containers: [{name: operator, image: x}]}
`;
    await kubectl(["apply", "-f", "-"], { input: pod });
    const run = { name: "operator", image: "x", imageID: "x", ready: true, restartCount: 1, state: { running: {} } };
    const crashed = { status: { phase: "Running", containerStatuses: [run] } };
    await kubectl([
      "patch",
      "pod",
      "the-operator",
      "--subresource=status",
      "--type=merge",
      "-p",
      JSON.stringify(crashed),
    ]);
    const { code, err } = await sip("admin", "diagnose", "-n", "voice", "--to", report);
    expect(code, err).toBe(0);
    const text = await unpacked();
    expect(text).toContain("the run before");
    expect(text).not.toMatch(/planted-\w+/);
  });
});

describe("with less", () => {
  test("sip-viewer sees the status, and is told what asking the pods takes", async () => {
    expect(await sip("viewer", "status", "-n", "voice")).toMatchObject({
      code: 0,
      out: expect.stringContaining("SipRouter voice/edge  Ready"),
    });
    const calls = await sip("viewer", "calls", "-n", "voice");
    expect(calls.code).toBe(3);
    expect(calls.err).toMatch(/secrets edge-control[^]*--resource-name=edge-control/);
    expect(await sip("viewer", "drain", "pbx-1", "-n", "voice")).toMatchObject({
      code: 1,
      err: expect.stringContaining("sip-operator"),
    });
  });

  test("without a role, and in another namespace, the role that helps is named", async () => {
    for (const { code, err } of [await sip("nobody", "status", "-n", "voice"), await sip("viewer", "status", "-A")]) {
      expect(code).toBe(1);
      expect(err).toMatch(/SIPR_FORBIDDEN[^]*sip-viewer/);
    }
  });

  test("a namespace without routers", async () => {
    await server.kubectl([
      "-n",
      "default",
      "create",
      "rolebinding",
      "viewer",
      "--clusterrole=sip-viewer",
      "--serviceaccount=voice:viewer",
    ]);
    await until("the right", async () => (await sip("viewer", "status")).code === 2);
    expect((await sip("viewer", "status")).err).toContain("There is no SipRouter in namespace default");
  });
});
