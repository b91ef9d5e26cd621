/**
 * One router with three replicas on a real API server: real Kamailios as a node runs them, the operator as a process of its
 * own, PBXes and callers of SIPp. A ledger holds every call: who took it, or how it ended.
 */
import { deepStrictEqual } from "node:assert";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { stopAll } from "../../../hack/demo/processes.ts";
import type { PbxBackendStatus, RawObject, SipRouterStatus } from "../../../src/api/index.ts";
import { defaultPipeline } from "../../../src/controller/index.ts";
import { createControl } from "../../../src/kamailio/control.ts";
import type { PodReading } from "../../../src/kamailio/types.ts";
import { decidePod } from "../../../src/reload/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { until } from "../../support/until.ts";
import { startCalls, startPbx, type Address } from "./calls.ts";
import { OperatorProcess } from "./process.ts";

export const API = "siprouter.dev/v1alpha1";
export const main = (...backends: string[]): object => ({
  name: "main",
  id: 1,
  backends: backends.map((name) => ({ name })),
});
export const special = (backend: string): object => ({ name: "special", id: 2, backends: [{ name: backend }] });
export const routes = (...extensions: string[]): object[] => [
  { name: "main", match: { extensions: ["1000-1999"] }, set: "main" },
  { name: "special", match: { extensions }, set: "special" },
];

export interface Pod {
  readonly name: string;
  readonly ip: string;
  readonly ready: boolean;
}

export class Fleet {
  readonly folder: string;
  readonly control = createControl();
  /** "127.63": all addresses begin with it */
  readonly #net: string;
  readonly server: TestApiServer;
  readonly node: NodeAgent;
  operator: OperatorProcess;
  readonly #pbxes = new Map<string, { stop(): Promise<void> }>();
  #port = 26_000;

  private constructor(net: string, folder: string, server: TestApiServer, node: NodeAgent, operator: OperatorProcess) {
    this.#net = net;
    this.folder = folder;
    this.server = server;
    this.node = node;
    this.operator = operator;
  }

  static async start(net: string): Promise<Fleet> {
    const server = await startApiServer({ crds: true });
    const folder = mkdtempSync(join(tmpdir(), "fleet-"));
    const addresses = [1, 2, 3, 4, 5, 6].map((index) => `${net}.1.${index}`);
    const node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses, workDir: join(folder, "node") });
    const fleet = new Fleet(net, folder, server, node, new OperatorProcess(server.kubeconfigPath));
    try {
      await fleet.#acting();
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await stopAll();
    this.control.close();
    await this.operator.end();
    try {
      await this.node.stop();
    } finally {
      await this.server.stop();
    }
    rmSync(this.folder, { recursive: true });
  }

  // PBXes --------------------------------------------------------------------------------------------------------------

  /** "pbx-3" -> its address */
  at(name: string): Address {
    return { ip: `${this.#net}.2.${name.split("-").at(-1)}`, port: 5060 };
  }
  async startPbx(name: string, at = this.at(name)): Promise<void> {
    this.#pbxes.set(name, await startPbx(name, at, this.folder));
  }
  async stopPbx(name: string): Promise<void> {
    await this.#pbxes.get(name)?.stop();
  }

  // The API server -----------------------------------------------------------------------------------------------------

  kubectl(...args: string[]) {
    return this.server.kubectl(args);
  }
  apply(...items: object[]) {
    return this.server.kubectl(["apply", "-f", "-"], {
      input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    });
  }
  async get(kind: string, name: string): Promise<RawObject> {
    return JSON.parse((await this.kubectl("get", kind, name, "-o", "json")).stdout) as RawObject;
  }
  async list(kind: string): Promise<RawObject[]> {
    return (JSON.parse((await this.kubectl("get", kind, "-o", "json")).stdout) as { items: RawObject[] }).items;
  }
  patch(kind: string, name: string, spec: object) {
    return this.kubectl("patch", kind, name, "--type=merge", "-p", JSON.stringify({ spec }));
  }
  edit(spec: object) {
    return this.patch("siprouter", "edge", spec);
  }
  async status(): Promise<SipRouterStatus> {
    return (await this.get("siprouter", "edge")).status as SipRouterStatus;
  }
  async condition(type: string): Promise<string> {
    const found = (await this.status()).conditions?.find((one) => one.type === type);
    return `${found?.status} ${found?.reason}`;
  }
  async backendStatus(name: string): Promise<PbxBackendStatus> {
    return (await this.get("pbxbackend", name)).status as PbxBackendStatus;
  }
  async backendCondition(name: string, type: string): Promise<string> {
    const found = (await this.backendStatus(name)).conditions?.find((one) => one.type === type);
    return `${found?.status} ${found?.reason}`;
  }
  backend(name: string, spec: object = {}): object {
    return { apiVersion: API, kind: "PbxBackend", metadata: { name }, spec: { address: this.at(name).ip, ...spec } };
  }

  // Pods ---------------------------------------------------------------------------------------------------------------

  /** Of the router, without those that end. */
  async pods(): Promise<Pod[]> {
    return (await this.list("pods"))
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata, status }) => {
        const { podIP = "", conditions = [] } = status as {
          podIP?: string;
          conditions?: { type: string; status: string }[];
        };
        const ready = conditions.some((one) => one.type === "Ready" && one.status === "True");
        return { name: metadata.name, ip: podIP, ready };
      })
      .filter(({ ip }) => ip !== "");
  }

  /** The spec of now runs in three pods, each read back. */
  settled(timeoutMs = 150_000): Promise<unknown> {
    return until(
      "three pods in sync with the newest spec",
      async () => {
        const { metadata, status } = (await this.get("siprouter", "edge")) as RawObject & { status: SipRouterStatus };
        const pods = status.pods ?? [];
        return (
          status.observedGeneration === metadata.generation &&
          status.readyReplicas === 3 &&
          pods.length === 3 &&
          status.conditions?.find((one) => one.type === "Ready")?.status === "True" &&
          pods.every((pod) => pod.state === "InSync" && pod.revision === status.revision)
        );
      },
      timeoutMs,
    );
  }
  /** The change has reached every pod. */
  async changed(change: () => Promise<unknown>): Promise<void> {
    const before = (await this.status()).revision;
    await change();
    await until("another revision", async () => (await this.status()).revision !== before, 100_000);
    await this.settled();
  }

  async token(): Promise<string> {
    const { token = "" } = (await this.get("secret", "edge-control"))["data"] as { token?: string };
    return Buffer.from(token, "base64").toString("utf8");
  }
  /** What each pod runs; all of them what is stored. */
  async readings(): Promise<PodReading[]> {
    const token = await this.token();
    const desired = defaultPipeline.parseDataFiles(
      (await this.get("configmap", "edge-dispatcher"))["data"] as Record<string, string>,
    );
    return Promise.all(
      (await this.pods()).map(async ({ ip }) => {
        const reading = await defaultPipeline.readPod(this.control, { host: ip, port: 9060, token }, desired);
        deepStrictEqual(decidePod(desired, reading), { inSync: true, actions: [] });
        return reading;
      }),
    );
  }
  /** All three run the same, with the same states, and nobody writes anything any more. */
  async equalAndQuiet(): Promise<void> {
    await this.settled();
    await until("equal states", async () => {
      const shown = (await this.readings()).map(({ destinations, tables }) =>
        JSON.stringify([destinations.map(({ setId, uri, state }) => [setId, uri, state]), tables]),
      );
      return shown.length === 3 && new Set(shown).size === 1;
    });
    const versions = async (): Promise<string> =>
      JSON.stringify(
        (await this.list("siprouters,pbxbackends,deployments,configmaps,services")).map(({ kind, metadata }) => [
          kind,
          metadata.name,
          metadata.resourceVersion,
        ]),
      );
    await until("nothing is written for two seconds", async () => {
      const before = await versions();
      await wait(2000);
      return (await versions()) === before;
    });
  }

  async killOperator(): Promise<void> {
    await this.operator.end("SIGKILL");
  }
  async startOperator(...args: string[]): Promise<void> {
    this.operator = new OperatorProcess(this.server.kubeconfigPath, ...args);
    await this.#acting();
  }
  /** A test that failed may have left none. */
  async ensureOperator(): Promise<void> {
    await this.operator.get("/healthz").catch(() => this.startOperator());
  }
  #acting(): Promise<unknown> {
    return until("the operator acts", () => this.operator.logged("started") !== undefined, 60_000);
  }

  // Calls --------------------------------------------------------------------------------------------------------------

  callsTo(ip: string, number: string, calls: number, talkMs = 150): Promise<readonly string[]> {
    const from = { ip: `${this.#net}.4.1`, port: (this.#port += 1) };
    return startCalls({ number, from, to: { ip, port: 5060 }, calls, perSecond: 20, talkMs }, this.folder).done;
  }
  /** One call by each pod. */
  async everywhere(number: string): Promise<string[]> {
    return (await Promise.all((await this.pods()).map(({ ip }) => this.callsTo(ip, number, 1)))).flat();
  }
  /** Whether a pod refuses calls because it ends: it says so, or has ended. */
  async #drains(ip: string): Promise<boolean> {
    try {
      return (await fetch(`http://${ip}:9060/readyz`)).status === 503;
    } catch {
      return true;
    }
  }
  /**
   * Calls by every pod that is ready, without a pause, as long as `work` takes; how each of them ended. As behind a load
   * balancer: pods are chosen by their readiness, and what a draining pod refuses with 503 is tried by another (RFC 3263). A
   * pod that does not drain has no reason to refuse a call.
   */
  async during(work: () => Promise<unknown>): Promise<string[]> {
    const ledger: string[] = [];
    const running = { on: true };
    let ready: readonly string[] = [];
    const look = async (): Promise<void> => {
      const pods = await this.pods().catch(() => undefined);
      if (pods !== undefined) ready = pods.filter((pod) => pod.ready).map(({ ip }) => ip);
    };
    await look();
    const looking = (async () => {
      while (running.on) {
        await look();
        await wait(100);
      }
    })();
    const again = async (answer: string, ip: string, tried: readonly string[] = [ip]): Promise<string> => {
      if (answer.startsWith("200")) return answer;
      const told = `${answer}, by ${ip} until ${new Date().toISOString()}`;
      if (!answer.startsWith("503") || !(await this.#drains(ip))) return told;
      // several pods may have begun to drain since the list was read
      await look();
      const other = ready.find((one) => !tried.includes(one));
      if (other === undefined) return `${told}, and no other pod is ready`;
      const [next = "none"] = await this.callsTo(other, "1001", 1);
      return again(next, other, [...tried, other]);
    };
    const place = async (ip: string): Promise<void> => {
      for (const answer of await this.callsTo(ip, "1001", 5)) ledger.push(await again(answer, ip));
    };
    const callers = [0, 1, 2].map(async (index) => {
      for (let turn = index; running.on; turn += 1) {
        const ip = ready[turn % Math.max(1, ready.length)];
        await (ip === undefined ? wait(50) : place(ip));
      }
    });
    try {
      await work();
    } finally {
      running.on = false;
      await Promise.all([looking, ...callers]);
    }
    return ledger;
  }
}

export const lost = (ledger: readonly string[]): string[] => ledger.filter((answer) => !answer.startsWith("200 pbx-"));

/** In the place of a PBX that died: takes what is sent to it and answers nothing. */
export class Dead {
  readonly #socket: Socket = createSocket("udp4");
  invites = 0;
  async listen(where: Address): Promise<this> {
    this.#socket.on("message", (data) => void (this.invites += data.toString("latin1").startsWith("INVITE ") ? 1 : 0));
    this.#socket.bind(where.port, where.ip);
    await once(this.#socket, "listening");
    return this;
  }
  async close(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
