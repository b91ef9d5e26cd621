/** config/ by the real kustomize: applied to the real API server, and compared with what Helm gives. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { documents, helmTemplate, root } from "../../support/package/tools.ts";

const config = (folder: string): string => path.join(root, "config", folder);
let server: TestApiServer;
beforeAll(async () => {
  server = await startApiServer();
});
afterAll(() => server.stop());

const kustomize = async (folder: string): Promise<RawObject[]> =>
  documents((await server.kubectl(["kustomize", config(folder)])).stdout);
const id = ({ kind, metadata }: RawObject): string => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
const sorted = (objects: readonly RawObject[]): readonly RawObject[] =>
  objects.toSorted((a, b) => (id(a) < id(b) ? -1 : 1));

/** What only one of the two ways can know: the release in labels, Helm's hint to keep an object. */
const bare = ({ metadata, ...rest }: RawObject): unknown => {
  const labels = Object.entries(metadata.labels ?? {}).filter(([name]) => name.startsWith("rbac."));
  const { namespace, name } = metadata;
  return { ...rest, metadata: { name, ...(namespace ? { namespace } : {}), labels: Object.fromEntries(labels) } };
};

test("Helm and kustomize give the same, but for the labels of the release", async () => {
  const helm = await helmTemplate("sip-router-operator", { test: { enabled: false } });
  const kustomized = (await kustomize("default")).filter(({ kind }) => kind !== "Namespace");
  expect(kustomized.length).toBeGreaterThan(10);
  expect(sorted(kustomized).map(id)).toEqual(sorted(helm).map(id));
  expect(sorted(kustomized).map(bare)).toEqual(sorted(helm).map(bare));
});

test("one namespace: the same rules by Helm and by config/rbac/namespaced", async () => {
  const helm = await helmTemplate("sip-router-operator", { watchNamespaces: ["voice"] });
  const inVoice = helm.find(({ kind, metadata }) => kind === "Role" && metadata.namespace === "voice");
  const role = (await kustomize("rbac/namespaced")).find(({ kind }) => kind === "Role");
  expect(role?.["rules"]).toEqual(inVoice?.["rules"]);
});

test("metrics by HTTPS: the same permissions by Helm and by config/metrics", async () => {
  const plain = new Set((await helmTemplate("sip-router-operator", {})).map(id));
  const helm = await helmTemplate("sip-router-operator", { metrics: { secure: { enabled: true } } });
  const added = helm.filter((object) => !plain.has(id(object)));
  const kustomized = await kustomize("metrics");
  expect(kustomized).toHaveLength(3);
  expect(sorted(kustomized).map(bare)).toEqual(sorted(added).map(bare));
});

test("install.yaml is what config/default gives", async () => {
  const file = documents(readFileSync(path.join(root, "config/install.yaml"), "utf8"));
  expect(sorted(file)).toEqual(sorted(await kustomize("default")));
});

test("the API server takes it: install.yaml, the folders, the samples", async () => {
  const apply = async (...what: string[]) => server.kubectl(["apply", "--server-side", "--validate=strict", ...what]);
  const first = await apply("-f", config("install.yaml"));
  expect(first.stderr).toBe("");
  await server.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "-f", path.join(root, "crds")]);
  // the same again by folder: nothing is different, and nobody else owns a field
  const again = await apply("-k", config("default"));
  expect(again.stdout.trim().split("\n")).toHaveLength(first.stdout.trim().split("\n").length);
  await server.kubectl(["create", "namespace", "voice"]);
  await apply("-k", config("samples"), "-n", "voice");
  expect((await server.kubectl(["get", "sip", "-n", "voice", "-o", "name"])).stdout.trim().split("\n")).toHaveLength(8);
  for (const folder of ["crd", "rbac/users", "rbac/cluster"]) await apply("-k", config(folder));
});
