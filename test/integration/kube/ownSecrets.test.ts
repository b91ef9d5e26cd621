/** The Secrets that the operator makes: what others do to them is told, by one watch for all of them where that is permitted. */
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import type { Change } from "../../../src/cluster/index.ts";
import { createKubeCluster } from "../../../src/kube/kubeCluster.ts";
import type { KubeCluster } from "../../../src/kube/kubeCluster.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";
import { kubeConfigAt, memoryLog } from "./support.ts";

const SYSTEM = "sip-router-system";
const config = (path: string): string => fileURLToPath(new URL(`../../../config/${path}`, import.meta.url));
let server: TestApiServer;
let cluster: KubeCluster;
let log = memoryLog();
let changes: Change[] = [];
let lists: string[] = [];
let namespace = "";
let count = 0;

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  for (const file of ["namespace", "service-account"])
    await server.kubectl(["apply", "-f", config(`manager/${file}.yaml`)]);
});
afterAll(() => server.stop());
afterEach(() => cluster.stop());

const kubectl = (...args: string[]) => server.kubectl(["-n", namespace, ...args]);
const newNamespace = async (): Promise<void> => {
  namespace = `t${(count += 1)}`;
  await server.kubectl(["create", "namespace", namespace]);
};
const connect = async (kubeconfig: string, namespaces: readonly string[] = []): Promise<void> => {
  log = memoryLog();
  changes = [];
  lists = [];
  cluster = createKubeCluster({
    kubeConfig: kubeConfigAt(kubeconfig),
    namespaces,
    log,
    onRequest: ({ verb, resource }) => void (resource === "secrets" && verb === "list" && lists.push(verb)),
  });
  cluster.onChange((change) => void changes.push(change));
  await cluster.start();
};
/** Makes a router and, as the reconciler does, its control Secret. */
const router = async (name: string): Promise<RawObject> => {
  const spec = { dispatcherSets: [{ name: "pbx", backends: [{ name: "one" }] }] };
  const object = { apiVersion: "siprouter.dev/v1alpha1", kind: "SipRouter", metadata: { name }, spec };
  await server.kubectl(["-n", namespace, "apply", "-f", "-"], { input: JSON.stringify(object) });
  await until(`${name} in the cache`, () => cluster.owned("SipRouter", namespace, name) !== undefined);
  const { apiVersion, kind, metadata } = cluster.owned("SipRouter", namespace, name) as RawObject;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: `${name}-control`,
      namespace,
      labels: { "app.kubernetes.io/managed-by": "sip-router-operator", "siprouter.dev/router": name },
      ownerReferences: [{ apiVersion, kind, name, uid: metadata.uid, controller: true, blockOwnerDeletion: true }],
    },
  };
};
const ensure = (secret: RawObject) => cluster.ensureSecret(secret, () => ({ token: "t" }));
const isTold = async (what: (change: Change) => boolean, secret: RawObject): Promise<void> => {
  await until("the change is told", () =>
    changes.some((change) => change.kind === "Secret" && change.name === secret.metadata.name && what(change)),
  );
  changes = [];
};
const edit = (secret: RawObject, patch: object) =>
  kubectl("patch", "secret", secret.metadata.name, "--type=merge", "-p", JSON.stringify(patch));
const isDeleted = (change: Change): boolean => change.object === undefined;
const isEdited = ({ object }: Change): boolean => JSON.stringify(object?.["data"] ?? {}).includes("extra");

test("one list and one watch serve all of them, and what others do to one is told", async () => {
  await newNamespace();
  await connect(server.kubeconfigPath);
  const secrets = [await router("one"), await router("two"), await router("three")];
  for (const secret of secrets) {
    await ensure(secret);
    await cluster.followSecret(secret);
  }
  const [one, two] = secrets as [RawObject, RawObject];
  await edit(one, { stringData: { extra: "e" } });
  await isTold(isEdited, one);
  await kubectl("delete", "secret", "two-control");
  await isTold(isDeleted, two);
  expect(lists).toHaveLength(1);
});

test("one that lost its label gets it back, and is followed on", async () => {
  await newNamespace();
  await connect(server.kubeconfigPath);
  const secret = await router("edge");
  await ensure(secret);
  await until("its copy", () => cluster.owned("Secret", namespace, "edge-control") !== undefined);
  await edit(secret, { metadata: { labels: { "app.kubernetes.io/managed-by": null } } });
  await isTold(isDeleted, secret);
  expect(await ensure(secret)).toEqual({ token: "t" });
  await edit(secret, { stringData: { extra: "e" } });
  await isTold(isEdited, secret);
});

test("somebody else's Secret of that name is left alone, and when it goes the router is told", async () => {
  await newNamespace();
  await connect(server.kubeconfigPath);
  const secret = await router("edge");
  await kubectl("create", "secret", "generic", "edge-control", "--from-literal=mine=yes");
  await expect(ensure(secret)).rejects.toMatchObject({ code: "SIPR_NOT_OWNED" });
  await until("its copy", () => cluster.owned("Secret", namespace, "edge-control") !== undefined);
  await kubectl("delete", "secret", "edge-control");
  await isTold(isDeleted, secret);
  await ensure(secret);
  await edit(secret, { stringData: { extra: "e" } });
  await isTold(isEdited, secret);
});

test("a Role narrowed to the names of the Secrets is enough: they are followed by name", async () => {
  await newNamespace();
  await kubectl("apply", "-k", config("rbac/namespaced"));
  const role = JSON.parse((await kubectl("get", "role", "sip-router-operator", "-o", "json")).stdout) as {
    rules: { resources: string[]; verbs: string[]; resourceNames?: string[] }[];
  };
  for (const rule of role.rules)
    if (rule.resources.includes("secrets") && rule.verbs.includes("watch")) rule.resourceNames = ["edge-control"];
  await kubectl("patch", "role", "sip-router-operator", "--type=merge", "-p", JSON.stringify({ rules: role.rules }));
  await connect(await server.serviceAccountKubeconfig(SYSTEM, "sip-router-operator"), [namespace]);
  const secret = await router("edge");
  await ensure(secret);
  await cluster.followSecret(secret);
  await edit(secret, { stringData: { extra: "e" } });
  await isTold(isEdited, secret);
  expect(cluster.troubles()).toEqual([]);
  expect(log.lines.filter(({ level }) => level === "warn")).toEqual([]);
});
