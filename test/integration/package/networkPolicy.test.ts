/**
 * Who gets in where, by the network policies of both charts: to the pods that the operator makes (their labels and ports are those of the
 * golden files), and to its own.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { isLetIn, type Party } from "../../support/package/networkPolicy.ts";
import { documents, helmTemplate, root } from "../../support/package/tools.ts";

interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string> };
  readonly spec: { readonly containers: readonly { readonly ports?: readonly ContainerPort[] }[] };
}
interface ContainerPort {
  readonly name: string;
  readonly containerPort: number;
}
const SYSTEM = "sip-router-system";
const metricsFrom = [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }];

/** A pod of the Deployment among these objects. */
function podOf(objects: readonly RawObject[], namespace: string): Party {
  const { spec } = objects.find(({ kind }) => kind === "Deployment") as unknown as { spec: { template: PodTemplate } };
  const ports = spec.template.spec.containers.flatMap((container) => container.ports ?? []);
  return {
    ...{ namespace, labels: spec.template.metadata.labels },
    ports: Object.fromEntries(ports.map(({ name, containerPort }) => [name, containerPort])),
  };
}
const golden = documents(readFileSync(path.join(root, "test/golden/samples/objects.yaml"), "utf8"));
const edge = podOf(golden, "voice");
const other = { ...edge, labels: { ...edge.labels, "siprouter.dev/router": "other" } };
const stranger = { namespace: "voice", labels: { app: "web" } };
const prometheus = { namespace: "monitoring", labels: { app: "prometheus" } };
const outside = {};

/** Names of the parties that get in. */
const letIn = (objects: readonly RawObject[], parties: Readonly<Record<string, Party>>, to: Party, port: string) =>
  Object.entries(parties)
    .filter(([, from]) => isLetIn(objects, from, to, port))
    .map(([name]) => name);

describe("the operator's chart", async () => {
  const values = { watchNamespaces: ["voice"], networkPolicy: { metricsFrom } };
  const objects = await helmTemplate("sip-router-operator", values);
  const operator = podOf(objects, SYSTEM);
  const elsewhere = { ...operator, namespace: "voice" };
  const parties = { operator, elsewhere, edge, other, stranger, prometheus, outside };
  const all = Object.keys(parties);

  test.each([
    ["udp 5060", all],
    ["tcp 5060", all],
    ["tcp 5061", all],
    // whatever listeners there are
    ["tcp 443", all],
    ["udp 65535", all],
    ["tcp 9060", ["operator", "prometheus"]],
    ["udp 9061", ["edge", "other"]],
  ])("to a router's pod, %s: %j", (port, expected) => {
    expect(letIn(objects, parties, edge, port)).toEqual(expected);
  });

  test("to a pod that is no router's: as without it", () => {
    expect(letIn(objects, parties, stranger, "tcp 80")).toEqual(all);
  });

  test("to the operator: metrics for who may scrape, and the chart's test", async () => {
    const { metrics } = operator.ports ?? {};
    expect(metrics).toBeGreaterThan(0);
    const hook = objects.find(({ kind }) => kind === "Pod");
    const tester = { namespace: SYSTEM, labels: hook?.metadata.labels ?? {} };
    expect(letIn(objects, { ...parties, tester }, operator, `tcp ${metrics}`)).toEqual(["prometheus", "tester"]);
    expect(letIn(objects, { ...parties, tester }, operator, "tcp 9229")).toEqual([]);
  });

  test("to the operator, metrics by HTTPS", async () => {
    const secure = await helmTemplate("sip-router-operator", {
      metrics: { secure: { enabled: true } },
      networkPolicy: { metricsFrom },
    });
    const pod = podOf(secure, SYSTEM);
    expect(letIn(secure, parties, pod, `tcp ${pod.ports?.["secure"]}`)).toEqual(["prometheus"]);
  });

  test("nobody may scrape when nobody is named; namespaces that are not named stay as they are", async () => {
    const plain = await helmTemplate("sip-router-operator", { test: { enabled: false } });
    const pod = podOf(plain, SYSTEM);
    expect(letIn(plain, parties, pod, `tcp ${pod.ports?.["metrics"]}`)).toEqual([]);
    expect(letIn(plain, parties, edge, "tcp 9060")).toEqual(all);
  });
});

describe("the routers' chart", async () => {
  // its default router is the one of the samples
  const objects = await helmTemplate("sip-router", { networkPolicy: { metricsFrom } }, { namespace: "voice" });
  const operator = podOf(await helmTemplate("sip-router-operator", {}), SYSTEM);
  const parties = { operator, edge, other, stranger, prometheus, outside };

  test.each([
    ["udp 5060", Object.keys(parties)],
    ["tcp 9060", ["operator", "prometheus"]],
    ["udp 9061", ["edge"]],
  ])("to a pod of its router, %s: %j", (port, expected) => {
    expect(letIn(objects, parties, edge, port)).toEqual(expected);
  });

  test("to a pod of another router: as without it", () => {
    expect(letIn(objects, parties, other, "tcp 9060")).toEqual(Object.keys(parties));
  });
});

test("the policy of docs/security.md, applied in the router's namespace", () => {
  const page = readFileSync(path.join(root, "docs/security.md"), "utf8");
  const [, block = ""] = /## A NetworkPolicy for the pods[^#]*?```yaml\n([^]*?)```/.exec(page) ?? [];
  const objects = documents(block).map((one) => ({ ...one, metadata: { ...one.metadata, namespace: "voice" } }));
  const operator = podOf(documents(readFileSync(path.join(root, "config/install.yaml"), "utf8")), SYSTEM);
  const parties = { operator, edge, other, stranger, prometheus, outside };
  for (const port of ["udp 5060", "tcp 5060", "tcp 5061"])
    expect(letIn(objects, parties, edge, port)).toEqual(Object.keys(parties));
  expect(letIn(objects, parties, edge, "tcp 9060")).toEqual(["operator", "prometheus"]);
  expect(letIn(objects, parties, edge, "udp 9061")).toEqual(["edge"]);
});

test("install.yaml closes the operator", () => {
  const objects = documents(readFileSync(path.join(root, "config/install.yaml"), "utf8"));
  const operator = podOf(objects, SYSTEM);
  for (const port of Object.values(operator.ports ?? {}))
    expect(letIn(objects, { prometheus, stranger, outside, edge }, operator, `tcp ${port}`)).toEqual([]);
});
