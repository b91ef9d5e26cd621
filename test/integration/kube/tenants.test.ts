/** Users of several domains on a real API server: each of their own Secret, which come, change and go without a restart. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { startNodeAgent, type NodeAgent } from "../../support/nodeAgent.ts";
import { callOnce, request } from "../../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "./process.ts";

const [A, B, C] = ["a.example.com", "b.example.com", "c.example.com"];
let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
let pbx: SipPeer, phoneA: SipPeer, phoneB: SipPeer;
const folder = mkdtempSync(join(tmpdir(), "tenants-test-"));

const apply = (...objects: readonly object[]) =>
  server.kubectl(["apply", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }) });
const read = async (...what: readonly string[]): Promise<RawObject & { items: readonly RawObject[] }> =>
  JSON.parse((await server.kubectl(["get", ...what, "-o", "json"])).stdout) as RawObject & { items: RawObject[] };
const secret = (name: string, stringData: Readonly<Record<string, string>>): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name },
  stringData,
});
const siprouter = { apiVersion: "siprouter.dev/v1alpha1" };
const nameOf = (domain: string): string => domain.replaceAll(".", "-");
const loginOf = (...domains: readonly string[]): object => ({
  mode: "Digest",
  domains: domains.map((domain) => ({ domain, credentialsSecretName: nameOf(domain) })),
});
const alone = { mode: "Digest", realm: A, credentialsSecretName: nameOf(A) };
const routerOf = (authentication: object, ...domains: readonly string[]): object => ({
  ...siprouter,
  kind: "SipRouter",
  metadata: { name: "shared" },
  spec: {
    authentication,
    registration: { mode: "Registrar" },
    dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx" }] }],
    routes: domains.map((domain, at) => ({
      name: `r${at}`,
      match: { domains: [domain], extensions: ["1000-1999"] },
      set: "pbx",
    })),
    drain: { timeoutSeconds: 0 },
  },
});
const usersOf = (domain: string, password: string): object => secret(nameOf(domain), { "1001": password });

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  const addresses = ["127.21.31.1", "127.21.31.2", "127.21.31.3", "127.21.31.4"];
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses, workDir: join(folder, "node") });
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  pbx = await SipPeer.listen({ host: "127.21.32.1", port: 5060 });
  phoneA = await SipPeer.listen({ host: "127.21.32.20", port: 5070 });
  phoneB = await SipPeer.listen({ host: "127.21.32.21", port: 5070 });
}, 150_000);
afterAll(async () => {
  for (const peer of [phoneA, phoneB, pbx]) await peer?.close();
  await operator?.end();
  await node?.stop();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function register(phone: SipPeer, host: string, domain: string, password: string): Promise<number> {
  const own = `sip:1001@${domain}`;
  const callId = `register-${Math.random()}`;
  const input = { method: "REGISTER", uri: `sip:${domain}`, from: `<${own}>;tag=1`, to: `<${own}>`, callId };
  const contact = `<sip:1001@${phone.host}:${phone.port}>`;
  const refused = await (await request(phone, { host, port: 5060 }, { ...input, contact })).final();
  if (refused.status !== 401) return refused.status ?? 0;
  const fields = [credentialsFor(401, challengeIn(refused), { user: "1001", password }, "REGISTER", input.uri)];
  const again = { ...input, contact, cseq: 2, fields };
  return (await (await request(phone, { host, port: 5060 }, again)).final()).status ?? 0;
}

const rings = async (phone: SipPeer, host: string, domain: string): Promise<boolean> => {
  const before = phone.calls.length;
  const { status } = await callOnce(pbx, { host, port: 5060 }, "1001", { uri: `sip:1001@${domain}` });
  return status === 200 && phone.calls.length > before;
};

const condition = async (type: string): Promise<{ status: string; reason: string; message: string } | undefined> => {
  const { status } = (await read("siprouter", "shared")) as unknown as {
    status?: { conditions?: readonly { type: string; status: string; reason: string; message: string }[] };
  };
  return status?.conditions?.find((one) => one.type === type);
};

const isReady = async (): Promise<boolean> => {
  const { metadata, status } = (await read("siprouter", "shared")) as RawObject & {
    status?: { observedGeneration?: number };
  };
  return status?.observedGeneration === metadata.generation && (await condition("Ready"))?.status === "True";
};
const podsNow = async (): Promise<readonly RawObject[]> =>
  (await read("pods")).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
const uidsOf = (pods: readonly RawObject[]): readonly (string | undefined)[] =>
  pods.map(({ metadata }) => metadata.uid).toSorted();
const hostsOf = (pods: readonly RawObject[]): readonly string[] =>
  pods.map(({ status }) => (status as { podIP: string }).podIP);

test("a router gets domains, and its pods are replaced once", async () => {
  await apply(
    usersOf(A, "first"),
    usersOf(B, "other"),
    { ...siprouter, kind: "PbxBackend", metadata: { name: "pbx" }, spec: { address: pbx.host } },
    routerOf(alone, A),
  );
  await until("the router is Ready", isReady, 120_000);
  const before = await podsNow();
  for (const host of hostsOf(before)) expect(await register(phoneA, host, A, "first")).toBe(200);
  await apply(routerOf(loginOf(A, B), A, B));
  await until("it is Ready again", async () => (await isReady()) && (await podsNow()).length === 2, 120_000);
  expect(uidsOf(await podsNow())).not.toEqual(uidsOf(before));
  for (const host of hostsOf(await podsNow())) {
    expect(await register(phoneA, host, A, "first")).toBe(200);
    expect(await register(phoneB, host, B, "other")).toBe(200);
  }
}, 240_000);

test("each domain has the users of its Secret; tenants come, change and go, and one that is broken keeps its own", async () => {
  const pods = await podsNow();
  const ips = hostsOf(pods);
  const [one = "", two = ""] = ips;
  expect(ips).toHaveLength(2);
  expect(await register(phoneA, one, A, "first")).toBe(200);
  expect(await register(phoneB, one, B, "other")).toBe(200);
  expect(await register(phoneB, one, B, "first")).toBe(401);
  for (const host of ips)
    await until(`both are called at ${host}`, async () => (await rings(phoneA, host, A)) && rings(phoneB, host, B));

  await apply(usersOf(B, "second"));
  for (const host of ips)
    await until(`the new password counts at ${host}`, async () => (await register(phoneB, host, B, "second")) === 200);

  // its Secret is gone: its users stay, and those of the other change
  await server.kubectl(["delete", "secret", "b-example-com"]);
  await until("it is told", async () => (await condition("ResolvedRefs"))?.reason === "SecretNotFound");
  expect((await condition("ResolvedRefs"))?.message).toContain(
    "spec.authentication.domains[1].credentialsSecretName: Secret default/b-example-com does not exist",
  );
  await apply(usersOf(A, "new"));
  await until("the password of the other counts", async () => (await register(phoneA, two, A, "new")) === 200);
  expect(await register(phoneB, two, B, "second")).toBe(200);

  await apply(usersOf(C, "third"), routerOf(loginOf(A, C), A, C));
  await until("a tenant has come", async () => (await register(phoneB, one, C, "third")) === 200);
  expect(await register(phoneB, one, B, "second")).toBe(403);
  expect(await rings(phoneB, one, B)).toBe(false);
  expect(await rings(phoneA, one, A)).toBe(true);
  await until("nothing is missing", isReady);
  expect(uidsOf(await podsNow())).toEqual(uidsOf(pods));
}, 240_000);
