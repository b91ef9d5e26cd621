/**
 * Ten minutes in which nothing happens, a resync of everything among them, on a clock that runs sixty times as fast: nothing
 * is written, not a status, not an Event. Real Kamailios, one PBX that answers and one that does not.
 */
import { createSocket, type Socket } from "node:dgram";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startController, systemClock, type Clock, type Controller } from "../../../src/controller/index.ts";
import { createControl } from "../../../src/kamailio/control.ts";
import { createKubeCluster, type KubeCluster } from "../../../src/kube/kubeCluster.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { until } from "../../support/until.ts";
import { memoryLog } from "./support.ts";

const FASTER = 60;
const TEN_MINUTES = 10 * 60_000;
const PODS = ["127.62.20.1", "127.62.20.2"];
const ANSWERING = "127.62.21.1";

const began = Date.now();
const fast = (): number => began + (Date.now() - began) * FASTER;
const fastClock: Clock = {
  now: fast,
  timeOfDay: fast,
  setTimeout: (run, milliseconds) => systemClock.setTimeout(run, milliseconds / FASTER),
  clearTimeout: (timer) => systemClock.clearTimeout(timer),
};

const folder = mkdtempSync(join(tmpdir(), "quiet-test-"));
const log = memoryLog();
const control = createControl();
const writes: string[] = [];
let server: TestApiServer;
let node: NodeAgent;
let cluster: KubeCluster;
let controller: Controller;
let pbx: Socket;

const answerOptions = async (): Promise<Socket> => {
  const socket = createSocket("udp4");
  socket.on("message", (data, from) => {
    const lines = data.toString("latin1").split("\r\n");
    const kept = lines.filter((line) => /^(via|from|call-id|cseq|to):/i.test(line));
    const answer = ["SIP/2.0 200 OK", ...kept.map((line) => (/^to:/i.test(line) ? `${line};tag=pbx` : line))];
    socket.send([...answer, "Content-Length: 0", "", ""].join("\r\n"), from.port, from.address);
  });
  await new Promise<void>((resolve) => void socket.bind(5060, ANSWERING, resolve));
  return socket;
};

const backend = (name: string, address: string) => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name },
  spec: { address },
});
const router = (name: string, backends: readonly string[]) => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name },
  spec: {
    replicas: 2,
    healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 1 },
    dispatcherSets: [{ name: "pbx", id: 1, backends: backends.map((one) => ({ name: one })) }],
    routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
  },
});

beforeAll(async () => {
  pbx = await answerOptions();
  server = await startApiServer({ crds: true });
  // one address for each pod of the first router: those of the second one wait
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  cluster = createKubeCluster({
    kubeConfig: server.kubeConfig,
    log,
    onRequest: ({ verb, resource, name }) => {
      if (!["get", "list", "watch"].includes(verb)) writes.push(`${verb} ${resource} ${name}`);
    },
  });
  controller = await startController({
    cluster,
    control,
    log,
    clock: fastClock,
    defaults: { image: "kamailio" },
    // of the fast clock: four readings of a pod in a second
    tuning: { pollMs: 15_000, freshMs: 30_000 },
  });
});
afterAll(async () => {
  await controller.stop();
  await cluster.stop();
  control.close();
  await node.stop();
  await server.stop();
  pbx.close();
  rmSync(folder, { recursive: true });
});

const jsonpath = async (resource: string, path: string): Promise<string> =>
  (await server.kubectl(["get", resource, "-o", `jsonpath=${path}`])).stdout;
const ours = "siprouters,pbxbackends,configmaps,secrets,deployments,services,serviceaccounts,poddisruptionbudgets";
const versions = (): Promise<string> =>
  jsonpath(ours, "{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}\n{end}");
const events = (): Promise<string> =>
  jsonpath(
    "events.events.k8s.io",
    '{range .items[?(@.reportingController=="siprouter.dev/operator")]}{.metadata.name} {.series}\n{end}',
  );

test("nothing is written while nothing happens, and everything is looked at anew", async () => {
  const items = [
    backend("alive", ANSWERING),
    backend("dead", "127.62.21.2"),
    router("edge", ["alive", "dead"]),
    backend("idle", "127.62.21.3"),
  ];
  await server.kubectl(["apply", "--server-side", "-f", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  });
  await until("the router is Ready and knows who answers", async () => (await jsonpath("siprouter/edge", "{.status.active}")) === "1/2", 50_000); // prettier-ignore
  await until("Programmed", async () => (await jsonpath("siprouter/edge", '{.status.conditions[?(@.type=="Programmed")].status}')) === "True", 50_000); // prettier-ignore
  // a router whose pods never run: its backends have a status too
  await server.kubectl(["apply", "--server-side", "-f", "-"], { input: JSON.stringify(router("waiting", ["idle"])) });
  await until("the backend of a router without pods has a status", async () => (await jsonpath("pbxbackend/idle", "{.status.conditions[*].type}")).includes("Accepted"), 50_000); // prettier-ignore
  let quietSince = fastClock.now();
  let count = writes.length;
  await until("a minute without a write", () => {
    if (writes.length !== count) quietSince = fastClock.now();
    count = writes.length;
    return fastClock.now() - quietSince > 120_000;
  }, 50_000); // prettier-ignore
  const before = { versions: await versions(), events: await events() };
  const from = fastClock.now();
  await until("ten minutes are over", () => fastClock.now() - from > TEN_MINUTES + 30_000, 30_000);
  await controller.settled();
  expect(writes.slice(count)).toEqual([]);
  expect({ versions: await versions(), events: await events() }).toEqual(before);
});
