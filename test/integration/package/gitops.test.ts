/**
 * Argo CD and Flux: the health scripts and actions run by the Lua interpreter that Argo CD embeds, readiness by the kstatus
 * library; on fixtures of each state, and on what the operator really writes. Nothing it does shows as drift.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { load } from "js-yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { type NodeAgent, startNodeAgent } from "../../support/nodeAgent.ts";
import { documents, root, tool } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "../kube/process.ts";

const argocd = path.join(root, "config/argocd");
const kinds = ["SipRouter", "PbxBackend"] as const;
type Kind = (typeof kinds)[number];
const read = (file: string): string => readFileSync(path.join(argocd, file), "utf8");
const configMap = load(read("argocd-cm.yaml")) as { data: Record<string, string> };

interface Customization {
  readonly "discovery.lua": string;
  readonly definitions: readonly { readonly name: string; readonly "action.lua": string }[];
}
/** As Argo CD reads its ConfigMap. */
const healthOf = (kind: Kind): string => configMap.data[`resource.customizations.health.siprouter.dev_${kind}`] ?? "";
const actionsOf = (kind: Kind): Customization =>
  load(configMap.data[`resource.customizations.actions.siprouter.dev_${kind}`] ?? "") as Customization;

const lua = async (requests: readonly { script: string; obj: unknown }[]): Promise<unknown[]> => {
  const { stdout } = await tool("argocd-lua", [], { input: JSON.stringify(requests) });
  return (JSON.parse(stdout) as { value?: unknown; error?: string }[]).map(({ value, error }) => value ?? { error });
};
const healths = async (objects: readonly RawObject[]) =>
  lua(objects.map((obj) => ({ script: healthOf(obj.kind as Kind), obj })));
const kstatus = async (objects: readonly RawObject[]): Promise<{ status: string; message: string }[]> =>
  JSON.parse((await tool("kstatus", [], { input: JSON.stringify(objects) })).stdout);

const fixtures = (kind: Kind): { name: string; obj: RawObject; health: object }[] => {
  const folder = `siprouter.dev/${kind}`;
  const { tests } = load(read(`${folder}/health_test.yaml`)) as {
    tests: { healthStatus: object; inputPath: string }[];
  };
  return tests.map(({ healthStatus, inputPath }) => ({
    name: path.basename(inputPath, ".yaml"),
    obj: load(read(`${folder}/${inputPath}`)) as RawObject,
    health: healthStatus,
  }));
};
const fixture = (kind: Kind, name: string): RawObject =>
  fixtures(kind).find((one) => one.name === name)?.obj as RawObject;

describe("Argo CD on fixtures", () => {
  test.each(kinds)("%s: the health of each state, with its message", async (kind) => {
    const all = fixtures(kind);
    expect(all.length).toBe(readdirSync(path.join(argocd, `siprouter.dev/${kind}/testdata`)).length);
    const found = await healths(all.map(({ obj }) => obj));
    expect(Object.fromEntries(all.map(({ name }, at) => [name, found[at]]))).toEqual(
      Object.fromEntries(all.map(({ name, health }) => [name, health])),
    );
  });

  test("reload changes one annotation, drain and undrain one field", async () => {
    const run = async (kind: Kind, name: string, obj: RawObject): Promise<unknown> => {
      const script = actionsOf(kind).definitions.find((one) => one.name === name)?.["action.lua"] ?? "";
      return (await lua([{ script, obj }]))[0];
    };
    const router = fixture("SipRouter", "healthy");
    const stamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(await run("SipRouter", "reload", router)).toEqual({
      ...router,
      metadata: { ...router.metadata, annotations: { "siprouter.dev/reload-requested-at": stamp } },
    });
    const backend = fixture("PbxBackend", "healthy");
    const spec = backend.spec as object;
    const drained = { ...backend, spec: { ...spec, adminState: "Draining" } };
    expect(await run("PbxBackend", "drain", backend)).toEqual(drained);
    expect(await run("PbxBackend", "undrain", drained)).toEqual(backend);
  });

  test("only what makes sense now can be clicked; every action that is shown exists", async () => {
    const discover = async (kind: Kind, name: string) =>
      (await lua([{ script: actionsOf(kind)["discovery.lua"], obj: fixture(kind, name) }]))[0] as Record<
        string,
        { disabled?: boolean }
      >;
    const disabled = async (name: string): Promise<string[]> =>
      Object.entries(await discover("PbxBackend", name)).flatMap(([action, one]) => (one.disabled ? [action] : []));
    expect(await disabled("healthy")).toEqual(["undrain"]);
    expect(await disabled("draining")).toEqual(["drain"]);
    expect(await disabled("disabled")).toEqual([]);
    for (const kind of kinds)
      expect(Object.keys(await discover(kind, "healthy")).toSorted()).toEqual(
        actionsOf(kind)
          .definitions.map(({ name }) => name)
          .toSorted(),
      );
  });
});

describe("Flux (kstatus) on fixtures", () => {
  test("Current only when Ready with the newest spec", async () => {
    const all = kinds.flatMap(fixtures);
    const found = await kstatus(all.map(({ obj }) => obj));
    const current = all.flatMap(({ obj, name }, at) =>
      found[at]?.status === "Current" ? [`${obj.kind} ${name}`] : [],
    );
    const ready = all.flatMap(({ obj, name }) => {
      const status = obj.status as
        | { observedGeneration: number; conditions?: { type: string; status: string }[] }
        | undefined;
      const isReady = status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
      return isReady && status?.observedGeneration === obj.metadata.generation ? [`${obj.kind} ${name}`] : [];
    });
    // an object that has no status at all yet is not of the API server: it fills in observedGeneration -1
    expect(current.filter((one) => !one.endsWith("no-status"))).toEqual(ready);
    expect(ready).toContain("SipRouter set-down");
    // what only an edit can mend ends the wait
    const failed = all.flatMap(({ name }, at) => (found[at]?.status === "Failed" ? [name] : []));
    expect(failed).toEqual(["route-conflict", "not-accepted"]);
  });
});

describe("on a cluster", () => {
  const MANAGER = "argocd-controller";
  const folder = mkdtempSync(path.join(tmpdir(), "gitops-"));
  let server: TestApiServer;
  let node: NodeAgent;
  let operator: OperatorProcess;
  const samples = (): string =>
    ["backends", "router"]
      .map((file) => readFileSync(path.join(root, `config/samples/${file}.yaml`), "utf8"))
      .join("---\n")
      .replaceAll(/192\.168\.(\d)\./g, "127.96.$1.");
  const apply = async (input: string, ...more: string[]) =>
    server.kubectl(["apply", "--server-side", `--field-manager=${MANAGER}`, ...more, "-f", "-"], { input });
  const list = async (): Promise<RawObject[]> =>
    documents((await server.kubectl(["get", "sipr,pbx", "-o", "yaml", "--show-managed-fields"])).stdout).flatMap(
      (one) => (one as { items?: RawObject[] }).items ?? [],
    );

  beforeAll(async () => {
    server = await startApiServer({ crds: true });
    node = await startNodeAgent({
      kubeConfig: server.kubeConfig,
      addresses: ["127.96.10.1", "127.96.10.2"],
      workDir: folder,
    });
    operator = await new OperatorProcess(server.kubeconfigPath).started();
  });
  afterAll(async () => {
    await operator?.end();
    await node?.stop();
    await server?.stop();
    rmSync(folder, { recursive: true });
  });

  test("everything becomes Healthy and Current; a second sync changes nothing", { timeout: 120_000 }, async () => {
    await apply(samples());
    const synced = await list();
    expect(synced).toHaveLength(8);
    await until(
      "every object is Healthy",
      async () => (await healths(await list())).every((one) => (one as { status: string }).status === "Healthy"),
      90_000,
    );
    const after = await list();
    expect((await kstatus(after)).map(({ status }) => status)).toEqual(after.map(() => "Current"));
    expect(after.map(({ spec }) => spec)).toEqual(synced.map(({ spec }) => spec));

    // what Argo CD compares: the objects now, and as they would be after another sync
    const diff = await server.kubectl(["diff", "--server-side", `--field-manager=${MANAGER}`, "-f", "-"], {
      input: samples(),
      allowFailure: true,
    });
    expect(diff).toMatchObject({ code: 0, stdout: "" });
    const versions = (objects: RawObject[]) => objects.map(({ metadata }) => [metadata.name, metadata.generation]);
    await apply(samples());
    expect(versions(await list())).toEqual(versions(after));

    // and nobody but the one who syncs owns a field of spec, labels or annotations
    interface Managed {
      readonly manager: string;
      readonly subresource?: string;
      readonly fieldsV1: object;
    }
    const owners = after.flatMap(({ metadata }) =>
      ((metadata as unknown as { managedFields: Managed[] }).managedFields ?? []).map(({ manager, subresource = "" }) =>
        `${manager} ${subresource}`.trim(),
      ),
    );
    expect([...new Set(owners)].toSorted()).toEqual([MANAGER, "sip-router-operator status"]);
  });

  test("actions on the live object: drain shows as Suspended, reload is asked for", { timeout: 90_000 }, async () => {
    const live = async (kind: Kind, name: string): Promise<RawObject> =>
      JSON.parse((await server.kubectl(["get", kind, name, "-o", "json"])).stdout) as RawObject;
    const act = async (kind: Kind, name: string, action: string): Promise<void> => {
      const obj = await live(kind, name);
      const script = actionsOf(kind).definitions.find((one) => one.name === action)?.["action.lua"] ?? "";
      const [changed] = await lua([{ script, obj }]);
      const { spec, metadata } = changed as RawObject;
      // a merge patch of the difference, as Argo CD sends it
      const body = { spec, metadata: { annotations: metadata.annotations ?? {} } };
      await server.kubectl(["patch", kind, name, "--type=merge", "-p", JSON.stringify(body)]);
    };
    const health = async (kind: Kind, name: string) => (await healths([await live(kind, name)]))[0];
    await act("PbxBackend", "freepbx-1", "drain");
    await until(
      "it is suspended",
      async () => ((await health("PbxBackend", "freepbx-1")) as { status: string }).status === "Suspended",
    );
    await act("PbxBackend", "freepbx-1", "undrain");
    await until(
      "it is back",
      async () => ((await health("PbxBackend", "freepbx-1")) as { status: string }).status === "Healthy",
    );
    await act("SipRouter", "edge", "reload");
    const { metadata } = await live("SipRouter", "edge");
    expect(metadata.annotations?.["siprouter.dev/reload-requested-at"]).toMatch(/Z$/);
    await until(
      "it is Healthy",
      async () => ((await health("SipRouter", "edge")) as { status: string }).status === "Healthy",
    );
  });

  test(
    "a spec that is refused is Degraded, with the reason; corrected, it is Healthy again",
    { timeout: 90_000 },
    async () => {
      const broken = samples().replace('extensions: ["2000-2999"]', 'extensions: ["1000-1999"]');
      await apply(broken, "--force-conflicts");
      const health = async () => (await healths((await list()).filter(({ kind }) => kind === "SipRouter")))[0];
      const degraded = await until("it is Degraded", async () => {
        const one = (await health()) as { status: string; message: string };
        return one.status === "Degraded" && one;
      });
      expect(degraded.message).toContain("1000-1999");
      const [failed] = await kstatus((await list()).filter(({ kind }) => kind === "SipRouter"));
      expect(failed?.status).toBe("Failed");
      await apply(samples(), "--force-conflicts");
      await until("it is Healthy", async () => ((await health()) as { status: string }).status === "Healthy");
    },
  );
});

test("the examples: what they name exists", () => {
  const all = readdirSync(argocd)
    .filter((file) => /^application.*\.yaml$/.test(file))
    .flatMap((file) => documents(read(file)));
  expect(all.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "Application sip-router-operator",
    "Application voice",
    "ApplicationSet regions",
    "ApplicationSet tenants",
  ]);
  const text = JSON.stringify(all);
  // an Application of a project that does not exist, or that does not let it in, is never synced
  const [project] = documents(read("appproject.yaml")) as unknown as { metadata: { name: string }; spec: { sourceRepos: string[] } }[]; // prettier-ignore
  const named = new Set([...text.matchAll(/"project":"([^"]+)"/g)].map(([, name]) => name));
  expect([...named].toSorted()).toEqual(["default", project?.metadata.name]);
  for (const one of all.filter(({ kind }) => kind === "ApplicationSet"))
    for (const [, repository] of JSON.stringify(one).matchAll(/"repoURL":"([^"]+)"/g))
      expect(project?.spec.sourceRepos).toContain(repository);
  const charts = [...text.matchAll(/"chart":"([^"]+)","targetRevision":"([^"]+)"/g)].map(([, name, version]) => ({
    name,
    version,
  }));
  expect(charts.length).toBeGreaterThan(1);
  for (const { name, version } of charts)
    expect(load(readFileSync(path.join(root, `charts/${name}/Chart.yaml`), "utf8"))).toMatchObject({ name, version });
});
