import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { backoffMs } from "../../../src/kube/backoff.ts";
import { digest, project } from "../../../src/kube/drift.ts";
import { referencedSecrets } from "../../../src/model/references.ts";
import { podView, workloadView } from "../../../src/kube/views.ts";

describe("project", () => {
  test("fields the API server or others add do not count, fields that were applied do", () => {
    const applied = { spec: { replicas: 2, ports: [{ port: 5060 }] } };
    const live = { spec: { replicas: 2, ports: [{ port: 5060, protocol: "TCP" }], paused: false }, status: {} };
    expect(project(applied, live)).toEqual(applied);
    expect(project(applied, { spec: { ports: [{ port: 5061 }] } })).toEqual({
      spec: { replicas: undefined, ports: [{ port: 5061 }] },
    });
  });
  test("an item that somebody added to a list counts", () => {
    expect(project({ ports: [{ port: 1 }] }, { ports: [{ port: 1 }, { port: 2 }] })).toEqual({
      ports: [{ port: 1 }, { port: 2 }],
    });
  });
  test("the order of fields does not matter, the order of items does", () => {
    expect(digest({ a: 1, b: [1, 2] })).toBe(digest({ b: [1, 2], a: 1, c: undefined }));
    expect(digest({ b: [1, 2] })).not.toBe(digest({ b: [2, 1] }));
  });
});

test("backoff doubles, stays under its limit and is spread", () => {
  expect([1, 2, 3].map((failures) => backoffMs(failures, 200, 30_000, 0.999))).toEqual(
    [199.9, 399.8, 799.6].map((ms) => expect.closeTo(ms, 1)),
  );
  expect(backoffMs(1, 200, 30_000, 0)).toBe(100);
  expect(backoffMs(1e6, 200, 30_000, 0.999)).toBeLessThanOrEqual(30_000);
});

describe("referencedSecrets", () => {
  const object = (kind: string, spec: unknown): RawObject => ({
    apiVersion: "siprouter.dev/v1alpha1",
    kind,
    metadata: { namespace: "a", name: "edge" },
    spec,
  });
  test("every Secret field of both kinds, and the router's own", () => {
    const spec = {
      listeners: [{ name: "tls", tls: { secretName: "edge-tls" } }],
      authentication: { credentialsSecretName: "subscribers" },
      kamailio: { podTemplate: { spec: { volumes: [{ secret: { secretName: "not-mine" } }] } } },
    };
    expect(referencedSecrets(object("SipRouter", spec))).toEqual(["edge-control", "edge-tls", "subscribers"]);
    const backend = {
      registration: { secretName: "reg" },
      credentialsSecretName: "trunk",
      management: { ami: { secretName: "ami" } },
    };
    expect(referencedSecrets(object("PbxBackend", backend))).toEqual(["ami", "reg", "trunk"]);
  });
  test.each([[null], ["text"], [{ listeners: [{ tls: { secretName: 7 } }] }]])("a spec of any shape (%j)", (spec) => {
    expect(referencedSecrets(object("PbxBackend", spec))).toEqual([]);
  });
});

describe("podView", () => {
  const pod = (status: unknown, metadata: object = {}): RawObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "a", name: "p", uid: "u", ...metadata },
    status,
  });
  test("of a pod that serves", () => {
    const status = {
      podIP: "192.0.2.1",
      conditions: [{ type: "Ready", status: "True" }],
      containerStatuses: [
        { name: "sidecar", state: { waiting: { reason: "ContainerCreating" } } },
        { name: "kamailio", state: { running: {} } },
      ],
    };
    const annotations = { "siprouter.dev/structure-hash": "abc" };
    expect(podView(pod(status, { annotations }))).toEqual({
      namespace: "a",
      name: "p",
      uid: "u",
      ip: "192.0.2.1",
      ready: true,
      running: true,
      terminating: false,
      structureHash: "abc",
      message: "",
    });
  });
  test.each([
    [undefined, ""],
    [
      {
        containerStatuses: [
          { name: "kamailio", state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } } },
        ],
      },
      "CrashLoopBackOff: back-off 10s",
    ],
    [
      { containerStatuses: [{ name: "kamailio", state: { terminated: { reason: "OOMKilled", exitCode: 137 } } }] },
      "OOMKilled: exit code 137",
    ],
    [
      { conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/1 nodes" }] },
      "Unschedulable: 0/1 nodes",
    ],
    [{ phase: "Failed", reason: "Evicted", message: "memory" }, "Evicted: memory"],
  ])("says what is wrong: %j", (status, message) => {
    expect(podView(pod(status))).toMatchObject({ message, running: false, ready: false });
  });
});

describe("workloadView", () => {
  const deployment = (generation: number, status: object): RawObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: "a", name: "edge", generation },
    spec: { replicas: 2 },
    status,
  });
  const done = { observedGeneration: 3, replicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 2 };
  test.each([
    ["all updated and available", 3, done, true],
    ["not yet seen by the Deployment controller", 4, done, false],
    ["an old pod still there", 3, { ...done, replicas: 3 }, false],
    ["one not available", 3, { ...done, availableReplicas: 1 }, false],
  ])("rolled out: %s", (_, generation, status, rolledOut) => {
    expect(workloadView(deployment(generation, status), undefined).rolledOut).toBe(rolledOut);
  });
  test("the load balancer's address, else the cluster's", () => {
    const service = (status: object, spec: object): RawObject => ({
      apiVersion: "v1",
      kind: "Service",
      metadata: { namespace: "a", name: "edge" },
      spec,
      status,
    });
    const addresses = (status: object, spec: object) =>
      workloadView(deployment(3, done), service(status, spec)).addresses;
    expect(
      addresses(
        { loadBalancer: { ingress: [{ ip: "203.0.113.1" }, { hostname: "lb.example" }] } },
        { clusterIP: "10.0.0.1" },
      ),
    ).toEqual(["203.0.113.1", "lb.example"]);
    expect(addresses({ loadBalancer: {} }, { clusterIPs: ["10.0.0.1", "fd00::1"] })).toEqual(["10.0.0.1", "fd00::1"]);
    expect(addresses({}, { clusterIP: "None" })).toEqual([]);
  });
  test("a Service of somebody else, by which the router is not reached, is not shown", () => {
    const labelled = (object: RawObject): RawObject => ({
      ...object,
      metadata: { ...object.metadata, labels: { "siprouter.dev/router": "edge" } },
    });
    const service = { ...deployment(3, {}), kind: "Service", spec: { clusterIP: "10.0.0.1" } };
    const addresses = (of: RawObject) => workloadView(labelled(deployment(3, done)), of).addresses;
    expect(addresses(service)).toEqual([]);
    expect(addresses(labelled(service))).toEqual(["10.0.0.1"]);
  });
  test("a load balancer that has no address yet is told", () => {
    const note = (type: string, loadBalancer: object) => {
      const service = { ...deployment(3, { loadBalancer }), kind: "Service", spec: { type, clusterIP: "10.0.0.1" } };
      return workloadView(deployment(3, done), service).note;
    };
    expect(note("LoadBalancer", {})).toContain("Service edge has no address of a load balancer yet");
    expect(note("LoadBalancer", { ingress: [{ ip: "203.0.113.1" }] })).toBe(undefined);
    expect(note("NodePort", {})).toBe(undefined);
  });
  test("a rollout that is stuck says why", () => {
    const conditions = [
      { type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded", message: "timed out" },
    ];
    expect(workloadView(deployment(3, { ...done, conditions }), undefined).failure).toBe(
      "ProgressDeadlineExceeded: timed out",
    );
  });
});
