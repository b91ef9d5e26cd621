/**
 * The operator's permissions against what it really does: it runs with the account that config/ makes, through changes of
 * every kind; the API server's own audit log says what it asked for. Nothing is missing, and nothing is granted that is
 * not used, but what `exceptions` explains.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { leaderRules, operatorRules, type Rule } from "../../../hack/manifests/rules.ts";
import { type AuditEvent, startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { type NodeAgent, startNodeAgent } from "../../support/nodeAgent.ts";
import { root } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "../kube/process.ts";

const SYSTEM = "sip-router-system";
const NAME = "sip-router-operator";
const USER = `system:serviceaccount:${SYSTEM}:${NAME}`;

/** Granted, and not seen as a request of its own: "verb resource" -> why. */
const exceptions: Readonly<Record<string, string>> = {
  "update siprouters.siprouter.dev/finalizers":
    "asked for by the admission plugin OwnerReferencesPermissionEnforcement, never as a request; it is on in this test",
};

let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
const folder = mkdtempSync(path.join(tmpdir(), "rbac-"));

beforeAll(async () => {
  server = await startApiServer({
    crds: true,
    audit: true,
    apiServerArgs: ["--enable-admission-plugins=OwnerReferencesPermissionEnforcement"],
  });
  node = await startNodeAgent({
    kubeConfig: server.kubeConfig,
    addresses: ["127.96.20.1", "127.96.20.2", "127.96.20.3", "127.96.20.4"],
    workDir: folder,
  });
  // without its Deployment: the operator runs here
  for (const file of ["namespace", "service-account", "leader-election"])
    await server.kubectl(["apply", "-f", path.join(root, `config/manager/${file}.yaml`)]);
  await server.kubectl(["apply", "-k", path.join(root, "config/rbac/cluster")]);
  operator = await start();
});
afterAll(async () => {
  await operator?.end();
  await node?.stop();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

const start = async (): Promise<OperatorProcess> => {
  const account = await server.serviceAccountKubeconfig(SYSTEM, NAME);
  const process = new OperatorProcess(account, "--leader-elect", "--leader-elect-namespace", SYSTEM);
  await until(
    "the operator has started",
    () => {
      if (process.logged("started")) return true;
      throw new Error(JSON.stringify(process.lines.slice(-3)));
    },
    60_000,
  );
  return process;
};

const apply = async (...objects: object[]): Promise<void> => {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  await server.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], { input });
};
const object = (kind: string, name: string, spec: object) => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind,
  metadata: { name, namespace: "default" },
  spec,
});
const users = { mode: "Digest", realm: "example.com", credentialsSecretName: "users" };
const backend = (spec: object) => object("PbxBackend", "one", { address: "127.96.21.1", port: 5060, ...spec });
const router = (spec: object) =>
  object("SipRouter", "edge", {
    dispatcherSets: [{ name: "pbx", backends: [{ name: "one" }] }],
    drain: { timeoutSeconds: 1 },
    replicas: 1,
    ...spec,
  });
const settled = async (): Promise<void> => {
  await until(
    "the router is Ready with its newest spec",
    async () => {
      const { stdout } = await server.kubectl(["get", "siprouter", "edge", "-o", "json"]);
      const { metadata, status } = JSON.parse(stdout) as {
        metadata: { generation: number };
        status?: { conditions?: { type: string; status: string; message: string; observedGeneration: number }[] };
      };
      const ready = status?.conditions?.find(({ type }) => type === "Ready");
      if (ready?.status === "True" && ready.observedGeneration === metadata.generation) return true;
      throw new Error(ready?.message);
    },
    60_000,
  );
};

/** In RBAC's words. A write that made an object needed `create` too, whatever its verb. */
const permissionsOf = ({ verb, objectRef, responseStatus }: AuditEvent): string[] => {
  if (objectRef?.resource === undefined) return [];
  const { resource, apiGroup, subresource } = objectRef;
  const what = `${resource}${apiGroup ? `.${apiGroup}` : ""}${subresource ? `/${subresource}` : ""}`;
  return responseStatus?.code === 201 && verb === "patch" ? [`patch ${what}`, `create ${what}`] : [`${verb} ${what}`];
};
const granted = (rules: readonly Rule[]): string[] =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => {
        const [name, subresource] = resource.split("/");
        const what = `${name}${group === "" ? "" : `.${group}`}${subresource === undefined ? "" : `/${subresource}`}`;
        return verbs.map((verb) => `${verb} ${what}`);
      }),
    ),
  );
const ofOperator = (): AuditEvent[] => server.auditLog().filter(({ user }) => user.username === USER);

test("everything that is done is granted, and everything that is granted is done", { timeout: 240_000 }, async () => {
  // a router with users and two replicas
  const metadata = { name: "users", namespace: "default" };
  await apply({ apiVersion: "v1", kind: "Secret", metadata, stringData: { "1001": "secret-of-1001" } });
  await apply(
    backend({}),
    router({
      replicas: 2,
      authentication: users,
    }),
  );
  await settled();
  // data: a backend drains; the pods are told of it
  await apply(backend({ adminState: "Draining" }));
  await apply(backend({ adminState: "Enabled" }));
  await settled();
  // a table that is read from its file: the kubelet is made to bring it
  const extensions = (range: string) => ({ name: "pbx", match: { extensions: [range] }, set: "pbx" });
  for (const range of ["1000-1999", "3000-3999"]) {
    await apply(router({ replicas: 2, authentication: users, routes: [extensions(range)] }));
    await settled();
  }
  // replicas that tell each other (nothing resolves the name of their Service here: they do not become ready)
  await apply(router({ replicas: 2, authentication: users, registration: { mode: "Registrar" } }));
  await until("the Service of the replicas", async () =>
    (await server.kubectl(["get", "services", "-o", "name"])).stdout.includes("edge-peers"),
  );
  // structure: another configuration, no peers, one replica; what was for them goes
  await apply(router({ failover: { timeoutSeconds: 3 } }));
  await settled();
  await until("the old objects are gone", async () => {
    const { stdout } = await server.kubectl(["get", "services,pdb", "-o", "name"]);
    return !stdout.includes("edge-peers") && !stdout.includes("poddisruptionbudget");
  });
  await until(
    "the old configurations are gone",
    () => ofOperator().some(({ verb, objectRef }) => verb === "delete" && objectRef?.resource === "configmaps"),
    60_000,
  );
  // the same Event again, and again
  for (const range of ["1000-1999", "2000-2999", "1000-1999"]) {
    const routes = [extensions(range), { ...extensions(range), name: "other" }];
    await apply(router({ failover: { timeoutSeconds: 3 }, routes }));
    await until("it is refused", async () =>
      (
        await server.kubectl([
          "get",
          "siprouter",
          "edge",
          "-o",
          "jsonpath={.status.conditions[?(@.type=='Accepted')].message}",
        ])
      ).stdout.includes(range),
    );
  }
  await apply(router({}));
  await settled();
  // a second life, with everything there
  await operator.end();
  operator = await start();
  await server.kubectl(["delete", "deployment", "edge"]);
  await settled();
  await server.kubectl(["delete", "siprouter", "edge"]);

  const events = ofOperator();
  const refused = events.filter(({ responseStatus }) => responseStatus?.code === 403);
  expect(refused.map((event) => permissionsOf(event)[0])).toEqual([]);
  const done = new Set(events.flatMap(permissionsOf));
  const rules = new Set(granted([...operatorRules, ...leaderRules(NAME)]));
  expect([...done].filter((one) => !rules.has(one)).toSorted()).toEqual([]);
  const unused = [...rules].filter((one) => !done.has(one) && !Object.hasOwn(exceptions, one));
  expect(unused.toSorted()).toEqual([]);
  // an exception that is none any more
  expect(Object.keys(exceptions).filter((one) => done.has(one) || !rules.has(one))).toEqual([]);
});
