/** A PBX that registers with a router in a cluster: a real API server, the operator as a program of its own, two pods. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PbxBackendStatus, RawObject, SipRouterStatus } from "../../../src/api/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { callOnce, request } from "../../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "./process.ts";

const PODS = ["127.61.1.1", "127.61.1.2", "127.61.1.3"];
const folder = mkdtempSync(join(tmpdir(), "pbx-registration-"));
let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
let pbx: SipPeer, phone: SipPeer;

const manifest = `
apiVersion: v1
kind: Secret
metadata: {name: pbx-1}
stringData: {password: secret}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx-1}
spec: {registration: {username: pbx-1, secretName: pbx-1}}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  dispatcherSets: [{name: pbx, backends: [{name: pbx-1}]}]
  routes: [{name: extensions, match: {extensions: ["1000-1999"]}, set: pbx}]
  healthCheck: {intervalSeconds: 1, timeoutSeconds: 1}
  drain: {timeoutSeconds: 1}
`;

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  [pbx, phone] = await Promise.all([
    SipPeer.listen({ host: "127.61.2.1", port: 5060 }),
    SipPeer.listen({ host: "127.61.2.20", port: 5070 }),
  ]);
});
afterAll(async () => {
  await operator.end();
  await node.stop();
  await server.stop();
  for (const peer of [pbx, phone]) await peer.close();
  rmSync(folder, { recursive: true });
});

const get = async (kind: string, name: string): Promise<RawObject> =>
  JSON.parse((await server.kubectl(["get", kind, name, "-o", "json"])).stdout) as RawObject;
const backend = async (): Promise<PbxBackendStatus> =>
  ((await get("pbxbackend", "pbx-1")).status ?? {}) as PbxBackendStatus;
const ready = async () => (await backend()).conditions?.find(({ type }) => type === "Ready");
const endpoints = async () => ((await backend()).endpoints ?? []).map(({ address, port }) => `${address}:${port}`);

let cseq = 0;
async function register(host: string, expires: number, password = "secret"): Promise<number> {
  const input = {
    method: "REGISTER",
    uri: `sip:${host}`,
    from: "<sip:pbx-1@example.com>;tag=1",
    to: "<sip:pbx-1@example.com>",
    contact: `<sip:pbx-1@${pbx.host}:${pbx.port}>`,
    callId: "pbx-1",
  };
  const lifetime: [string, string] = ["Expires", String(expires)];
  const at = { host, port: 5060 };
  const refused = await (await request(pbx, at, { ...input, cseq: (cseq += 1), fields: [lifetime] })).final();
  const login = { user: "pbx-1", password };
  const fields = [lifetime, credentialsFor(401, challengeIn(refused), login, "REGISTER", input.uri)];
  return (await (await request(pbx, at, { ...input, cseq: (cseq += 1), fields })).final()).status ?? 0;
}

test("its contact is the destination in every pod, over a restart of the operator too, and gone when it unregisters", async () => {
  await server.kubectl(["apply", "-f", "-"], { input: manifest });
  const pods = await until("two pods are in sync", async () => {
    const { pods: all = [] } = ((await get("siprouter", "edge")).status ?? {}) as SipRouterStatus;
    return all.length === 2 && all.every(({ state }) => state === "InSync") ? all : undefined;
  });
  const ips = await Promise.all(
    pods.map(async ({ name }) => ((await get("pod", name)).status as { podIP: string }).podIP),
  );
  const [first = "", second = ""] = ips;
  await until("nobody is registered", async () => (await ready())?.reason === "NotRegistered");
  expect(await register(first, 120, "guess")).toBe(401);
  expect(await register(first, 120)).toBe(200);
  const status = async (host: string): Promise<number> => (await callOnce(phone, { host, port: 5060 }, "1001")).status;
  for (const host of [first, second]) await until(`calls through ${host}`, async () => (await status(host)) === 200);
  await until("the status says where", async () => (await endpoints()).join() === `${pbx.host}:5060`);
  expect(await ready()).toMatchObject({ status: "True" });

  await operator.end();
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  const refused: number[] = [];
  const end = Date.now() + 4000;
  while (Date.now() < end) {
    const answer = await status(second);
    if (answer !== 200) refused.push(answer);
  }
  expect(refused).toEqual([]);
  expect(await endpoints()).toEqual([`${pbx.host}:5060`]);

  expect(await register(second, 0)).toBe(200);
  for (const host of [first, second]) await until(`none through ${host}`, async () => (await status(host)) === 503);
  await until("the status says so", async () => (await ready())?.reason === "NotRegistered");
  expect(await endpoints()).toEqual([]);
}, 120_000);

test("while its router gets users of each domain, it is refused by no pod and stays a destination", async () => {
  const users = (name: string): object => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name },
    stringData: { "1001": "secret" },
  });
  const apply = async (object: object): Promise<unknown> =>
    server.kubectl(["apply", "--server-side", "-f", "-"], { input: JSON.stringify(object) });
  const login = async (authentication: object): Promise<void> => {
    const patch = JSON.stringify({ spec: { registration: { mode: "Registrar" }, authentication } });
    await server.kubectl(["patch", "siprouter", "edge", "--type=merge", "-p", patch]);
  };
  const podsNow = async (): Promise<readonly RawObject[]> => {
    const { items } = JSON.parse((await server.kubectl(["get", "pods", "-o", "json"])).stdout) as {
      items: readonly RawObject[];
    };
    return items.filter(({ metadata, status }) => {
      const { conditions = [] } = (status ?? {}) as { conditions?: { type: string; status: string }[] };
      const isReady = conditions.some((one) => one.type === "Ready" && one.status === "True");
      return metadata.deletionTimestamp === undefined && isReady;
    });
  };
  const ipOf = ({ status }: RawObject): string => (status as { podIP: string }).podIP;
  const rolled = async (before: readonly RawObject[]): Promise<boolean> => {
    const old = new Set(before.map(({ metadata }) => metadata.uid));
    const now = await podsNow();
    return now.length === 2 && now.every(({ metadata }) => !old.has(metadata.uid));
  };

  let pods = await podsNow();
  for (const name of ["users", "users-a"]) await apply(users(name));
  await login({ mode: "Digest", realm: "example.org", credentialsSecretName: "users", domains: null });
  await until("the router asks its users", () => rolled(pods), 60_000);
  pods = await podsNow();
  expect(await register(ipOf(pods[0] as RawObject), 120)).toBe(200);
  await until("it is a destination", async () => (await endpoints()).length === 1);

  await login({
    realm: null,
    credentialsSecretName: null,
    domains: [{ domain: "a.example.com", credentialsSecretName: "users-a" }],
  });
  const answers: number[] = [];
  const places: string[] = [];
  await until(
    "each domain has its users",
    async () => {
      for (const pod of await podsNow()) {
        const answer = await register(ipOf(pod), 120).catch(() => undefined);
        // what a pod that ends meanwhile says, or does not, counts for nothing
        const stays = (await podsNow()).some(({ metadata }) => metadata.uid === pod.metadata.uid);
        if (stays) answers.push(answer ?? 0);
      }
      places.push((await endpoints()).join());
      return rolled(pods);
    },
    60_000,
  );
  expect([new Set(answers), new Set(places)]).toEqual([new Set([200]), new Set([`${pbx.host}:5060`])]);
}, 180_000);
