/**
 * Three replicas under calls while everything around them changes or fails: the ledger of the calls shows none lost and
 * none sent to a destination that is known dead; afterwards all pods run the same and nothing is written any more.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { stopAll } from "../../../hack/demo/processes.ts";
import type { PbxBackendStatus, RawObject, SipRouterStatus } from "../../../src/api/index.ts";
import { defaultPipeline } from "../../../src/controller/index.ts";
import { createControl } from "../../../src/kamailio/control.ts";
import type { PodReading } from "../../../src/kamailio/types.ts";
import { decidePod } from "../../../src/reload/index.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent } from "../../support/nodeAgent.ts";
import type { NodeAgent } from "../../support/nodeAgent.ts";
import { until } from "../../support/until.ts";
import { startCalls, startPbx } from "./calls.ts";
import { OperatorProcess } from "./process.ts";

const PODS = ["127.75.1.1", "127.75.1.2", "127.75.1.3", "127.75.1.4"];
const at = (index: number) => ({ ip: `127.75.2.${index}`, port: 5060 });
const names = ["pbx-1", "pbx-2", "pbx-3", "pbx-4"] as const;

let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
const control = createControl();
const folder = mkdtempSync(join(tmpdir(), "reload-test-"));
const pbxes = new Map<string, Awaited<ReturnType<typeof startPbx>>>();

const backend = (name: string, spec: object = {}): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name },
  spec: { address: at(Number(name.at(-1))).ip, ...spec },
});
const main = (...backends: string[]): object => ({ name: "main", id: 1, backends: backends.map((name) => ({ name })) });
const special = { name: "special", id: 2, backends: [{ name: "pbx-4" }] };
const routes = (...extensions: string[]): object[] => [
  { name: "main", match: { extensions: ["1000-1999"] }, set: "main" },
  { name: "special", match: { extensions }, set: "special" },
];
const router = {
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge" },
  spec: {
    replicas: 3,
    drain: { timeoutSeconds: 2 },
    healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3 },
    failover: { timeoutSeconds: 1 },
    dispatcherSets: [main("pbx-1", "pbx-2"), special],
    routes: routes("3000-3999"),
  },
};

const kubectl = (...args: string[]) => server.kubectl(args);
const apply = (...objects: object[]) =>
  server.kubectl(["apply", "-f", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
  });
const get = async (kind: string, name: string): Promise<RawObject> =>
  JSON.parse((await kubectl("get", kind, name, "-o", "json")).stdout) as RawObject;
const list = async (kind: string): Promise<RawObject[]> =>
  (JSON.parse((await kubectl("get", kind, "-o", "json")).stdout) as { items: RawObject[] }).items;
const patch = (kind: string, name: string, spec: object) =>
  kubectl("patch", kind, name, "--type=merge", "-p", JSON.stringify({ spec }));
const edit = (spec: object) => patch("siprouter", "edge", spec);
const status = async (): Promise<SipRouterStatus> => (await get("siprouter", "edge")).status as SipRouterStatus;
const condition = async (type: string) =>
  (await status()).conditions?.find((one) => one.type === type) as { status: string; reason: string; message: string };

/** The spec of now runs in three pods, each read back. */
const settled = () =>
  until(
    "three pods in sync with the newest spec",
    async () => {
      const { metadata, status: now } = (await get("siprouter", "edge")) as RawObject & { status: SipRouterStatus };
      const pods = now.pods ?? [];
      return (
        now.observedGeneration === metadata.generation &&
        now.readyReplicas === 3 &&
        pods.length === 3 &&
        now.conditions?.find((one) => one.type === "Ready")?.status === "True" &&
        pods.every((pod) => pod.state === "InSync" && pod.revision === now.revision)
      );
    },
    60_000,
  );
/** The change has reached every pod. */
const changed = async (change: () => Promise<unknown>): Promise<void> => {
  const before = (await status()).revision;
  await change();
  await until("another revision", async () => (await status()).revision !== before, 60_000);
  await settled();
};

const addresses = async (): Promise<string[]> =>
  (await list("pods"))
    .map(({ status: of }) => (of as { podIP?: string }).podIP ?? "")
    .filter((ip) => ip !== "")
    .toSorted();

let port = 26_000;
const callsTo = (ip: string, number: string, calls: number) =>
  startCalls(
    {
      number,
      from: { ip: "127.75.4.1", port: (port += 1) },
      to: { ip, port: 5060 },
      calls,
      perSecond: 20,
      talkMs: 150,
    },
    folder,
  ).done;
/** Calls to each of these addresses, without a pause, for as long as `work` takes; how each of them ended. */
const during = async (ips: readonly string[], work: () => Promise<unknown>): Promise<string[]> => {
  const ledger: string[] = [];
  const running = { on: true };
  const callers = ips.map(async (ip) => {
    do {
      const answers = await callsTo(ip, "1001", 20);
      ledger.push(
        ...answers.map((answer) =>
          answer.startsWith("200") ? answer : `${answer}, by ${ip} until ${new Date().toISOString()}`,
        ),
      );
    } while (running.on);
  });
  try {
    await work();
  } finally {
    running.on = false;
    await Promise.all(callers);
  }
  return ledger;
};
const lost = (ledger: readonly string[]): string[] => ledger.filter((answer) => !answer.startsWith("200 pbx-"));
const everywhere = async (number: string): Promise<string[]> =>
  (await Promise.all((await addresses()).map((ip) => callsTo(ip, number, 1)))).flat();

const readings = async (): Promise<PodReading[]> => {
  const secret = (await get("secret", "edge-control"))["data"] as { token: string };
  const token = Buffer.from(secret.token, "base64").toString("utf8");
  const desired = defaultPipeline.parseDataFiles(
    (await get("configmap", "edge-dispatcher"))["data"] as Record<string, string>,
  );
  return Promise.all(
    (await addresses()).map(async (host) => {
      const reading = await defaultPipeline.readPod(control, { host, port: 9060, token }, desired);
      expect(decidePod(desired, reading)).toEqual({ inSync: true, actions: [] });
      return reading;
    }),
  );
};
/** All three run the same, with the same states, and nobody writes anything any more. */
const equalAndQuiet = async (): Promise<void> => {
  await settled();
  await until("equal states", async () => {
    const shown = (await readings()).map(({ destinations, tables }) =>
      JSON.stringify([destinations.map(({ setId, uri, state }) => [setId, uri, state]), tables]),
    );
    return shown.length === 3 && new Set(shown).size === 1;
  });
  const versions = async () =>
    JSON.stringify(
      (await list("siprouters,pbxbackends,deployments,configmaps,services")).map(({ kind, metadata }) => [
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
};

/** In the place of a PBX that died: takes what is sent to it and answers nothing. */
class Dead {
  readonly #socket: Socket = createSocket("udp4");
  invites = 0;
  async listen(where: { ip: string; port: number }): Promise<this> {
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

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  for (const [index, name] of names.entries()) pbxes.set(name, await startPbx(name, at(index + 1), folder));
  await apply(...names.map((name) => backend(name)), router);
  await settled();
});
beforeEach(async () => {
  for (const name of names) await patch("pbxbackend", name, { adminState: "Enabled" });
  await edit(router.spec);
  await settled();
});
afterAll(async () => {
  await stopAll();
  control.close();
  await operator.end();
  await node.stop();
  await server.stop();
  rmSync(folder, { recursive: true });
});

describe("edits under calls", { timeout: 120_000 }, () => {
  test("a backend is added, drained and removed, a route is edited: no call is lost, a drained one gets none", async () => {
    const pods = await addresses();
    let drained: string[] = [];
    const ledger = await during(pods, async () => {
      await changed(() => edit({ dispatcherSets: [main("pbx-1", "pbx-2", "pbx-3"), special] }));
      await changed(() => patch("pbxbackend", "pbx-1", { adminState: "Draining" }));
      drained = (await Promise.all(pods.map((ip) => callsTo(ip, "1002", 10)))).flat();
      await changed(() => edit({ routes: routes("3000-3999", "1500") }));
      expect(await everywhere("1500")).toEqual(Array(3).fill("200 pbx-4"));
      await changed(() => edit({ dispatcherSets: [main("pbx-2", "pbx-3"), special] }));
    });
    expect(lost(ledger)).toEqual([]);
    expect(new Set(ledger)).toEqual(new Set(["200 pbx-1", "200 pbx-2", "200 pbx-3"]));
    expect(lost(drained)).toEqual([]);
    expect(drained).not.toContain("200 pbx-1");
    await equalAndQuiet();
  });

  test("two edits within a second both count, and an edit that conflicts changes nothing", async () => {
    const ledger = await during(await addresses(), async () => {
      await Promise.all([
        edit({ routes: routes("3000-3999", "1600") }),
        edit({ dispatcherSets: [main("pbx-1", "pbx-2", "pbx-3"), special] }),
      ]);
      await edit({ routes: routes("3000-3999", "1700") });
      await until(
        "the last edit in every pod",
        async () => (await everywhere("1700")).join() === Array(3).fill("200 pbx-4").join(),
      );
      await settled();
      const { revision } = await status();
      await edit({
        routes: [...routes("3000-3999", "1700"), { name: "clash", match: { extensions: ["3000-3999"] }, set: "main" }],
      });
      await until("it is refused", async () => (await condition("Accepted")).reason === "RouteConflict");
      expect((await status()).revision).toBe(revision);
      expect(await everywhere("3001")).toEqual(Array(3).fill("200 pbx-4"));
    });
    expect(lost(ledger)).toEqual([]);
    expect(new Set(ledger)).toContain("200 pbx-3");
    await edit({ routes: routes("3000-3999", "1700") });
    await equalAndQuiet();
  });
});

describe("failures under calls", { timeout: 180_000 }, () => {
  test("a dead backend gets no call, whatever is edited and even from a pod that was killed", async () => {
    const name = "pbx-2";
    await pbxes.get(name)?.stop();
    const dead = await new Dead().listen(at(2));
    try {
      await until("all pods know that it is dead", async () => {
        const [use] = ((await get("pbxbackend", name)).status as PbxBackendStatus).routers ?? [];
        return use?.state === "Inactive" && use.activePods === 0 && use.totalPods === 3;
      });
      dead.invites = 0;
      const ledger = await during(await addresses(), async () => {
        await changed(() => edit({ dispatcherSets: [main("pbx-1", name, "pbx-3"), special] }));
        await changed(() => edit({ routes: routes("3000-3999", "1500") }));
        await changed(() => edit({ dispatcherSets: [main("pbx-1", name), special] }));
      });
      expect(lost(ledger)).toEqual([]);
      expect(dead.invites).toBe(0);

      const [victim, ...others] = (await list("pods")).map(({ metadata, status: of }) => ({
        name: metadata.name,
        ip: (of as { podIP: string }).podIP,
      })) as [{ name: string; ip: string }, ...{ name: string; ip: string }[]];
      const rest = await during(
        others.map(({ ip }) => ip),
        async () => {
          await node.kill(victim.name);
          await until("it is not ready", async () => (await status()).readyReplicas === 2);
          await until("it is ready again", async () => (await status()).readyReplicas === 3, 40_000);
          expect(lost(await callsTo(victim.ip, "1001", 20))).toEqual([]);
        },
      );
      expect(lost(rest)).toEqual([]);
      expect(dead.invites).toBe(0);
    } finally {
      await dead.close();
      pbxes.set(name, await startPbx(name, at(2), folder));
    }
    await equalAndQuiet();
  });

  test("a pod that is stopped does not hold up the others, and has the newest revision when it goes on", async () => {
    const [victim, ...others] = (await list("pods")).map(({ metadata, status: of }) => ({
      name: metadata.name,
      ip: (of as { podIP: string }).podIP,
    })) as [{ name: string; ip: string }, ...{ name: string; ip: string }[]];
    const ledger = await during(
      others.map(({ ip }) => ip),
      async () => {
        await node.pause(victim.name);
        await edit({ routes: routes("3000-3999", "1800") });
        await until("the others have it", async () => {
          const answers = await Promise.all(others.map(({ ip }) => callsTo(ip, "1800", 1)));
          return answers.flat().join() === "200 pbx-4,200 pbx-4";
        });
        await node.resume(victim.name);
        await settled();
      },
    );
    expect(lost(ledger)).toEqual([]);
    expect(await everywhere("1800")).toEqual(Array(3).fill("200 pbx-4"));
    await equalAndQuiet();
  });

  test("the operator is killed in the middle of a reload, again and again", async () => {
    const ledger = await during(await addresses(), async () => {
      for (const [index, delay] of [0, 15, 60, 200].entries()) {
        await edit({
          routes: routes("3000-3999", `190${index}`),
          dispatcherSets: [index % 2 === 0 ? main("pbx-1", "pbx-2", "pbx-3") : main("pbx-2", "pbx-1"), special],
        });
        await wait(delay);
        await operator.end("SIGKILL");
        operator = await new OperatorProcess(server.kubeconfigPath).started();
      }
      await settled();
    });
    expect(lost(ledger)).toEqual([]);
    expect(await everywhere("1903")).toEqual(Array(3).fill("200 pbx-4"));
    await equalAndQuiet();
  });

  test("the API server is away for a while: calls go on, and an edit afterwards counts", async () => {
    const ledger = await during(await addresses(), async () => {
      await server.stopApiServer();
      await wait(3000);
      await server.startApiServer();
      await changed(() => edit({ routes: routes("3000-3999", "1950") }));
    });
    expect(lost(ledger)).toEqual([]);
    expect(await everywhere("1950")).toEqual(Array(3).fill("200 pbx-4"));
    await equalAndQuiet();
  });

  test("the leader moves during an edit", async () => {
    await operator.end("SIGTERM");
    const first = await new OperatorProcess(server.kubeconfigPath, "--leader-elect").started();
    const second = new OperatorProcess(server.kubeconfigPath, "--leader-elect");
    await until("it stands by", () => second.logged("standing by") !== undefined);
    const ledger = await during(await addresses(), async () => {
      await edit({ routes: routes("3000-3999", "1960"), dispatcherSets: [main("pbx-1", "pbx-3"), special] });
      await first.end("SIGTERM");
      operator = await second.started();
      await settled();
    });
    expect(lost(ledger)).toEqual([]);
    expect(await everywhere("1960")).toEqual(Array(3).fill("200 pbx-4"));
    await equalAndQuiet();
  });
});
