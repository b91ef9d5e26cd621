/** The test suite's node agent against a real API server: what it reports must be what a kubelet would. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppsV1Api, CoreV1Api, type V1Pod } from "@kubernetes/client-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { STUB_PORT, stubSpec } from "../../support/stubPod.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.40.2.1", "127.40.2.2", "127.40.2.3"];
let server: TestApiServer;
let node: NodeAgent;
let core: CoreV1Api;
let apps: AppsV1Api;
let workDir: string;
const namespace = "default";

const pods = async (): Promise<V1Pod[]> =>
  (await core.listNamespacedPod({ namespace, labelSelector: "app=stub" })).items;
const isReady = (pod: V1Pod): boolean =>
  pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
const readyPods = (count: number): Promise<V1Pod[]> =>
  until(`${count} pods are ready`, async () => {
    const all = await pods();
    return all.length === count && all.every(isReady) && all;
  });
const get = async (ip: string | undefined, path = "/"): Promise<string> =>
  (await fetch(`http://${ip}:${STUB_PORT}${path}`)).text();
const setData = (value: string) =>
  core.replaceNamespacedConfigMap({ namespace, name: "data", body: { metadata: { name: "data" }, data: { value } } });

beforeAll(async () => {
  workDir = mkdtempSync(join(tmpdir(), "node-"));
  server = await startApiServer();
  core = server.kubeConfig.makeApiClient(CoreV1Api);
  apps = server.kubeConfig.makeApiClient(AppsV1Api);
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses, workDir, syncDelayMs: 1_000_000 });
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: "data" }, data: { value: "one" } } });
  await core.createNamespacedSecret({
    namespace,
    body: { metadata: { name: "control" }, stringData: { token: "t0ken" } },
  });
  const metadata = { name: "stub", labels: { app: "stub" } };
  const spec = stubSpec();
  // As far as the API server is concerned, an image is part of a container.
  const containers = spec.containers.map((container) => ({ ...container, image: "stub" }));
  const template = { metadata: { labels: { app: "stub" } }, spec: { ...spec, containers } as never };
  await apps.createNamespacedDeployment({
    namespace,
    body: { metadata, spec: { replicas: 2, selector: { matchLabels: { app: "stub" } }, template } },
  });
}, 120_000);
afterAll(async () => {
  await node?.stop();
  await server?.stop();
  rmSync(workDir, { recursive: true, force: true });
});

test("a Deployment's pods run with addresses of the pool, and it becomes available", async () => {
  const ready = await readyPods(2);
  expect(ready.map((pod) => pod.status?.podIP).toSorted()).toEqual(addresses.slice(0, 2));
  expect(await get(ready[0]?.status?.podIP)).toBe("one");
  await until("the Deployment is available", async () => {
    const { status } = await apps.readNamespacedDeployment({ namespace, name: "stub" });
    return status?.availableReplicas === 2;
  });
});

test("a changed ConfigMap reaches a pod when one of its annotations changes", async () => {
  const [first, second] = await readyPods(2);
  await setData("two");
  await server.kubectl(["annotate", "pod", first?.metadata?.name ?? "", "revision=two"]);
  await until("the annotated pod has it", async () => (await get(first?.status?.podIP)) === "two");
  expect(await get(second?.status?.podIP)).toBe("one");
});

test("a killed container is restarted and counted; a stopped one is not ready", async () => {
  const [pod] = await readyPods(2);
  const name = pod?.metadata?.name ?? "";
  await node.kill(name);
  await until("the restart is counted", async () => {
    const now = await core.readNamespacedPod({ namespace, name });
    return now.status?.containerStatuses?.[0]?.restartCount === 1 && isReady(now);
  });
  expect(await get(pod?.status?.podIP)).toBe("two");
  await node.pause(name);
  await until("it is not ready", async () => !isReady(await core.readNamespacedPod({ namespace, name })));
  await node.resume(name);
  await until("it is ready again", async () => isReady(await core.readNamespacedPod({ namespace, name })));
});

test("a deleted pod is replaced; the Deployment's end leaves no pod and no process", async () => {
  const [pod] = await readyPods(2);
  await core.deleteNamespacedPod({ namespace, name: pod?.metadata?.name ?? "" });
  await until("it is gone", async () => !(await pods()).some((other) => other.metadata?.uid === pod?.metadata?.uid));
  const replaced = await readyPods(2);
  await apps.deleteNamespacedDeployment({ namespace, name: "stub" });
  await until("no pod is left", async () => (await pods()).length === 0);
  for (const old of replaced) await expect(get(old.status?.podIP)).rejects.toThrow("fetch failed");
});
