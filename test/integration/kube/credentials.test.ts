/** Users from a Secret on a real API server: rolled out, changed without a restart, quiet when nothing changes. */
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

const PODS = ["127.21.1.1", "127.21.1.2", "127.21.1.3", "127.21.1.4"];
let server: TestApiServer;
let node: NodeAgent;
let operator: OperatorProcess;
let phone: SipPeer, pbx: SipPeer;
const folder = mkdtempSync(join(tmpdir(), "credentials-test-"));

const apply = (...objects: readonly object[]) =>
  server.kubectl(["apply", "-f", "-"], { input: JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }) });
const get = async (kind: string, name: string): Promise<RawObject> =>
  JSON.parse((await server.kubectl(["get", kind, name, "-o", "json"])).stdout) as RawObject;
const subscribers = (stringData: Readonly<Record<string, string>>): object => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "subscribers" },
  stringData,
});
const siprouter = { apiVersion: "siprouter.dev/v1alpha1", metadata: { name: "edge" } };

beforeAll(async () => {
  server = await startApiServer({ crds: true });
  node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir: join(folder, "node") });
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  pbx = await SipPeer.listen({ host: "127.21.2.1", port: 5060 });
  phone = await SipPeer.listen({ host: "127.21.2.20", port: 5070 });
}, 150_000);
afterAll(async () => {
  for (const peer of [phone, pbx]) await peer?.close();
  await operator?.end();
  await node?.stop();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function callAs(password: string, host: string): Promise<number> {
  const uri = `sip:1000@${host}`;
  const from = "<sip:alice@example.com>;tag=1";
  const sent = await request(phone, { host, port: 5060 }, { method: "INVITE", uri, from });
  const challenge = challengeIn(await sent.final());
  const fields = [credentialsFor(407, challenge, { user: "alice", password }, "INVITE", uri)];
  return (await callOnce(phone, { host, port: 5060 }, "1000", { uri, from, callId: sent.callId, cseq: 2, fields }))
    .status;
}

const isReady = async (): Promise<boolean> => {
  const { status } = (await get("siprouter", "edge")) as {
    status?: { conditions?: readonly { type: string; status: string }[] };
  };
  return status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") ?? false;
};

test("a changed password counts in every pod, without a restart; the Secret is written once for each change", async () => {
  await apply(
    subscribers({ alice: "first-password" }),
    { ...siprouter, kind: "PbxBackend", metadata: { name: "pbx" }, spec: { address: pbx.host } },
    {
      ...siprouter,
      kind: "SipRouter",
      spec: {
        dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx" }] }],
        routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
        authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "subscribers" },
        accessControl: { allow: ["127.21.0.0/16"] },
        rateLimit: { requestsPerSecond: 100 },
        drain: { timeoutSeconds: 0 },
      },
    },
  );
  await until("the router is Ready", isReady, 120_000);
  const { items } = JSON.parse((await server.kubectl(["get", "pods", "-o", "json"])).stdout) as { items: RawObject[] };
  const ips = items.map(({ status }) => (status as { podIP: string }).podIP);
  expect(ips).toHaveLength(2);
  for (const ip of ips) expect(await callAs("first-password", ip)).toBe(200);

  const before = await get("secret", "edge-credentials");
  await apply(subscribers({ alice: "second-password" }));
  for (const ip of ips)
    await until(`the new password counts at ${ip}`, async () => (await callAs("second-password", ip)) === 200, 30_000);
  for (const ip of ips) expect(await callAs("first-password", ip)).toBe(407);
  const after = await get("secret", "edge-credentials");
  expect(after.metadata.uid).toBe(before.metadata.uid);
  expect(after.metadata.resourceVersion).not.toBe(before.metadata.resourceVersion);

  // another change of the router leaves the Secret as it is
  await server.kubectl([
    "patch",
    "siprouter",
    "edge",
    "--type=merge",
    "-p",
    '{"spec":{"rateLimit":{"requestsPerSecond":200}}}',
  ]);
  const generation = (await get("siprouter", "edge")).metadata.generation;
  await until("that change is in every pod", async () => {
    const { status } = (await get("siprouter", "edge")) as {
      status?: { observedGeneration?: number; conditions?: readonly { type: string; status: string }[] };
    };
    const programmed = status?.conditions?.some((one) => one.type === "Programmed" && one.status === "True");
    return status?.observedGeneration === generation && programmed === true;
  });
  expect((await get("secret", "edge-credentials")).metadata.resourceVersion).toBe(after.metadata.resourceVersion);
  const { items: now } = JSON.parse((await server.kubectl(["get", "pods", "-o", "json"])).stdout) as {
    items: RawObject[];
  };
  expect(now.map(({ metadata }) => metadata.uid).toSorted()).toEqual(
    items.map(({ metadata }) => metadata.uid).toSorted(),
  );
  const everything = (
    await server.kubectl(["get", "siprouter,pbxbackend,configmap,deployment,pod,event", "-o", "json"])
  ).stdout;
  const hash = Buffer.from((after["data"] as Record<string, string>)["credentials"] ?? "", "base64")
    .toString()
    .match(/[0-9a-f]{32}/)?.[0];
  expect(hash).toHaveLength(32);
  for (const hidden of [hash ?? "?", "first-password", "second-password"]) expect(everything).not.toContain(hidden);
}, 240_000);

test("what somebody does to that Secret is mended, also when it was done while no operator ran", async () => {
  const before = (await get("secret", "edge-credentials"))["data"];
  const isMended = async (): Promise<boolean> => {
    const { stdout } = await server.kubectl(["get", "secret", "edge-credentials", "--ignore-not-found", "-o", "json"]);
    return stdout !== "" && JSON.stringify((JSON.parse(stdout) as RawObject)["data"]) === JSON.stringify(before);
  };
  const clear = '{"data":{"credentials":"bm90aGluZw=="}}';
  await server.kubectl(["patch", "secret", "edge-credentials", "--type=merge", "-p", clear]);
  await until("an edit is undone", isMended);
  await server.kubectl(["delete", "secret", "edge-credentials"]);
  await until("it is made again", isMended);
  await operator.end();
  await server.kubectl(["delete", "secret", "edge-credentials"]);
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  await until("the next operator makes it again", isMended);
}, 120_000);

test("while their Secret is missing the users keep their passwords and PBXes are followed, by an operator that starts meanwhile, too", async () => {
  const { items } = JSON.parse((await server.kubectl(["get", "pods", "-o", "json"])).stdout) as { items: RawObject[] };
  const ips = items.map(({ status }) => (status as { podIP: string }).podIP);
  await server.kubectl(["delete", "secret", "subscribers"]);
  await operator.end();
  operator = await new OperatorProcess(server.kubeconfigPath).started();
  const moved = await SipPeer.listen({ host: "127.21.2.2", port: 5060 });
  try {
    await server.kubectl([
      "patch",
      "pbxbackend",
      "pbx",
      "--type=merge",
      "-p",
      JSON.stringify({ spec: { address: moved.host } }),
    ]);
    for (const ip of ips)
      await until(
        `a call through ${ip} reaches the PBX where it is now`,
        async () => {
          const before = moved.calls.length;
          return (await callAs("second-password", ip)) === 200 && moved.calls.length > before;
        },
        30_000,
      );
    for (const ip of ips) expect(await callAs("first-password", ip)).toBe(407);
    const conditions = ((await get("siprouter", "edge")).status as { conditions: { type: string; reason: string }[] })
      .conditions;
    expect(conditions.find(({ type }) => type === "ResolvedRefs")?.reason).toBe("SecretNotFound");
    await apply(subscribers({ alice: "third-password" }));
    for (const ip of ips)
      await until(`the new password counts at ${ip}`, async () => (await callAs("third-password", ip)) === 200, 30_000);
  } finally {
    await moved.close();
  }
}, 180_000);
