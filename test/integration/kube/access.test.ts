/** Permissions as RBAC grants them, definitions that are missing, and who leads. */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { createConnection } from "../../../src/kube/connection.ts";
import type { RequestInfo } from "../../../src/kube/failure.ts";
import { createKubeCluster } from "../../../src/kube/kubeCluster.ts";
import type { KubeCluster } from "../../../src/kube/kubeCluster.ts";
import { LeaderElection } from "../../../src/kube/leader.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";
import { kubeConfigAt, memoryLog, startRelay } from "./support.ts";

const SYSTEM = "sip-router-system";
const config = (path: string): string => fileURLToPath(new URL(`../../../config/${path}`, import.meta.url));
let server: TestApiServer;
let requests: RequestInfo[] = [];
const log = memoryLog();
const clusters: KubeCluster[] = [];

beforeAll(async () => {
  server = await startApiServer();
  for (const file of ["namespace", "service-account", "leader-election"])
    await server.kubectl(["apply", "-f", config(`manager/${file}.yaml`)]);
  for (const name of ["one", "two"]) await server.kubectl(["create", "namespace", name]);
});
afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.stop();
});
afterAll(() => server.stop());

const clusterOf = async (account: string | undefined, namespaces?: readonly string[]): Promise<KubeCluster> => {
  requests = [];
  const file = account === undefined ? server.kubeconfigPath : await server.serviceAccountKubeconfig(SYSTEM, account);
  const cluster = createKubeCluster({
    kubeConfig: kubeConfigAt(file),
    ...(namespaces ? { namespaces } : {}),
    log,
    onRequest: (info) => void requests.push(info),
  });
  clusters.push(cluster);
  return cluster;
};
const routerIn = async (namespace: string): Promise<void> => {
  const spec = { dispatcherSets: [{ name: "pbx", backends: [{ name: "one" }] }] };
  const object = {
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "SipRouter",
    metadata: { name: "edge", namespace },
    spec,
  };
  await server.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) });
};
/** One of every write that the operator makes. */
const writeEverything = async (cluster: KubeCluster, namespace: string): Promise<void> => {
  await until("the router", () => cluster.owned("SipRouter", namespace, "edge") !== undefined);
  const owner = cluster.owned("SipRouter", namespace, "edge") as RawObject;
  const ref = { kind: "SipRouter", namespace, name: "edge" };
  const metadata = {
    name: "edge",
    namespace,
    labels: { "app.kubernetes.io/managed-by": "sip-router-operator", "siprouter.dev/router": "edge" },
    ownerReferences: [
      {
        apiVersion: owner.apiVersion,
        kind: owner.kind,
        name: "edge",
        uid: owner.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
  const selector = { "siprouter.dev/router": "edge" };
  const template = {
    metadata: { labels: metadata.labels },
    spec: { containers: [{ name: "kamailio", image: "kamailio" }] },
  };
  const apply = (replicas: number) =>
    cluster.apply([
      { apiVersion: "v1", kind: "ServiceAccount", metadata },
      { apiVersion: "v1", kind: "ConfigMap", metadata, data: {} },
      {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata,
        spec: { replicas, selector: { matchLabels: selector }, template },
      },
      { apiVersion: "v1", kind: "Service", metadata, spec: { selector, ports: [{ port: 5060 }] } },
      {
        apiVersion: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata,
        spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
      },
    ]);
  await cluster.ensureSecret(
    { apiVersion: "v1", kind: "Secret", metadata: { ...metadata, name: "edge-control" } },
    () => ({ token: "t" }),
  );
  await apply(1);
  await apply(2);
  await until("a pod", () => cluster.pods(`${namespace}/edge`).length > 0);
  const [pod] = cluster.pods(`${namespace}/edge`);
  if (pod) await cluster.touchPod(pod, "r1");
  await until("the annotation", async () =>
    (
      await server.kubectl(["-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].metadata.annotations}"])
    ).stdout.includes("r1"),
  );
  await cluster.writeStatus(ref, { observedGeneration: 1 });
  cluster.emit(ref, { type: "Normal", reason: "Programmed", message: "done" });
  await until("the Event", async () =>
    (
      await server.kubectl(["-n", namespace, "get", "events.events.k8s.io", "-o", "jsonpath={.items[*].note}"])
    ).stdout.includes("done"),
  );
  await until("the copies", () => cluster.owned("PodDisruptionBudget", namespace, "edge") !== undefined);
  // what a router always has is not among what a change makes superfluous
  const kept = ["ServiceAccount", "Deployment"].map((kind) => ({ kind, namespace, name: "edge" }));
  await cluster.prune(`${namespace}/edge`, kept);
};

describe("what is missing", () => {
  test("definitions: waited for, with the remedy; nothing else is needed once they are there", async () => {
    const cluster = await clusterOf(undefined);
    const starting = cluster.start();
    await until("the trouble", () => cluster.troubles().length === 2);
    expect(cluster.troubles().map(({ kind, error }) => ({ kind, ...error }))).toMatchObject([
      { kind: "SipRouter", code: "SIPR_CRD_MISSING", remedy: expect.stringContaining("kubectl apply -f crds/") },
      { kind: "PbxBackend", code: "SIPR_CRD_MISSING" },
    ]);
    expect(cluster.isSynced).toBe(false);
    await server.installCrds();
    await starting;
    expect(cluster.isSynced).toBe(true);
    // the API server opens the storage of a new kind and asks for patience meanwhile
    await until("no trouble is left", () => cluster.troubles().length === 0);
  });

  test("permissions: verb, resource and remedy are named, and it goes on once they are granted", async () => {
    const cluster = await clusterOf("sip-router-operator");
    const starting = cluster.start();
    await until("the trouble", () => cluster.troubles().length === 9);
    expect(cluster.troubles()[0]?.error).toMatchObject({
      code: "SIPR_FORBIDDEN",
      message: expect.stringContaining("list siprouters.siprouter.dev in all namespaces"),
      remedy: expect.stringMatching(/"list" on "siprouters.siprouter.dev" with a ClusterRole .*--namespace/),
    });
    await server.kubectl(["apply", "-k", config("rbac/cluster")]);
    await starting;
    expect(cluster.troubles()).toEqual([]);
  });
});

describe("permissions", () => {
  test("config/rbac/cluster is enough for all namespaces", async () => {
    await server.kubectl(["apply", "-k", config("rbac/cluster")]);
    const cluster = await clusterOf("sip-router-operator");
    await cluster.start();
    await routerIn("one");
    await routerIn("two");
    await writeEverything(cluster, "one");
    expect(cluster.snapshot().routers.map(({ metadata }) => metadata.namespace)).toEqual(["one", "two"]);
    await server.kubectl(["delete", "-k", config("rbac/cluster")]);
    await server.kubectl(["delete", "siprouter", "edge", "-n", "one"]);
  });

  test("config/rbac/namespaced is enough for one namespace, and no request leaves it", async () => {
    await server.kubectl(["create", "namespace", "three"]);
    await server.kubectl(["-n", "three", "apply", "-k", config("rbac/namespaced")]);
    const cluster = await clusterOf("sip-router-operator", ["three"]);
    await cluster.start();
    await routerIn("three");
    await writeEverything(cluster, "three");
    expect(cluster.snapshot().routers.map(({ metadata }) => metadata.namespace)).toEqual(["three"]);
    const ofResources = requests.filter(({ resource }) => !resource.startsWith("/"));
    expect([...new Set(ofResources.map(({ namespace }) => namespace))]).toEqual(["three"]);
  });
});

describe("leader election", () => {
  const elect = (identity: string, kubeConfig = server.kubeConfig, name = "lease") => {
    const connection = createConnection(kubeConfig, { timeoutMs: 500 });
    const election = new LeaderElection({
      connection,
      log,
      namespace: "one",
      name,
      identity,
      durationSeconds: 2,
      renewDeadlineSeconds: 1,
      retrySeconds: 0.2,
    });
    return { election, connection, acquired: election.acquire(new AbortController().signal) };
  };
  const lease = async (name: string) =>
    JSON.parse((await server.kubectl(["-n", "one", "get", "lease", name, "-o", "json"])).stdout) as {
      spec: Record<string, unknown>;
    };

  test("one leads, the other stands by and leads when the first gives the lease back", async () => {
    const first = elect("first");
    await first.acquired;
    const second = elect("second");
    await until(
      "some renewals",
      async () => (await lease("lease")).spec["renewTime"] !== (await lease("lease")).spec["acquireTime"],
    );
    expect([first.election.isLeader, second.election.isLeader]).toEqual([true, false]);
    expect((await lease("lease")).spec).toEqual({
      holderIdentity: "first",
      leaseDurationSeconds: 2,
      acquireTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
      renewTime: expect.stringMatching(/\.\d{6}Z$/),
      leaseTransitions: 0,
    });
    await first.election.release();
    expect(first.election.isLeader).toBe(false);
    expect(await second.acquired).toBe(true);
    expect((await lease("lease")).spec).toMatchObject({ holderIdentity: "second", leaseTransitions: 1 });
    await second.election.release();
    for (const { connection } of [first, second]) connection.close();
  });

  test("a leader that is cut off gives up before another takes over", async () => {
    const relay = await startRelay(Number(new URL(server.url).port));
    const first = elect("first", kubeConfigAt(server.kubeconfigPath, relay.port), "cut");
    await first.acquired;
    const second = elect("second", server.kubeConfig, "cut");
    let ledTogether = false;
    const end = first.election.lost.then(() => (ledTogether = second.election.isLeader));
    relay.cut();
    await end;
    expect(ledTogether).toBe(false);
    expect(await second.acquired).toBe(true);
    await second.election.release();
    for (const { connection } of [first, second]) connection.close();
    await relay.stop();
  });

  test("a lease that was taken away is noticed", async () => {
    const first = elect("first", server.kubeConfig, "taken");
    await first.acquired;
    await server.kubectl([
      "-n",
      "one",
      "patch",
      "lease",
      "taken",
      "--type=merge",
      "-p",
      '{"spec":{"holderIdentity":"somebody"}}',
    ]);
    expect(await first.election.lost).toContain("somebody");
    await first.election.release();
    expect((await lease("taken")).spec["holderIdentity"]).toBe("somebody");
    first.connection.close();
  });

  test("the account of config/manager may hold the lease that `run` uses", async () => {
    const file = await server.serviceAccountKubeconfig(SYSTEM, "sip-router-operator");
    const connection = createConnection(kubeConfigAt(file));
    const election = new LeaderElection({
      connection,
      log,
      namespace: SYSTEM,
      name: "sip-router-operator",
      identity: "me",
    });
    expect(await election.acquire(new AbortController().signal)).toBe(true);
    await election.release();
    connection.close();
  });
});
