/** Users who register with a router of two replicas, and a trunk with credentials, as a user runs them. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { call, callOnce, request } from "../../support/sip/caller.ts";
import { challenging, type Challenger } from "../../support/sip/challenger.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { answering, SipPeer } from "../../support/sip/peer.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.23.5.1", "127.23.5.2"];
let folders: StandaloneFolders;
let standalone: Standalone;
let phone: SipPeer, pbx: SipPeer, trunk: SipPeer;
let account: Challenger;

const trunkSecret = (password: string): string => `
apiVersion: v1
kind: Secret
metadata: {name: trunk}
stringData: {username: acme, password: ${password}}
`;

beforeEach(async () => {
  folders = new StandaloneFolders();
  [pbx, trunk, phone] = await Promise.all([
    SipPeer.listen({ host: "127.23.6.1", port: 5060 }),
    SipPeer.listen({ host: "127.23.6.2", port: 5060 }),
    SipPeer.listen({ host: "127.23.6.20", port: 5070 }),
  ]);
  folders.write("trunk.yaml", trunkSecret("first"));
  folders.write(
    "router.yaml",
    `
apiVersion: v1
kind: Secret
metadata: {name: users}
stringData: {"1001": secret}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx}
spec: {address: 127.23.6.1}
---
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: trunk}
spec: {address: 127.23.6.2, credentialsSecretName: trunk}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  authentication: {mode: Digest, realm: example.com, credentialsSecretName: users}
  registration: {mode: Registrar}
  dispatcherSets: [{name: pbx, backends: [{name: pbx}]}, {name: trunk, backends: [{name: trunk}]}]
  routes: [{name: phones, match: {extensions: ["1000-1999"]}, set: pbx}]
  external: {set: trunk}
  drain: {timeoutSeconds: 0}
`,
  );
  standalone = new Standalone(folders, { addresses });
});
afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const peer of [phone, pbx, trunk]) await peer.close();
  folders.remove();
});

const at = (host: string) => ({ host, port: 5060 });

async function register(host: string): Promise<number> {
  const input = {
    method: "REGISTER",
    uri: `sip:${host}`,
    from: "<sip:1001@example.com>;tag=1",
    to: "<sip:1001@example.com>",
    contact: `<sip:1001@${phone.host}:${phone.port}>`,
    callId: `register-${host}`,
  };
  const refused = await (await request(phone, at(host), input)).final();
  const login = { user: "1001", password: "secret" };
  const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, "REGISTER", input.uri);
  return (await (await request(phone, at(host), { ...input, cseq: 2, fields: [answer] })).final()).status ?? 0;
}

test("what one replica learns the other knows, and one that dies knows it again when it is back", async () => {
  await standalone.ready();
  const [first = "", second = ""] = addresses;
  expect(await register(first)).toBe(200);
  await until("the second replica knows", async () => (await callOnce(pbx, at(second), "1001")).status === 200);
  expect(phone.calls.length).toBeGreaterThan(0);

  const before = folders.pids();
  const [pod = ""] = Object.keys(before).toSorted();
  process.kill(before[pod] ?? 0, "SIGKILL");
  await until("it runs again", () => folders.pids()[pod] !== before[pod], 20_000);
  for (const host of addresses)
    await until(
      `the replica at ${host} knows`,
      async () => {
        const { status } = await callOnce(pbx, at(host), "1001").catch(() => ({ status: 0 }));
        return status === 200;
      },
      30_000,
    );
}, 90_000);

test("a trunk's new password is used without a restart", async () => {
  const trunkAsks = (password: string): void => {
    account = challenging({ realm: "trunk.example", username: "acme", password }, answering(200));
    trunk.behaviour = account.behaviour;
  };
  trunkAsks("first");
  await standalone.ready();
  const pids = folders.pids();
  const [first = ""] = addresses;
  expect((await callOnce(pbx, at(first), "00441234")).status).toBe(200);

  trunkAsks("second");
  const from = standalone.events.length;
  folders.write("trunk.yaml", trunkSecret("second"));
  await standalone.event("changed", ({ event }) => event === "changed", from);
  for (const host of addresses) expect((await call(pbx, at(host), "00441234")).reply.status).toBe(200);
  expect(account.rejected).toEqual([]);
  expect(folders.pids()).toEqual(pids);
}, 60_000);
