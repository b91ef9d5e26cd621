/** The operator's view of, and writes to, a real API server: nothing that is unchanged, nothing that is not its own. */
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import type { Change } from "../../../src/cluster/index.ts";
import { createKubeCluster } from "../../../src/kube/kubeCluster.ts";
import type { KubeCluster } from "../../../src/kube/kubeCluster.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { expectSecretIsKept } from "../../support/secretContract.ts";
import { until } from "../../support/until.ts";
import { memoryLog } from "./support.ts";

let server: TestApiServer;
let cluster: KubeCluster;
let writes: string[] = [];
let changes: Change[] = [];
const log = memoryLog();
let count = 0;
let namespace = "";

beforeAll(async () => {
  server = await startApiServer({ crds: true });
});
afterAll(() => server.stop());
afterEach(() => cluster.stop());

/** A cluster client in a namespace of its own. */
const start = async (): Promise<KubeCluster> => {
  namespace = `t${(count += 1)}`;
  await server.kubectl(["create", "namespace", namespace]);
  return connect();
};
const connect = async (): Promise<KubeCluster> => {
  writes = [];
  changes = [];
  cluster = createKubeCluster({
    kubeConfig: server.kubeConfig,
    log,
    onRequest: ({ verb, resource }) => void (["list", "get"].includes(verb) || writes.push(`${verb} ${resource}`)),
  });
  cluster.onChange((change) => void changes.push(change));
  await cluster.start();
  return cluster;
};
const kubectl = (...args: string[]) => server.kubectl(["-n", namespace, ...args]);
const get = async (kind: string, name: string): Promise<RawObject> =>
  JSON.parse((await kubectl("get", kind, name, "-o", "json")).stdout) as RawObject;
const create = (object: object) =>
  server.kubectl(["-n", namespace, "apply", "-f", "-"], { input: JSON.stringify(object) });

const router = async (name = "edge"): Promise<RawObject> => {
  await create({
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "SipRouter",
    metadata: { name },
    spec: {
      dispatcherSets: [{ name: "pbx", backends: [{ name: "one" }] }],
      routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
    },
  });
  await until(`${name} in the cache`, () => cluster.owned("SipRouter", namespace, name) !== undefined);
  return cluster.owned("SipRouter", namespace, name) as RawObject;
};
const meta = (owner: RawObject, name = owner.metadata.name) => ({
  name,
  namespace,
  labels: { "app.kubernetes.io/managed-by": "sip-router-operator", "siprouter.dev/router": owner.metadata.name },
  ownerReferences: [
    {
      apiVersion: owner.apiVersion,
      kind: owner.kind,
      name: owner.metadata.name,
      uid: owner.metadata.uid,
      controller: true,
      blockOwnerDeletion: true,
    },
  ],
});
const objectsOf = (owner: RawObject): RawObject[] => {
  const selector = { "siprouter.dev/router": owner.metadata.name };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: meta(owner), automountServiceAccountToken: false },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: meta(owner, `${owner.metadata.name}-dispatcher`),
      data: { list: "1 sip:192.0.2.1" },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: meta(owner),
      spec: {
        replicas: 0,
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: { ...selector, "app.kubernetes.io/managed-by": "sip-router-operator" } },
          spec: {
            containers: [
              // a quantity that the API server writes in another way
              {
                name: "kamailio",
                image: "kamailio",
                resources: { requests: { cpu: "0.5", memory: "1024Mi" } },
                ports: [{ containerPort: 5060, protocol: "UDP" }],
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: meta(owner),
      spec: { selector, ports: [{ name: "udp", port: 5060, protocol: "UDP" }] },
    },
    {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: meta(owner),
      spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
    },
  ];
};

describe("apply", () => {
  test("what is unchanged is not sent: not by this process, not after a restart of it, not after the controllers wrote status", async () => {
    await start();
    const objects = objectsOf(await router());
    await cluster.apply(objects);
    expect(writes).toHaveLength(objects.length);
    await until("the Deployment's status", () => cluster.workload(`${namespace}/edge`)?.rolledOut === true);
    writes = [];
    await cluster.apply(objects);
    expect(writes).toEqual([]);
    const versions = await kubectl(
      "get",
      "deploy,svc,cm,sa,pdb",
      "-l",
      "siprouter.dev/router",
      "-o",
      "jsonpath={.items[*].metadata.resourceVersion}",
    );
    await cluster.stop();
    await connect();
    await cluster.apply(objects);
    // the odd quantity is all that cannot be told from a change after a restart; sending it changes nothing
    expect(writes.filter((write) => write !== "patch deployments.apps")).toEqual([]);
    writes = [];
    await cluster.apply(objects);
    expect(writes).toEqual([]);
    const after = await kubectl(
      "get",
      "deploy,svc,cm,sa,pdb",
      "-l",
      "siprouter.dev/router",
      "-o",
      "jsonpath={.items[*].metadata.resourceVersion}",
    );
    expect(after.stdout).toBe(versions.stdout);
  });

  test("an edit by somebody else arrives as a change and is repaired; their own additions stay", async () => {
    await start();
    const objects = objectsOf(await router());
    await cluster.apply(objects);
    await until("the copies", () => cluster.owned("Deployment", namespace, "edge") !== undefined);
    changes = [];
    await kubectl("scale", "deployment", "edge", "--replicas=3");
    await kubectl(
      "patch",
      "configmap",
      "edge-dispatcher",
      "--type=merge",
      "-p",
      '{"data":{"list":"broken","note":"mine"}}',
    );
    await until("both changes", () =>
      ["Deployment", "ConfigMap"].every((kind) => changes.some((change) => change.kind === kind)),
    );
    writes = [];
    await cluster.apply(objects);
    expect(writes).toEqual(["patch configmaps", "patch deployments.apps"]);
    expect(await get("deployment", "edge")).toMatchObject({ spec: { replicas: 0 } });
    expect(await get("configmap", "edge-dispatcher")).toMatchObject({
      data: { list: "1 sip:192.0.2.1", note: "mine" },
    });
  });

  test("a field that is applied no more goes away", async () => {
    await start();
    const owner = await router();
    const configMap = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: meta(owner, "edge-dispatcher"),
      data: { a: "1", b: "2" },
    };
    await cluster.apply([configMap]);
    await cluster.apply([{ ...configMap, data: { a: "1" } }]);
    expect((await get("configmap", "edge-dispatcher"))["data"]).toEqual({ a: "1" });
    await cluster.apply([configMap]);
    await cluster.stop();
    await connect();
    await cluster.apply([{ ...configMap, data: { a: "1" } }]);
    expect((await get("configmap", "edge-dispatcher"))["data"]).toEqual({ a: "1" });
  });

  test("an object that was deleted by hand is made again", async () => {
    await start();
    const objects = objectsOf(await router());
    await cluster.apply(objects);
    await kubectl("delete", "service", "edge");
    await until("the deletion", () => changes.some(({ kind, object }) => kind === "Service" && !object));
    await cluster.apply(objects);
    expect((await get("service", "edge")).spec).toMatchObject({ ports: [{ port: 5060 }] });
  });

  test.each(["made by hand", "with the labels but of another router"])(
    "an object of that name %s is left as it is, and named",
    async (which) => {
      await start();
      const owner = await router();
      const metadata =
        which === "made by hand" ? { name: "edge-dispatcher" } : meta(await router("other"), "edge-dispatcher");
      await create({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { mine: "yes" } });
      const before = await get("configmap", "edge-dispatcher");
      const wanted = objectsOf(owner).filter(({ kind }) => kind === "ConfigMap");
      await expect(cluster.apply(wanted)).rejects.toMatchObject({
        code: "SIPR_NOT_OWNED",
        message: expect.stringContaining(`ConfigMap ${namespace}/edge-dispatcher`),
        remedy: expect.stringContaining("rename"),
      });
      expect(await get("configmap", "edge-dispatcher")).toEqual(before);
      await expect(
        cluster.ensureSecret({ apiVersion: "v1", kind: "Secret", metadata: meta(owner, "edge-control") }, () => ({
          token: "t",
        })),
      ).resolves.toEqual({ token: "t" });
    },
  );

  test("objects that no apply names any more are pruned, and nothing else", async () => {
    await start();
    const owner = await router();
    const other = await router("other");
    await cluster.apply(objectsOf(owner));
    await cluster.apply(objectsOf(other));
    await create({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "mine", labels: meta(owner).labels },
      data: {},
    });
    const old = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: meta(owner, "edge-kamailio-1"),
      data: {},
      immutable: true,
    };
    await cluster.apply([old]);
    // what we write ourselves is not told: what comes after it in the same watch is
    await create({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "later", labels: meta(owner).labels },
      data: {},
    });
    await until("by the watch", () => changes.some(({ name }) => name === "later"));
    await cluster.prune(
      `${namespace}/edge`,
      objectsOf(owner).map(({ kind, metadata }) => ({ kind, namespace, name: metadata.name })),
    );
    const { stdout } = await kubectl("get", "deploy,svc,cm,sa,pdb", "-l", "siprouter.dev/router", "-o", "name");
    const names = stdout.trim().split("\n");
    expect(names).not.toContain("configmap/edge-kamailio-1");
    expect(names).toEqual(expect.arrayContaining(["configmap/mine", "configmap/later"]));
    expect(names).toHaveLength(objectsOf(owner).length * 2 + 2);
  });

  // the garbage collector looks for new kinds every 30 s
  test("after the router is deleted nothing of it is left", { timeout: 120_000 }, async () => {
    await start();
    const owner = await router();
    await cluster.apply(objectsOf(owner));
    await cluster.ensureSecret({ apiVersion: "v1", kind: "Secret", metadata: meta(owner, "edge-control") }, () => ({
      token: "t",
    }));
    await kubectl("delete", "siprouter", "edge");
    const left = async () =>
      (await kubectl("get", "deploy,rs,pod,svc,cm,sa,pdb,secret", "-l", "siprouter.dev/router", "-o", "name")).stdout;
    await until("everything is gone", async () => (await left()) === "", 90_000);
  });
});

describe("ensureSecret", () => {
  test("made once, the same for ever after, values in no log; a lost key is made again and the others stay", async () => {
    await start();
    const owner = await router();
    log.lines.length = 0;
    const secret = { apiVersion: "v1", kind: "Secret", metadata: meta(owner, "edge-control") };
    const again = async (): Promise<KubeCluster> => {
      await cluster.stop();
      return connect();
    };
    await expectSecretIsKept(secret, again, async (key) => {
      await kubectl("patch", "secret", "edge-control", "--type=json", "-p", `[{"op":"remove","path":"/data/${key}"}]`);
      await until(
        "the edit",
        () => !(key in ((cluster.owned("Secret", namespace, "edge-control")?.["data"] ?? { [key]: "" }) as object)),
      );
      return cluster;
    });
    expect(JSON.stringify(log.lines)).not.toMatch(/token-1|dG9rZW4tMQ/);
  });
});

describe("status", () => {
  const ref = () => ({ kind: "SipRouter", namespace, name: "edge" });
  const condition = (type: string, status: string) => ({
    type,
    status,
    reason: "Accepted",
    message: "m",
    lastTransitionTime: "2026-01-01T00:00:00Z",
    observedGeneration: 1,
  });

  test("written when it changed, a field left out goes away, printer columns show it", async () => {
    await start();
    await router();
    const status = {
      observedGeneration: 1,
      conditions: [condition("Accepted", "True"), condition("Ready", "True")],
      replicas: 2,
      readyReplicas: 2,
      active: "3/4",
      addresses: ["192.0.2.7"],
    };
    await cluster.writeStatus(ref(), status);
    const { resourceVersion } = (await get("siprouter", "edge")).metadata;
    await cluster.writeStatus(ref(), structuredClone(status));
    expect((await get("siprouter", "edge")).metadata.resourceVersion).toBe(resourceVersion);
    const { stdout } = await kubectl("get", "siprouter", "edge");
    expect(stdout).toMatch(/NAME\s+READY\s+REPLICAS\s+ACTIVE\s+ADDRESS\s+AGE/);
    expect(stdout).toMatch(/edge\s+True\s+\S*2\S*\s+3\/4\s+\S*192\.0\.2\.7/);
    await cluster.writeStatus(ref(), {
      observedGeneration: 1,
      conditions: [condition("Accepted", "False")],
      replicas: 2,
    });
    expect((await get("siprouter", "edge")).status).toEqual({
      observedGeneration: 1,
      conditions: [condition("Accepted", "False")],
      replicas: 2,
    });
  });

  test("of an object that is gone: nothing is written and nothing is made", async () => {
    await start();
    await router();
    await kubectl("delete", "siprouter", "edge");
    await cluster.writeStatus(ref(), { observedGeneration: 1 });
    expect((await server.kubectl(["-n", namespace, "get", "siprouter", "edge"], { allowFailure: true })).code).not.toBe(
      0,
    );
  });
});

describe("events", () => {
  test("one Event however often the same is said, with its count; a burst is limited", async () => {
    await start();
    const owner = await router();
    const ref = { kind: "SipRouter", namespace, name: "edge" };
    for (let time = 0; time < 5; time += 1)
      cluster.emit(ref, { type: "Warning", reason: "RouteConflict", message: "a and b claim 1000" });
    for (let time = 0; time < 50; time += 1)
      cluster.emit(ref, { type: "Normal", reason: "Programmed", message: `revision ${time}` });
    await cluster.stop();
    const { items } = JSON.parse((await kubectl("get", "events.events.k8s.io", "-o", "json")).stdout) as {
      items: { reason: string; series?: { count: number }; regarding: { uid: string } }[];
    };
    const conflicts = items.filter(({ reason }) => reason === "RouteConflict");
    expect(conflicts).toHaveLength(1);
    expect(conflicts[0]).toMatchObject({
      series: { count: 5 },
      regarding: { uid: owner.metadata.uid },
      type: "Warning",
      note: "a and b claim 1000",
    });
    expect(items).toHaveLength(10);
    expect((await kubectl("describe", "siprouter", "edge")).stdout).toContain("RouteConflict");
    await connect();
  });
});

describe("caches", () => {
  test("a change of an object is told after the Secrets it names are there, and a Secret nobody names is never read", async () => {
    await start();
    await kubectl("create", "secret", "generic", "subscribers", "--from-literal=1000=pw");
    await kubectl("create", "secret", "generic", "unrelated", "--from-literal=a=b");
    let atChange: string[] | undefined;
    cluster.onChange((change) => {
      if (change.kind === "SipRouter" && change.name === "auth")
        atChange ??= cluster.snapshot().secrets.map(({ metadata }) => metadata.name);
    });
    await create({
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "SipRouter",
      metadata: { name: "auth" },
      spec: {
        dispatcherSets: [{ name: "pbx", backends: [{ name: "one" }] }],
        authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "subscribers" },
      },
    });
    await until("the change", () => atChange !== undefined);
    expect(atChange).toEqual(["subscribers"]);
    changes = [];
    await kubectl("patch", "secret", "subscribers", "--type=merge", "-p", '{"stringData":{"1001":"pw"}}');
    await until("the rotation", () => changes.some(({ kind, name }) => kind === "Secret" && name === "subscribers"));
    await kubectl("delete", "siprouter", "auth");
    await until("the end", () => changes.some(({ kind, object }) => kind === "SipRouter" && !object));
    changes = [];
    await kubectl("delete", "secret", "subscribers");
    await create({ apiVersion: "v1", kind: "Service", metadata: { name: "marker" }, spec: { ports: [{ port: 1 }] } });
    await until("the marker", () => changes.some(({ name }) => name === "marker"));
    expect(changes.some(({ kind }) => kind === "Secret")).toBe(false);
    expect(cluster.snapshot().secrets).toEqual([]);
  });

  test("after the fence nothing is written", async () => {
    await start();
    const objects = objectsOf(await router());
    cluster.fence("another leads");
    await expect(cluster.apply(objects)).rejects.toThrow("another leads");
    await wait(0);
    expect((await kubectl("get", "deploy,svc,cm", "-l", "siprouter.dev/router", "-o", "name")).stdout).toBe("");
  });
});
