import type { V1ConfigMap, V1Deployment, V1PodDisruptionBudget, V1PodSpec, V1Service } from "@kubernetes/client-node";
import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { snapshotOf } from "../../../src/model/index.ts";
import { runRouter } from "../../../src/pipeline.ts";
import type { RenderedRouter } from "../../../src/render/index.ts";

const defaults = { image: "registry.test/kamailio:6" };
const backend: RawObject = {
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name: "pbx", namespace: "voice" },
  spec: { address: "192.0.2.1" },
};
const routes = [{ name: "desk", match: { extensions: ["1000-1999"] }, set: "s" }];
const routerOf = (spec: object): RawObject => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "voice", uid: "u-1" },
  spec: { dispatcherSets: [{ name: "s", backends: [{ name: "pbx" }] }], routes, ...spec },
});
const run = (spec: object = {}, other: RawObject = backend) =>
  runRouter(snapshotOf([routerOf(spec), other]), "voice/edge", defaults);
function rendered(spec: object = {}, other: RawObject = backend): RenderedRouter {
  const outcome = run(spec, other);
  if (outcome.rendered === undefined) throw new Error(JSON.stringify(outcome.issues));
  return outcome.rendered;
}
interface Kinds {
  readonly ConfigMap: V1ConfigMap;
  readonly Deployment: V1Deployment;
  readonly PodDisruptionBudget: V1PodDisruptionBudget;
  readonly Service: V1Service;
}
const find = <Kind extends keyof Kinds>(result: RenderedRouter, kind: Kind): Kinds[Kind] | undefined =>
  result.objects.find((object) => object.kind === kind) as Kinds[Kind] | undefined;
const podOf = (result: RenderedRouter): V1PodSpec => find(result, "Deployment")?.spec?.template.spec as V1PodSpec;
const templateOf = (spec: object = {}, other: RawObject = backend): unknown =>
  find(rendered(spec, other), "Deployment")?.spec?.template;

test("routers of one structure share one text, those of another do not", () => {
  const config = (spec: object = {}): unknown => find(rendered(spec), "ConfigMap")?.data;
  expect(config({ replicas: 1 })).toBe(config({ replicas: 3 }));
  expect(config({ kamailio: { workers: 3 } })).not.toEqual(config());
});

describe("objects of a router", () => {
  test("all belong to it: deleting it leaves nothing behind", () => {
    const { objects } = rendered();
    const owner = {
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "SipRouter",
      name: "edge",
      uid: "u-1",
      controller: true,
      blockOwnerDeletion: true,
    };
    expect(objects.map((object) => object.metadata.ownerReferences)).toEqual(objects.map(() => [owner]));
  });

  test("a change of data does not touch the pod template: no pod is restarted", () => {
    const before = templateOf();
    const moved = { ...backend, spec: { address: "192.0.2.99", adminState: "Draining" } };
    expect(templateOf({}, moved)).toEqual(before);
    expect(templateOf({ routes: [...routes, { name: "fax", match: { extensions: ["99"] }, set: "s" }] })).toEqual(
      before,
    );
    expect(templateOf({ replicas: 5 })).toEqual(before);
    expect(find(rendered({}, moved), "ConfigMap")).toEqual(find(rendered(), "ConfigMap"));
  });

  test("a change of structure changes the pod template: the Deployment rolls, and the old pods keep their own file", () => {
    const one = rendered();
    const other = rendered({ failover: { timeoutSeconds: 5 } });
    expect(find(other, "Deployment")?.spec?.template).not.toEqual(find(one, "Deployment")?.spec?.template);
    const [before, after] = [one, other].map((result) => find(result, "ConfigMap"));
    expect(after?.metadata?.name).not.toBe(before?.metadata?.name);
    expect(before?.immutable).toBe(true);
  });

  test("a pod ends only after its drain, and loses no capacity while it is replaced", () => {
    const result = rendered({ drain: { timeoutSeconds: 300 } });
    const pod = podOf(result);
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(300);
    expect(pod.containers[0]?.lifecycle?.preStop?.exec?.command?.length).toBeGreaterThan(0);
    expect(find(result, "Deployment")?.spec?.strategy?.rollingUpdate?.maxUnavailable).toBe(0);
  });

  test("two replicas have a disruption budget that lets one go, one replica has none that would block a node's drain", () => {
    expect(find(rendered({ replicas: 2 }), "PodDisruptionBudget")?.spec?.maxUnavailable).toBe(1);
    expect(find(rendered({ replicas: 1 }), "PodDisruptionBudget")).toBeUndefined();
  });

  test("several replicas behind one address find each other; another number of them restarts none", () => {
    const advertise = { address: "203.0.113.10" };
    const peersOf = (spec: object) =>
      rendered(spec).objects.find(({ metadata }) => metadata.name === "edge-peers") as V1Service | undefined;
    const peers = peersOf({ advertise, replicas: 2 });
    expect(peers?.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
    expect(peers?.spec?.ports).toEqual([expect.objectContaining({ protocol: "UDP", port: 9061 })]);
    const { env, args } = podOf(rendered({ advertise, replicas: 2 })).containers[0] ?? {};
    expect(env).toContainEqual({ name: "PEERS", value: "edge-peers.voice.svc" });
    expect(args).toContain("!SIPR_PEERS!$(PEERS)!g");
    expect(templateOf({ advertise, replicas: 2 })).toEqual(templateOf({ advertise, replicas: 7 }));
    for (const spec of [{ advertise, replicas: 1 }, { replicas: 2 }]) expect(peersOf(spec)).toBeUndefined();
  });

  test("the Service keeps a caller with one pod when it is told to, and says nothing about it else", () => {
    const spec = (service?: object) => find(rendered(service === undefined ? {} : { service }), "Service")?.spec;
    expect(spec({ sessionAffinity: "ClientIP" })?.sessionAffinity).toBe("ClientIP");
    expect(spec()).not.toHaveProperty("sessionAffinity");
  });

  test("Service and container ports are those of the listeners", () => {
    const result = rendered({
      listeners: [
        { name: "t", transport: "TCP", port: 5070 },
        { name: "u", transport: "UDP", port: 5060 },
      ],
    });
    expect(find(result, "Service")?.spec?.ports).toEqual([
      { name: "u", port: 5060, targetPort: 5060, protocol: "UDP" },
      { name: "t", port: 5070, targetPort: 5070, protocol: "TCP" },
    ]);
    const [kamailio] = podOf(result).containers;
    expect(kamailio?.ports?.map((port) => `${port.containerPort}/${port.protocol}`)).toEqual([
      "5060/UDP",
      "5070/TCP",
      "9060/TCP",
    ]);
  });

  test("the container may do nothing that it does not need", () => {
    const pod = podOf(rendered());
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(pod.securityContext?.runAsUser).toBeGreaterThan(0);
    expect(pod.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  test("memory follows the shared memory asked for, unless resources are given", () => {
    const memory = (kamailio: object): unknown => podOf(rendered({ kamailio })).containers[0]?.resources;
    expect(memory({ shmMemoryMiB: 1024 })).toEqual({
      requests: { cpu: "100m", memory: "1216Mi" },
      limits: { memory: "1216Mi" },
    });
    expect(memory({ resources: { limits: { memory: "2Gi" } } })).toEqual({ limits: { memory: "2Gi" } });
  });

  test("more routes than a ConfigMap holds are an issue with a remedy, and nothing is applied", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({
      name: `r${index}`,
      match: { extensions: [`${2_000_001 + index * 700}-${2_000_698 + index * 700}`] },
      set: "s",
    }));
    const outcome = run({ routes: many });
    expect(outcome.rendered).toBeUndefined();
    expect(outcome.issues).toHaveLength(1);
    expect(outcome.issues[0]).toMatchObject({ reason: "Invalid", transient: false });
    expect(outcome.issues[0]?.message).toMatch(/a ConfigMap holds 1048576.*power of ten/);
  });

  test("10,000 routes of one range each fit", () => {
    const many = Array.from({ length: 10_000 }, (_, index) => ({
      name: `r${index}`,
      match: { extensions: [`${10_000 + index}00-${10_000 + index}99`] },
      set: "s",
    }));
    const { data } = rendered({ routes: many }).files;
    expect(Object.values(data).join("").length).toBeLessThan(1024 * 1024);
  });
});
