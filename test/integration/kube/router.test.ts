/**
 * The samples on a real API server: applied with kubectl, rolled out by the real controllers, Kamailios run by the node
 * agent, calls by SIPp. One story, told in order.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stopAll } from "../../../hack/demo/processes.ts";
import type { RawObject } from "../../../src/api/index.ts";
import type { PbxBackendStatus, SipRouterStatus } from "../../../src/api/index.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent } from "../../support/nodeAgent.ts";
import type { NodeAgent } from "../../support/nodeAgent.ts";
import { until } from "../../support/until.ts";
import { startCalls, startPbx } from "./calls.ts";
import type { Calls } from "./calls.ts";
import { OperatorProcess } from "./process.ts";

const PODS = ["127.30.1.1", "127.30.1.2", "127.30.1.3", "127.30.1.4"];
const pbxes = {
  "freepbx-1": { ip: "127.30.2.1", port: 5061 },
  "freepbx-2": { ip: "127.30.2.2", port: 5062 },
  "asterisk-1": { ip: "127.30.2.3", port: 5063 },
  "asterisk-2": { ip: "127.30.2.4", port: 5064 },
  special: { ip: "127.30.2.5", port: 5065 },
  "trunk-1": { ip: "127.30.3.1", port: 5060 },
  "trunk-2": { ip: "127.30.3.2", port: 5060 },
  "freepbx-3": { ip: "127.30.2.6", port: 5066 },
} as const;
type Pbx = keyof typeof pbxes;

let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
const folder = mkdtempSync(join(tmpdir(), "router-test-"));
const running = new Map<Pbx, Awaited<ReturnType<typeof startPbx>>>();
const startOne = async (name: Pbx): Promise<void> => void running.set(name, await startPbx(name, pbxes[name], folder));

/** The samples with addresses of this test, and health checks every second. */
const sample = (file: string): string =>
  readFileSync(new URL(`../../../config/samples/${file}.yaml`, import.meta.url), "utf8")
    .replaceAll(/192\.168\.1\.10(\d)/g, "127.30.2.$1")
    .replaceAll(/192\.168\.2\.(\d)/g, "127.30.3.$1")
    .replace("intervalSeconds: 30", "intervalSeconds: 1")
    .replace("timeoutSeconds: 2\n    failureThreshold", "timeoutSeconds: 1\n    failureThreshold")
    .replace("replicas: 2\n", "replicas: 2\n  drain: {timeoutSeconds: 2}\n");

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  for (const name of Object.keys(pbxes) as Pbx[]) await startOne(name);
});
afterAll(async () => {
  await stopAll();
  await operator.end();
  await node.stop();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const kubectl = (...args: string[]) => server.kubectl(args);
const get = async (kind: string, name: string): Promise<RawObject> =>
  JSON.parse((await kubectl("get", kind, name, "-o", "json")).stdout) as RawObject;
const list = async (kind: string): Promise<RawObject[]> =>
  (JSON.parse((await kubectl("get", kind, "-o", "json")).stdout) as { items: RawObject[] }).items;
const patch = (kind: string, name: string, body: unknown, type = "merge") =>
  kubectl("patch", kind, name, `--type=${type}`, "-p", JSON.stringify(body));
const status = async (): Promise<SipRouterStatus> => (await get("siprouter", "edge")).status as SipRouterStatus;
const condition = (object: RawObject, type: string) =>
  (
    object.status as
      | { conditions?: { type: string; status: string; reason: string; message: string; observedGeneration: number }[] }
      | undefined
  )?.conditions?.find((one) => one.type === type);

/** Waits until the router's spec of now runs in every pod. */
const programmed = () =>
  until("the router is Ready with its newest spec", async () => {
    const router = await get("siprouter", "edge");
    const ready = condition(router, "Ready");
    return ready?.status === "True" && ready.observedGeneration === router.metadata.generation;
  });
/** Waits until a change of a backend has reached every pod: the revision is another one than before. */
const revisionAfter = async (change: () => Promise<unknown>): Promise<void> => {
  const before = (await status()).revision;
  await change();
  await until("another revision in every pod", async () => {
    const now = await status();
    return now.revision !== before && now.pods?.every((pod) => pod.state === "InSync" && pod.revision === now.revision);
  });
};
/** uid and restarts of every pod: what must not change when data do */
const podsNow = async (): Promise<string[]> =>
  (await list("pods")).map(({ metadata, status: of }) => {
    const { containerStatuses } = of as { containerStatuses: { restartCount: number }[] };
    return `${metadata.uid} ${containerStatuses[0]?.restartCount}`;
  });

let port = 25_000;
const calls = (number: string, more: Partial<Calls> = {}) =>
  startCalls(
    { number, from: { ip: "127.30.4.1", port: (port += 1) }, to: { ip: PODS[0] as string, port: 5060 }, ...more },
    folder,
  );
const call = async (number: string, more: Partial<Calls> = {}): Promise<string> =>
  (await calls(number, more).done).join();
const throughBoth = (number: string): Promise<string[]> =>
  Promise.all(PODS.slice(0, 2).map((ip) => call(number, { to: { ip, port: 5060 } })));

describe("the samples", () => {
  test("kubectl apply, and the router is Ready with two pods", { timeout: 150_000 }, async () => {
    await server.kubectl(["apply", "-f", "-"], { input: sample("router") });
    await until("it says what is missing", async () =>
      condition(await get("siprouter", "edge"), "ResolvedRefs")?.message.includes(
        "PbxBackend default/freepbx-1 does not exist",
      ),
    );
    await server.kubectl(["apply", "-f", "-"], { input: sample("backends") });
    await kubectl("wait", "--for=condition=Ready", "siprouter/edge", "--timeout=60s");
    await kubectl("wait", "--for=condition=Ready", "pbxbackend", "--all", "--timeout=60s");
    // the backends came one by one: Ready was true of each step
    await until("all of them in both pods", async () => {
      const { active, readyReplicas, pods = [] } = await status();
      return (
        active === "7/7" && readyReplicas === 2 && pods.length === 2 && pods.every(({ state }) => state === "InSync")
      );
    });
    const { stdout } = await kubectl("get", "siprouter", "edge");
    expect(stdout).toMatch(/edge\s+True\s+2\s+7\/7\s+10\.96\./);
  });

  test("calls through either pod go where the samples say, a stranger's to the trunks are refused", async () => {
    expect(await throughBoth("1001")).toEqual(["200 freepbx-1", "200 freepbx-1"]);
    expect(await throughBoth("2999")).toEqual(["200 asterisk-1", "200 asterisk-1"]);
    expect(await throughBoth("3000")).toEqual(["200 special", "200 special"]);
    expect(await throughBoth("00441234")).toEqual(["403 router", "403 router"]);
  });

  test("that it is accepted is told as one Event", async () => {
    const told = async () =>
      (await list("events.events.k8s.io")).filter(
        (event) => event["reason"] === "Accepted" && (event["regarding"] as { name: string }).name === "edge",
      );
    await until("the Event", async () => (await told()).length > 0);
    expect(await told()).toHaveLength(1);
  });
});

describe("while calls run", () => {
  test("a backend comes, drains and goes, and a route changes: every call is answered and no pod is restarted", async () => {
    const pods = await podsNow();
    const load = PODS.slice(0, 2).map((ip) =>
      calls("1001", { to: { ip, port: 5060 }, calls: 400, perSecond: 25, talkMs: 400 }),
    );
    await until("the first calls", () => load.every(({ answers }) => answers().length > 0));

    const { ip: address, port: at } = pbxes["freepbx-3"];
    const backend = {
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "PbxBackend",
      metadata: { name: "freepbx-3" },
      spec: { address, port: at },
    };
    await server.kubectl(["apply", "-f", "-"], { input: JSON.stringify(backend) });
    await revisionAfter(() =>
      patch(
        "siprouter",
        "edge",
        [{ op: "add", path: "/spec/dispatcherSets/0/backends/-", value: { name: "freepbx-3" } }],
        "json",
      ),
    );
    await until("it takes calls", () => load.every(({ answers }) => answers().includes("200 freepbx-3")));

    await revisionAfter(() => patch("pbxbackend", "freepbx-1", { spec: { adminState: "Draining" } }));
    expect(await throughBoth("1002")).toEqual(["200 freepbx-3", "200 freepbx-3"]);
    await revisionAfter(() =>
      patch(
        "siprouter",
        "edge",
        [{ op: "replace", path: "/spec/routes/2/match/extensions", value: ["3000-3999", "1500"] }],
        "json",
      ),
    );
    expect(await throughBoth("1500")).toEqual(["200 special", "200 special"]);
    await revisionAfter(() => patch("pbxbackend", "freepbx-1", { spec: { adminState: "Enabled" } }));
    await revisionAfter(() =>
      patch("siprouter", "edge", [{ op: "remove", path: "/spec/dispatcherSets/0/backends/2" }], "json"),
    );
    expect(await throughBoth("1002")).toEqual(["200 freepbx-1", "200 freepbx-1"]);

    const answers = (await Promise.all(load.map(({ done }) => done))).flat();
    expect(answers.filter((answer) => answer !== "200 freepbx-1" && answer !== "200 freepbx-3")).toEqual([]);
    expect(answers).toHaveLength(800);
    expect(await podsNow()).toEqual(pods);
  });

  test("a PBX that dies is backed up at once and shown as unreachable; when it is back it serves again", async () => {
    await running.get("freepbx-1")?.stop();
    expect(await throughBoth("1001")).toEqual(["200 freepbx-2", "200 freepbx-2"]);
    const shown = await until("it is shown", async () => {
      const backend = await get("pbxbackend", "freepbx-1");
      return (backend.status as PbxBackendStatus).routers?.[0]?.state === "Inactive" && backend;
    });
    expect(shown.status).toMatchObject({ routers: [{ name: "edge", activePods: 0, totalPods: 2 }] });
    expect(condition(shown, "Reachable")).toMatchObject({ status: "False", reason: "Unreachable" });
    expect(condition(await get("siprouter", "edge"), "Ready")?.status).toBe("True");
    await startOne("freepbx-1");
    await until(
      "it is back",
      async () => condition(await get("pbxbackend", "freepbx-1"), "Reachable")?.status === "True",
    );
    expect(await throughBoth("1001")).toEqual(["200 freepbx-1", "200 freepbx-1"]);
  });
});

describe("what is wrong", () => {
  test("overlapping ranges are refused with both named, and what served before goes on", async () => {
    const { revision } = await status();
    await patch(
      "siprouter",
      "edge",
      [
        {
          op: "add",
          path: "/spec/routes/-",
          value: { name: "clash", match: { extensions: ["1000-1999"] }, set: "special" },
        },
      ],
      "json",
    );
    const accepted = await until("it is refused", async () => {
      const found = condition(await get("siprouter", "edge"), "Accepted");
      return found?.status === "False" ? found : undefined;
    });
    expect(accepted.reason).toBe("RouteConflict");
    expect(accepted.message).toMatch(/freepbx.*clash|clash.*freepbx/);
    expect(await throughBoth("1001")).toEqual(["200 freepbx-1", "200 freepbx-1"]);
    expect((await status()).revision).toBe(revision);
    await patch("siprouter", "edge", [{ op: "remove", path: "/spec/routes/3" }], "json");
    await programmed();
  });

  test("an object that somebody else made is left alone, and the condition names it", async () => {
    await kubectl("create", "configmap", "other-dispatcher", "--from-literal=mine=yes");
    const spec = { dispatcherSets: [{ name: "pbx", backends: [{ name: "special" }] }], replicas: 0 };
    await server.kubectl(["apply", "-f", "-"], {
      input: JSON.stringify({
        apiVersion: "siprouter.dev/v1alpha1",
        kind: "SipRouter",
        metadata: { name: "other" },
        spec,
      }),
    });
    await until("it is named", async () =>
      condition(await get("siprouter", "other"), "Programmed")?.message.includes("ConfigMap default/other-dispatcher"),
    );
    expect((await get("configmap", "other-dispatcher"))["data"]).toEqual({ mine: "yes" });
    await kubectl("delete", "configmap", "other-dispatcher");
    await until("it goes on by itself", async () =>
      (await list("configmaps")).some(({ metadata }) => metadata.name === "other-dispatcher"),
    );
    await kubectl("delete", "siprouter", "other");
  });
});

describe("what fails", () => {
  const readyAgain = () =>
    until(
      "two pods in sync again",
      async () => {
        const now = await status();
        return (
          now.readyReplicas === 2 &&
          now.pods?.length === 2 &&
          now.pods.every(({ state, revision }) => state === "InSync" && revision === now.revision)
        );
      },
      40_000,
    );

  test("a Kamailio that is killed comes back with the data of now", async () => {
    const [first] = await list("pods");
    await node.kill(first?.metadata.name as string);
    await readyAgain();
    expect(await throughBoth("1500")).toEqual(["200 special", "200 special"]);
  });

  test("an operator that is killed and started again changes nothing, and sees what was edited meanwhile", async () => {
    await programmed();
    const objects =
      "siprouters,pbxbackends,deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,secrets";
    const stored = async () =>
      (await list(objects)).map(({ kind, metadata, status: of }) => ({
        id: `${kind}/${metadata.name}`,
        version: metadata.resourceVersion,
        status: of,
      }));
    const before = await until("nothing is written for two seconds", async () => {
      const first = await stored();
      await wait(2000);
      return JSON.stringify(await stored()) === JSON.stringify(first) && first;
    });
    await operator.end("SIGKILL");
    operator = await new OperatorProcess(server.kubeconfigPath).started();
    const metrics = await until("both pods were read", async () => {
      const { text } = await operator.get("/metrics");
      return text.includes('siprouter_destinations{namespace="default",router="edge",state="Active"} 14') && text;
    });
    expect(metrics).toMatch(/siprouter_api_requests_total\{verb="list"/);
    expect(await stored()).toEqual(before);
    expect(metrics).not.toMatch(/siprouter_api_requests_total\{verb="(create|patch|update|delete)"/);

    await operator.end("SIGKILL");
    await patch(
      "siprouter",
      "edge",
      [{ op: "replace", path: "/spec/routes/2/match/extensions", value: ["3000-3999"] }],
      "json",
    );
    expect(await throughBoth("1500")).toEqual(["200 special", "200 special"]);
    operator = await new OperatorProcess(server.kubeconfigPath).started();
    await until("the edit took effect", async () =>
      (await throughBoth("1500")).every((answer) => answer === "200 freepbx-1"),
    );
  });

  test("a pod that is deleted is replaced and the new one serves", async () => {
    await readyAgain();
    const [first] = await list("pods");
    await kubectl("delete", "pod", first?.metadata.name as string, "--wait=false");
    await until(
      "another pod",
      async () => (await list("pods")).every(({ metadata }) => metadata.uid !== first?.metadata.uid),
      40_000,
    );
    await readyAgain();
    const ips = (await list("pods")).map(({ status: of }) => (of as { podIP: string }).podIP);
    for (const ip of ips) expect(await call("2000", { to: { ip, port: 5060 } })).toBe("200 asterisk-1");
  });

  test("kubectl rollout restart replaces every pod: the operator lets it stand, also when it writes the Deployment", async () => {
    await readyAgain();
    const uids = async (): Promise<readonly unknown[]> => (await list("pods")).map(({ metadata }) => metadata.uid);
    const before = await uids();
    await kubectl("rollout", "restart", "deployment/edge");
    await until("two other pods", async () => (await uids()).every((uid) => !before.includes(uid)), 60_000);
    await readyAgain();
    await patch("siprouter", "edge", { spec: { kamailio: { shmMemoryMiB: 128 } } });
    await programmed();
    const { spec } = await get("deployment", "edge");
    const { template } = spec as { template: { metadata: { annotations: Record<string, string> } } };
    expect(Object.keys(template.metadata.annotations)).toContain("kubectl.kubernetes.io/restartedAt");
    for (const { metadata } of await list("pods"))
      expect(metadata.annotations?.["kubectl.kubernetes.io/restartedAt"]).toBeDefined();
  });
});

// the garbage collector looks for new kinds every 30 s
test("after the router is deleted nothing of it is left", { timeout: 150_000 }, async () => {
  await kubectl("delete", "siprouter", "edge");
  const left = async () =>
    (await kubectl("get", "deploy,rs,pod,svc,cm,sa,pdb,secret", "-l", "siprouter.dev/router", "-o", "name")).stdout;
  await until("everything is gone", async () => (await left()) === "", 120_000);
  await until("the backends say that nobody uses them", async () =>
    (await list("pbxbackends")).every((backend) => condition(backend, "Reachable")?.reason === "NotUsed"),
  );
  expect(operator.lines.filter(({ level }) => level === "error")).toEqual([]);
});

test("SIGTERM ends the operator with exit code 0", async () => {
  expect(await operator.end("SIGTERM")).toBe(0);
});
