import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { deepFreeze } from "../../../src/ir/freeze.ts";
import { namesToResolve, resolveBackend, resolveRouter, snapshotOf, type Snapshot } from "../../../src/model/index.ts";

const object = (kind: string, name: string, fields: Partial<RawObject> & { namespace?: string }): RawObject => {
  const { namespace = "default", metadata, ...rest } = fields;
  return { apiVersion: "siprouter.dev/v1alpha1", kind, ...rest, metadata: { name, namespace, ...metadata } };
};
const backend = (name: string, spec: object, namespace = "default"): RawObject =>
  object("PbxBackend", name, { spec, namespace });
const router = (spec: object): RawObject => object("SipRouter", "edge", { spec });
const snapshot = (objects: readonly RawObject[], names?: Snapshot["names"]): Snapshot =>
  deepFreeze(snapshotOf(objects, names));

describe("a router", () => {
  test("that does not exist has no issues", () => {
    expect(resolveRouter(snapshot([]), "default/edge")).toEqual({ issues: [] });
  });

  test("never gets a backend of another namespace", () => {
    const one = router({ dispatcherSets: [{ name: "s", backends: [{ name: "pbx" }], selector: {} }] });
    const found = resolveRouter(snapshot([one, backend("pbx", { address: "192.0.2.1" }, "other")]), "default/edge");
    expect(found.router).toBeUndefined();
    expect(found.issues.map((issue) => issue.reason)).toEqual(["NoBackends", "BackendNotFound"]);
  });

  test("with a thousand faults has a hundred issues and the number of the others", () => {
    const routes = Array.from({ length: 1000 }, (_, index) => ({
      name: `r${index}`,
      match: { extensions: [`${index}`] },
      set: "nowhere",
    }));
    const one = router({ dispatcherSets: [{ name: "s", backends: [{ name: "pbx" }] }], routes });
    const { issues } = resolveRouter(snapshot([one, backend("pbx", { address: "192.0.2.1" })]), "default/edge");
    expect(issues).toHaveLength(101);
    expect(issues.at(-1)?.message).toBe("900 more issues are not listed: correct these first.");
  });
});

describe("a backend", () => {
  test("is as its own snapshot has it, whichever was asked about before", () => {
    const objects = [backend("named", { address: "pbx.example.com" }), backend("apart", { address: "192.0.2.9" })];
    const at = (ip: string): Snapshot => ({ ...all, names: new Map([["pbx.example.com", { addresses: [ip] }]]) });
    const all = snapshot(objects);
    const [one, other] = [at("192.0.2.1"), at("192.0.2.2")];
    const hostsOf = (of: Snapshot): unknown =>
      resolveBackend(of, "default/named").backend?.endpoints.map(({ host }) => host);
    expect([one, other, one, all, other].map(hostsOf)).toEqual([
      ["192.0.2.1"],
      ["192.0.2.2"],
      ["192.0.2.1"],
      [],
      ["192.0.2.2"],
    ]);
    const edited = { ...other, backends: [other.backends[0] as RawObject, backend("apart", { address: "192.0.2.8" })] };
    expect(resolveBackend(edited, "default/apart").backend?.endpoints.map(({ host }) => host)).toEqual(["192.0.2.8"]);
    // what did not change costs nothing
    expect(resolveBackend(edited, "default/named")).toBe(resolveBackend(other, "default/named"));
  });

  const slice = (name: string, endpoints: readonly object[]): RawObject =>
    object("EndpointSlice", name, {
      metadata: { name, namespace: "default", labels: { "kubernetes.io/service-name": "pbx" } },
      addressType: "IPv4",
      ports: [{ name: "sip", port: 5070, protocol: "UDP" }],
      endpoints,
    });
  const service = object("Service", "pbx", { spec: { ports: [{ name: "sip", port: 5060, protocol: "UDP" }] } });
  const endpointsOf = (...slices: readonly RawObject[]): unknown =>
    resolveBackend(
      snapshot([backend("pbx", { service: { name: "pbx" } }), service, ...slices]),
      "default/pbx",
    ).backend?.endpoints.map(({ host, port, ready }) => [host, port, ready]);

  test("whose Service or EndpointSlice is not as Kubernetes has them says where, and goes on with the rest", () => {
    const issuesOf = (...objects: readonly RawObject[]): unknown =>
      resolveBackend(snapshot([backend("pbx", { service: { name: "pbx" } }), ...objects]), "default/pbx").issues.map(
        ({ reason, path, message, transient }) => [reason, path, message, transient],
      );
    const good = slice("good", [{ addresses: ["10.0.0.1"] }]);
    const ports = { spec: { ports: { name: "sip", port: 5060 } } };
    expect(issuesOf(object("Service", "pbx", ports), good)).toEqual([
      [
        "ServiceInvalid",
        "spec.service",
        "Service default/pbx cannot be read at spec.ports, expected array, received object: correct it.",
        true,
      ],
    ]);
    const bad = slice("bad", [{ addresses: "10.0.0.2" }]);
    expect(issuesOf(service, good, bad)).toEqual([
      [
        "ServiceInvalid",
        "spec.service",
        "EndpointSlice default/bad cannot be read at endpoints[0].addresses, expected array, received string: correct it.",
        true,
      ],
    ]);
    expect(endpointsOf(bad, good)).toEqual([["10.0.0.1", 5070, true]]);
  });

  test("whose pod is in two slices at a time takes calls as soon as one says so", () => {
    const ready = { addresses: ["10.0.0.1"], conditions: { ready: true } };
    const starting = { addresses: ["10.0.0.1"], conditions: { ready: false } };
    expect(endpointsOf(slice("a", [ready]), slice("b", [starting]))).toEqual([["10.0.0.1", 5070, true]]);
    expect(endpointsOf(slice("a", [starting]), slice("b", [ready]))).toEqual([["10.0.0.1", 5070, true]]);
  });

  test("takes a pod as ready that does not say otherwise, and not when it is ending", () => {
    const endpoints = [
      { addresses: ["10.0.0.1"] },
      { addresses: ["10.0.0.2"], conditions: { ready: true, terminating: true } },
    ];
    expect(endpointsOf(slice("a", endpoints))).toEqual([
      ["10.0.0.1", 5070, true],
      ["10.0.0.2", 5070, false],
    ]);
  });

  test("is found by the name that DNS knows, in any case, and no name is asked for an address or a mistyped one", () => {
    const all = [
      backend("a", { address: "PBX.Example.com" }),
      backend("b", { address: "pbx.example.com" }),
      backend("c", { address: "192.0.2.1" }),
      backend("d", { address: "2001:db8::1" }),
      backend("e", { address: "192.168.1.300" }),
      backend("f", { service: { name: "x" } }),
      backend("g", { address: 'x"y' }),
    ];
    expect(namesToResolve(all)).toEqual(["pbx.example.com"]);
    const names = new Map([["pbx.example.com", { addresses: ["192.0.2.7", "0.0.0.0"] }]]);
    const found = resolveBackend(snapshot(all, names), "default/a");
    expect(found.backend?.endpoints).toEqual([{ host: "192.0.2.7", port: 5060, transport: "UDP", ready: true }]);
  });
});
