/** The charts, by the real Helm against the real API server. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { SCHEMA_LOCATION, writeSchemas } from "../../support/package/schemas.ts";
import { documents, helmTemplate, root, tool, toolFolder } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";

const OPERATOR = "sip-router-operator";
const SYSTEM = "sip-router-system";

let server: TestApiServer;
beforeAll(async () => {
  server = await startApiServer({ crds: true });
  // PodMonitor and PrometheusRule; too long for the annotation of a client-side apply
  await server.kubectl(["apply", "--server-side", "-f", path.join(toolFolder(), "prometheus-operator")]);
  await server.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
  for (const name of [SYSTEM, "one", "two", "voice"]) {
    await server.kubectl(["create", "namespace", name]);
    // a pod template that is not as restricted as it can be shows as a warning
    await server.kubectl(["label", "namespace", name, "pod-security.kubernetes.io/warn=restricted"]);
  }
});
afterAll(() => server.stop());

const everything = {
  watchNamespaces: ["one", "two"],
  commonLabels: { team: "voice" },
  imagePullSecrets: [{ name: "registry" }],
  image: { digest: `sha256:${"a".repeat(64)}` },
  kamailio: { image: "registry.example.com/kamailio:6.1" },
  extraEnv: [{ name: "TZ", value: "UTC" }],
  extraArgs: ["--leader-elect-namespace=one"],
  podAnnotations: { note: "x" },
  podLabels: { tier: "control" },
  priorityClassName: "system-cluster-critical",
  nodeSelector: { disk: "ssd" },
  tolerations: [{ key: "voice", operator: "Exists" }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "Exists" }] }],
      },
    },
  },
  networkPolicy: {
    metricsFrom: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } }],
    routerNamespaces: ["voice"],
  },
  metrics: {
    podMonitor: { enabled: true, labels: { release: "prometheus" } },
    prometheusRule: { enabled: true },
    dashboard: { enabled: true },
  },
};

const applied = async (objects: readonly RawObject[]) => {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const args = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-"];
  return server.kubectl(args, { input, allowFailure: true });
};
const kindsOf = (objects: readonly RawObject[]): string[] => [...new Set(objects.map(({ kind }) => kind))].toSorted();
const find = (objects: readonly RawObject[], kind: string, name?: string) =>
  objects.find((one) => one.kind === kind && (name === undefined || one.metadata.name === name));

describe("chart sip-router-operator", () => {
  test.each([
    ["the defaults", {}],
    ["everything that can be set", everything],
    [
      "metrics by HTTPS",
      {
        metrics: {
          secure: { enabled: true, certSecretName: "tls" },
          podMonitor: { enabled: true, kamailio: true, tokenSecret: { name: "token" } },
        },
      },
    ],
    ["one replica without election", { replicas: 1, leaderElection: { enabled: false } }],
    [
      "nothing beside the Deployment",
      {
        crds: { enabled: false },
        rbac: { create: false },
        serviceAccount: { create: false },
        networkPolicy: { enabled: false },
        podDisruptionBudget: { enabled: false },
        test: { enabled: false },
        topologySpread: { enabled: false },
      },
    ],
  ])("the API server takes every object as it stands, without a warning: %s", async (_, values) => {
    const objects = await helmTemplate(OPERATOR, values);
    const result = await applied(objects);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout.trim().split("\n")).toHaveLength(objects.length);
  });

  test("kubeconform agrees, by the API server's own schemas", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "schemas-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    await writeSchemas(server, folder);
    const conform = async (objects: readonly RawObject[]) => {
      const args = ["-summary", "-output", "json", "-schema-location", path.join(folder, SCHEMA_LOCATION)];
      const input = objects.map((one) => JSON.stringify(one)).join("\n---\n");
      const { code, stdout } = await tool("kubeconform", args, { input, allowFailure: true });
      return { code, ...(JSON.parse(stdout) as { summary: object; resources?: { msg: string }[] }) };
    };
    const objects = [
      ...(await helmTemplate(OPERATOR, everything)),
      ...(await helmTemplate("sip-router", {}, { release: "edge", namespace: "voice" })),
    ];
    const found = await conform(objects);
    expect(found, JSON.stringify(found.resources)).toMatchObject({
      code: 0,
      summary: { valid: objects.length, invalid: 0, errors: 0, skipped: 0 },
    });
    // it would notice
    const [router] = objects.filter(({ kind }) => kind === "SipRouter");
    const wrong = { ...router, spec: { ...(router?.spec as object), replica: 2 } } as RawObject;
    expect(JSON.stringify(await conform([wrong]))).toMatch(/additional.*replica/i);
  });

  test("lint finds nothing", async () => {
    const args = ["lint", "--strict", `charts/${OPERATOR}`, "charts/sip-router"];
    expect((await tool("helm", args)).stdout).toContain("2 chart(s) linted, 0 chart(s) failed");
  });

  test("the charts' own tests pass", async () => {
    const { stdout } = await tool("helm-unittest", ["--strict", `charts/${OPERATOR}`, "charts/sip-router"]);
    expect(stdout).toMatch(/Charts: +2 passed, 2 total\nTest Suites: +[1-9]\d* passed/);
  });

  test("named namespaces: a Role in each, nothing of the cluster but the definitions", async () => {
    const objects = await helmTemplate(OPERATOR, { watchNamespaces: ["one", "two"] });
    expect(kindsOf(objects).filter((kind) => kind.startsWith("Cluster"))).toEqual([]);
    const roles = objects.filter(({ kind }) => kind === "Role").map(({ metadata }) => metadata.namespace);
    expect(roles.toSorted()).toEqual(["one", SYSTEM, "two"]);
    const policies = objects.filter(({ kind }) => kind === "NetworkPolicy").map(({ metadata }) => metadata.namespace);
    expect(policies.toSorted()).toEqual(["one", SYSTEM, "two"]);
  });

  test("the definitions are those of crds/", async () => {
    const objects = await helmTemplate(OPERATOR, {});
    for (const plural of ["siprouters", "pbxbackends"]) {
      const [source] = documents(readFileSync(path.join(root, `crds/siprouter.dev_${plural}.yaml`), "utf8"));
      const found = find(objects, "CustomResourceDefinition", `${plural}.siprouter.dev`);
      expect(found?.spec).toEqual(source?.spec);
      expect(found?.metadata.annotations).toEqual({ "helm.sh/resource-policy": "keep" });
    }
    const loose = find(await helmTemplate(OPERATOR, { crds: { keep: false } }), "CustomResourceDefinition");
    expect(loose?.metadata.annotations).toBeUndefined();
  });

  const spec = (values: object) => ["--values", "-", values] as const;
  test.each([
    [spec({ replica: 3 }), /additional properties 'replica' not allowed/],
    [spec({ replicas: "three" }), /at '\/replicas': got string, want integer/],
    [
      spec({ image: { pullPolicy: "Sometimes" } }),
      /at '\/image\/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'/,
    ],
    [spec({ image: { digest: "sha256:abc" } }), /at '\/image\/digest': 'sha256:abc' does not match pattern/],
    [spec({ watchNamespaces: ["Voice"] }), /at '\/watchNamespaces\/0': 'Voice' does not match pattern/],
    [spec({ watchNamespaces: "voice" }), /at '\/watchNamespaces': got string, want array/],
    [spec({ logLevel: "verbose" }), /at '\/logLevel': value must be one of/],
    [spec({ metrics: { port: 80 } }), /at '\/metrics\/port': minimum: got 80, want 1,?024/],
    [
      spec({ networkPolicy: { metricsFrom: [{ namespace: "x" }] } }),
      /at '\/networkPolicy\/metricsFrom\/0': additional properties 'namespace' not allowed/,
    ],
    [
      spec({ replicas: 2, leaderElection: { enabled: false } }),
      /replicas: more than one needs leaderElection.enabled: true/,
    ],
    [
      spec({ watchNamespaces: ["voice"], metrics: { secure: { enabled: true } } }),
      /metrics.secure.enabled: needs a ClusterRoleBinding/,
    ],
  ])("wrong values are refused, with path and reason: %j", async ([flag, from, values], message) => {
    const args = ["template", OPERATOR, `charts/${OPERATOR}`, flag, from];
    const result = await tool("helm", args, { input: JSON.stringify(values), allowFailure: true });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(message);
  });

  test("a parent chart may hand down `global`, and switch both charts on and off by a condition", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "umbrella-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const charts = [OPERATOR, "sip-router"];
    const dependencies = charts.map((name) => ({ name, version: "*", condition: `${name}.enabled` }));
    writeFileSync(
      path.join(folder, "Chart.yaml"),
      JSON.stringify({ apiVersion: "v2", name: "umbrella", version: "1.0.0", dependencies }),
    );
    for (const name of charts) cpSync(path.join(root, "charts", name), path.join(folder, "charts", name), { recursive: true }); // prettier-ignore
    const kinds = async (values: object) => {
      const args = ["template", "all", folder, "--namespace", SYSTEM, "--values", "-"];
      return kindsOf(documents((await tool("helm", args, { input: JSON.stringify(values) })).stdout));
    };
    const global = { imageRegistry: "x" };
    const both = await kinds({ global, [OPERATOR]: { enabled: true }, "sip-router": { enabled: true } });
    expect(both).toEqual(expect.arrayContaining(["Deployment", "SipRouter"]));
    const one = await kinds({ global, [OPERATOR]: { enabled: true }, "sip-router": { enabled: false } });
    expect(one).toContain("Deployment");
    expect(one).not.toContain("SipRouter");
  });

  test("a release and namespaces with names that YAML takes for numbers", async () => {
    const objects = [
      ...(await helmTemplate(OPERATOR, { watchNamespaces: ["2024"], fullnameOverride: "1" }, { release: "3", namespace: "4" })), // prettier-ignore
      ...(await helmTemplate("sip-router", {}, { release: "5", namespace: "6" })),
    ];
    for (const name of ["2024", "4", "6"]) await server.kubectl(["create", "namespace", name]);
    expect(await applied(objects)).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("chart sip-router", () => {
  test("its defaults are the samples", async () => {
    const objects = await helmTemplate("sip-router", {}, { release: "edge", namespace: "voice" });
    const resources = objects.filter(({ apiVersion }) => apiVersion.startsWith("siprouter.dev/"));
    const samples = ["backends", "router"].flatMap((file) =>
      documents(readFileSync(path.join(root, `config/samples/${file}.yaml`), "utf8")),
    );
    const bare = ({ kind, metadata, spec }: RawObject) => ({ kind, name: metadata.name, spec });
    expect(resources.map(bare)).toEqual(samples.map(bare));
    expect(await applied(objects)).toMatchObject({ code: 0, stderr: "" });
  });

  test("a list of one's own replaces the samples; labels and annotations are kept", async () => {
    const values = {
      routers: [
        {
          name: "mine",
          labels: { tenant: "a" },
          annotations: { note: "b" },
          spec: { dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx" }] }] },
        },
      ],
      backends: [{ name: "pbx", spec: { service: { name: "asterisk", port: "sip" } } }],
      commonAnnotations: { all: "c" },
    };
    const objects = await helmTemplate("sip-router", values, { release: "edge", namespace: "voice" });
    const resources = objects.filter(({ apiVersion }) => apiVersion.startsWith("siprouter.dev/"));
    expect(resources.map(({ metadata }) => metadata.name)).toEqual(["pbx", "mine"]);
    expect(resources[1]?.metadata).toMatchObject({
      labels: { tenant: "a", "app.kubernetes.io/instance": "edge" },
      annotations: { note: "b", all: "c" },
    });
    expect(await applied(objects)).toMatchObject({ code: 0, stderr: "" });
  });

  const router = (spec: object) => ({ routers: [{ name: "edge", spec }] });
  const sets = [{ name: "pbx", backends: [{ name: "one" }] }];
  test.each([
    [router({ dispatcherSets: sets, replica: 2 }), /'\/routers\/0\/spec': additional properties 'replica' not allowed/],
    [
      router({ dispatcherSets: sets, listeners: [{ name: "udp", transport: "udp" }] }),
      /'\/routers\/0\/spec\/listeners\/0\/transport': value must be one of/,
    ],
    [router({ dispatcherSets: sets, replicas: "2" }), /'\/routers\/0\/spec\/replicas': got string, want integer/],
    [
      { backends: [{ name: "one", spec: { address: "10.0.0.1", port: 70_000 } }] },
      /'\/backends\/0\/spec\/port': maximum: got 70,?000, want 65,?535/,
    ],
    [
      { backends: [{ name: "One", spec: { address: "10.0.0.1" } }] },
      /'\/backends\/0\/name': 'One' does not match pattern/,
    ],
    [{ backends: [{ name: "one" }] }, /'\/backends\/0': missing property 'spec'/],
  ])("what the resources' schema refuses is refused before anything is sent: %j", async (values, message) => {
    const args = ["template", "edge", "charts/sip-router", "--values", "-"];
    const result = await tool("helm", args, { input: JSON.stringify(values), allowFailure: true });
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(message);
  });
});

describe("a release", () => {
  const helm = async (...args: string[]) =>
    tool("helm", [...args, "--kubeconfig", server.kubeconfigPath, "--namespace", SYSTEM]);

  test("installed, upgraded, rolled back and uninstalled: the definitions and resources stay, all else goes", async () => {
    await server.kubectl(["delete", "crd", "siprouters.siprouter.dev", "pbxbackends.siprouter.dev"]);
    await helm("install", OPERATOR, `charts/${OPERATOR}`);
    const notes = (await helm("get", "notes", OPERATOR)).stdout;
    expect(notes).toContain("serves all namespaces");
    expect(notes).toContain("helm test sip-router-operator --namespace sip-router-system");
    await until(
      "the definitions are served",
      async () => (await server.kubectl(["get", "sipr,pbx", "-A"], { allowFailure: true })).code === 0,
    );
    await tool("helm", ["install", "edge", "charts/sip-router", "-n", "voice", "--kubeconfig", server.kubeconfigPath]);

    await helm("upgrade", OPERATOR, `charts/${OPERATOR}`, "--set", "replicas=3", "--set", "watchNamespaces={voice}");
    const has = async (...what: string[]) =>
      (await server.kubectl(["get", ...what], { allowFailure: true })).code === 0;
    expect(await has("clusterrolebinding", OPERATOR)).toBe(false);
    expect(await has("rolebinding", OPERATOR, "-n", "voice")).toBe(true);
    await helm("rollback", OPERATOR, "1");
    expect(await has("clusterrolebinding", OPERATOR)).toBe(true);
    expect(await has("rolebinding", OPERATOR, "-n", "voice")).toBe(false);

    await helm("uninstall", OPERATOR);
    expect(await has("deployment", OPERATOR, "-n", SYSTEM)).toBe(false);
    expect(await has("clusterrole", OPERATOR)).toBe(false);
    expect(await has("siprouter", "edge", "-n", "voice")).toBe(true);
    // the kept definitions are taken over by the next release of that name
    await helm("install", OPERATOR, `charts/${OPERATOR}`);
    expect(await has("siprouter", "edge", "-n", "voice")).toBe(true);
    await helm("uninstall", OPERATOR);
  });
});
