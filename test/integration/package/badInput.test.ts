/** Definitions and permissions that are missing or old: the operator says which, waits, and changes nothing meanwhile. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { dump, load } from "js-yaml";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { documents, root } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "../kube/process.ts";

const SYSTEM = "sip-router-system";
let server: TestApiServer;
const running: OperatorProcess[] = [];
beforeAll(async () => {
  server = await startApiServer();
  await server.kubectl(["apply", "-k", path.join(root, "config/manager")]);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.end()));
});
afterAll(() => server.stop());

const operator = async (): Promise<OperatorProcess> => {
  const account = await server.serviceAccountKubeconfig(SYSTEM, "sip-router-operator");
  const process = new OperatorProcess(account, "--leader-elect", "--leader-elect-namespace", SYSTEM);
  running.push(process);
  return process;
};
const notReady = async (process: OperatorProcess, text: RegExp): Promise<string> =>
  until(`not ready: ${text.source}`, async () => {
    const { status, text: body } = await process.get("/readyz");
    return status === 503 && text.test(body) && body;
  });
const becomesReady = async (process: OperatorProcess): Promise<void> => {
  await process.started();
  await until("it is ready", async () => (await process.get("/readyz")).status === 200);
};
/** What a chart or a person would have left: nothing here is the operator's to change. */
const owned = async (): Promise<string> =>
  (await server.kubectl(["get", "deployments,configmaps,services,secrets", "-n", "voice", "-o", "name"])).stdout
    .split("\n")
    .filter((line) => line !== "" && !line.includes("kube-root-ca"))
    .join("\n");

test("no definitions: named with the remedy, and it starts once they are there", async () => {
  await server.kubectl(["apply", "-k", path.join(root, "config/rbac/cluster")]);
  const process = await operator();
  const body = await notReady(process, /siprouters\.siprouter\.dev/);
  expect(body).toContain("The API server does not serve siprouters.siprouter.dev");
  expect((await process.get("/healthz")).status).toBe(200);
  expect(process.logged("started")).toBeUndefined();
  expect(JSON.stringify(await process.complaint("warn"))).toContain("kubectl apply -f crds/");
  await server.installCrds();
  await becomesReady(process);
});

test("no permissions: verb, resource and remedy are named, and nothing is written", async () => {
  await server.kubectl(["delete", "--ignore-not-found", "-k", path.join(root, "config/rbac/cluster")]);
  await server.kubectl(["create", "namespace", "voice"], { allowFailure: true });
  await server.kubectl(["apply", "-n", "voice", "-k", path.join(root, "config/samples")]);
  const process = await operator();
  const body = await notReady(process, /Not allowed to list deployments\.apps in all namespaces/);
  expect(body).toContain("Not allowed to list siprouters.siprouter.dev");
  await process.complaint("warn", "config/rbac has the full set of permissions");
  expect(await owned()).toBe("");
  await server.kubectl(["apply", "-k", path.join(root, "config/rbac/cluster")]);
  await becomesReady(process);
  await until("the router is served", async () => (await owned()).includes("deployment.apps/edge"));
});

test("an older definition: it does not start, says which fields are missing, and leaves everything as it is", async () => {
  const file = path.join(root, "crds/siprouter.dev_siprouters.yaml");
  const definition = load(readFileSync(file, "utf8")) as {
    spec: { versions: { schema: { openAPIV3Schema: { properties: Record<string, Fields> } } }[] };
  };
  interface Fields {
    properties: Record<string, Fields>;
    items?: Fields;
  }
  const { spec: fields, status } = definition.spec.versions[0]?.schema.openAPIV3Schema.properties ?? {};
  delete fields?.properties["mediaProxy"];
  delete status?.properties["pods"]?.items?.properties["message"];
  const old = path.join(mkdtempSync(path.join(tmpdir(), "old-crd-")), "crd.yaml");
  writeFileSync(old, dump(definition));
  const made = async (): Promise<unknown> =>
    documents(
      (await server.kubectl(["get", "deployment,configmap,service,pdb", "-n", "voice", "-o", "yaml"])).stdout,
    ).map((list) =>
      (list as { items?: { kind: string; spec?: unknown; data?: unknown }[] }).items?.map(({ kind, spec, data }) => ({
        kind,
        spec,
        data,
      })),
    );

  await server.kubectl(["replace", "-f", old]);
  const before = await until("the old definition is served", async () => {
    const { stdout } = await server.kubectl(["get", "--raw", "/openapi/v3/apis/siprouter.dev/v1alpha1"]);
    return !stdout.includes("mediaProxy") && made();
  });
  const process = await operator();
  const body = await notReady(process, /older version/);
  expect(body).toContain("siprouters.siprouter.dev (spec.mediaProxy, status.pods[].message)");
  expect(body).not.toContain("pbxbackends");
  expect(await process.complaint("error")).toMatchObject({
    code: "SIPR_CRD_MISSING",
    remedy: expect.stringContaining("kubectl apply -f crds/"),
  });
  // a change that it would act upon
  await server.kubectl(["scale", "siprouter", "edge", "-n", "voice", "--replicas", "3"]);
  await notReady(process, /older version/);
  expect(process.logged("started")).toBeUndefined();
  expect(await made()).toEqual(before);

  await server.kubectl(["replace", "-f", file]);
  await becomesReady(process);
  await until("the change is carried out", async () => {
    const { stdout } = await server.kubectl([
      "get",
      "deployment",
      "edge",
      "-n",
      "voice",
      "-o",
      "jsonpath={.spec.replicas}",
    ]);
    return stdout === "3";
  });
});
