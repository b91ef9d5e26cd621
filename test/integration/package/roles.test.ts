/** The roles for people, and the policy beside them, on a real API server: who may look, write and operate. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { documents, root } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";

const NAMESPACE = "voice";
let server: TestApiServer;
const accounts: Record<string, string> = {};

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  await server.kubectl(["create", "namespace", NAMESPACE]);
  await server.kubectl(["apply", "-k", path.join(root, "config/rbac/users")]);
  await server.kubectl(["apply", "-n", NAMESPACE, "-k", path.join(root, "config/samples")]);
  for (const role of ["view", "edit", "admin", "sip-operator"]) {
    await server.kubectl(["-n", NAMESPACE, "create", "serviceaccount", role]);
    const bound = [`--clusterrole=${role}`, `--serviceaccount=${NAMESPACE}:${role}`];
    await server.kubectl(["-n", NAMESPACE, "create", "rolebinding", role, ...bound]);
    accounts[role] = await server.serviceAccountKubeconfig(NAMESPACE, role);
  }
});
afterAll(() => server.stop());

const as = async (role: string, ...args: string[]) =>
  server.kubectl([`--kubeconfig=${accounts[role]}`, "-n", NAMESPACE, ...args], { allowFailure: true });
const may = async (role: string, verb: string, resource: string): Promise<boolean> =>
  (await as(role, "auth", "can-i", verb, `${resource}.siprouter.dev`)).stdout.trim() === "yes";

test("who may edit or administer a namespace may write routers and backends there; who may view may look", async () => {
  await until("the roles are part of admin", () => may("admin", "create", "siprouters"));
  await until("the roles are part of edit", () => may("edit", "delete", "pbxbackends"));
  await until("the roles are part of view", () => may("view", "list", "siprouters"));
  for (const role of ["view", "sip-operator"])
    for (const verb of ["create", "update", "delete"]) expect(await may(role, verb, "siprouters")).toBe(false);
  expect(await may("sip-operator", "patch", "pbxbackends")).toBe(true);
});

test("who operates drains and reloads, but does not decide what the pods run", async () => {
  const patch = (role: string, spec: object) =>
    as(role, "patch", "siprouter", "edge", "--type=merge", "-p", JSON.stringify({ spec }));
  const hostPath = { volumes: [{ name: "node", hostPath: { path: "/" } }] };
  const forbidden = [
    { kamailio: { podTemplate: { spec: hostPath } } },
    { kamailio: { image: "registry.example.com/mine:1" } },
    { hostNetwork: true },
  ];
  for (const spec of forbidden)
    await until(`refused: ${JSON.stringify(spec)}`, async () => {
      const { code, stderr } = await patch("sip-operator", spec);
      return code !== 0 && stderr.includes("decide what the pods run");
    });
  expect(await as("sip-operator", "annotate", "siprouter", "edge", "siprouter.dev/reload-requested-at=now")).toMatchObject({ code: 0 }); // prettier-ignore
  const drained = JSON.stringify({ spec: { adminState: "Draining" } });
  expect(await as("sip-operator", "patch", "pbx", "freepbx-1", "--type=merge", "-p", drained)).toMatchObject({ code: 0 }); // prettier-ignore

  expect(await patch("edit", { kamailio: { image: "registry.example.com/mine:1" } })).toMatchObject({ code: 0 });
  // what is there already is no reason to refuse what leaves it as it is
  expect(await patch("sip-operator", { drain: { timeoutSeconds: 60 } })).toMatchObject({ code: 0 });
});

test("the pods of a router pass the strictest level of Pod Security", async () => {
  const objects = documents(readFileSync(path.join(root, "test/golden/samples/objects.yaml"), "utf8"));
  const { spec } = objects.find(({ kind }) => kind === "Deployment") as unknown as {
    spec: { template: { spec: object } };
  };
  const pod = (more: object) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "edge" },
    spec: { ...spec.template.spec, serviceAccountName: "default", ...more },
  });
  await server.kubectl(["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"]);
  const create = async (object: object) =>
    server.kubectl(["-n", NAMESPACE, "create", "--dry-run=server", "-f", "-"], { input: JSON.stringify(object), allowFailure: true }); // prettier-ignore
  expect(await create(pod({}))).toMatchObject({ code: 0, stderr: "" });
  expect((await create(pod({ hostNetwork: true }))).stderr).toContain("violates PodSecurity");
});
