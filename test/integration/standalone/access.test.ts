/** Access lists, passwords and limits as a user changes them: by editing files, without a restart. */
import { createHash, randomUUID } from "node:crypto";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callOnce, request } from "../../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.21.5.1", "127.21.5.2"];
let folders: StandaloneFolders;
let standalone: Standalone;
let phone: SipPeer, pbx: SipPeer;

const secret = (users: Readonly<Record<string, string>>): string =>
  `apiVersion: v1\nkind: Secret\nmetadata: {name: subscribers}\nstringData: ${JSON.stringify(users)}\n`;
const router = (accessControl: string, limits: string): string => `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx}
spec: {address: 127.21.6.1}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec:
  dispatcherSets: [{name: pbx, backends: [{name: pbx}]}]
  routes: [{name: all, match: {extensions: ["1000-1999"]}, set: pbx}]
  authentication: {mode: Digest, realm: example.com, credentialsSecretName: subscribers}
  accessControl: ${accessControl}
  rateLimit: ${limits}
  drain: {timeoutSeconds: 0}
`;

beforeEach(async () => {
  folders = new StandaloneFolders();
  pbx = await SipPeer.listen({ host: "127.21.6.1", port: 5060 });
  phone = await SipPeer.listen({ host: "127.21.6.20", port: 5070 });
  folders.write("secret.yaml", secret({ alice: "first-password" }));
  folders.write("router.yaml", router("{allow: [127.21.6.0/24]}", "{requestsPerSecond: 100}"));
  standalone = new Standalone(folders, { addresses });
});
afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const peer of [phone, pbx]) await peer.close();
  folders.remove();
});

/** INVITE with a password, through one replica; the final status. */
async function callAs(user: string, password: string, host: string): Promise<number> {
  const uri = `sip:1000@${host}`;
  const own = { from: `<sip:${user}@example.com>;tag=1`, callId: `${user}-${randomUUID()}` };
  const first = await (await request(phone, { host, port: 5060 }, { method: "INVITE", uri, ...own })).final();
  const fields = [credentialsFor(407, challengeIn(first), { user, password }, "INVITE", uri)];
  const { status } = await callOnce(phone, { host, port: 5060 }, "1000", { uri, fields, ...own, cseq: 2 });
  return status;
}

async function changed(edit: () => void): Promise<void> {
  const from = standalone.events.length;
  edit();
  await standalone.event("changed", ({ event }) => event === "changed", from);
}

const allFiles = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test("users, lists and limits change on every replica without a restart; passwords are nowhere", async () => {
  await standalone.ready();
  const pids = folders.pids();
  for (const host of addresses) {
    expect(await callAs("alice", "first-password", host)).toBe(200);
    expect(await callAs("alice", "guess", host)).toBe(407);
  }

  await changed(() => folders.write("secret.yaml", secret({ alice: "second-password", bob: "bobs-password" })));
  for (const host of addresses) {
    expect(await callAs("alice", "first-password", host)).toBe(407);
    expect(await callAs("alice", "second-password", host)).toBe(200);
    expect(await callAs("bob", "bobs-password", host)).toBe(200);
  }

  await changed(() => folders.write("router.yaml", router("{deny: [127.21.6.20]}", "{requestsPerSecond: 100}")));
  for (const host of addresses) expect((await callOnce(phone, { host, port: 5060 }, "1000")).status).toBe(403);
  await changed(() => folders.write("router.yaml", router("{}", "{requestsPerSecond: 1, banSeconds: 60}")));
  const sent = await Promise.all(
    addresses.flatMap((host) =>
      [1, 2, 3, 4].map(() => request(phone, { host, port: 5060 }, { method: "INVITE", uri: `sip:1000@${host}` })),
    ),
  );
  // once each, or once more where two workers look at the same moment
  const refusing = (): ReadonlySet<string> =>
    new Set(sent.filter(({ finals }) => finals[0]?.status === 503).map((one) => one.router.host));
  await until("both replicas say 503", () => refusing().size === 2);
  expect(folders.pids()).toEqual(pids);

  const ha1 = createHash("md5").update("bob:example.com:bobs-password").digest("hex");
  const holding = (text: string): readonly string[] =>
    allFiles(folders.state).filter((file) => readFileSync(file, "latin1").includes(text));
  expect(holding("bobs-password")).toEqual([]);
  expect(holding(Buffer.from("bobs-password").toString("base64"))).toEqual([]);
  // in the volumes of the pods only (in base64 in the stored Secret)
  expect(holding(ha1).filter((file) => !/\/pods\/.*\/credentials$/.test(file))).toEqual([]);
  expect(new Set(holding(ha1).map((file) => realpathSync(file))).size).toBe(2);
  expect(standalone.errors).not.toMatch(new RegExp(`${ha1}|-password`));
});

test("a Secret that cannot be used is told, and the users of before go on", async () => {
  await standalone.ready();
  folders.write("secret.yaml", secret({ alice: "ha1:hidden-value" }));
  await until("the router says so", () => folders.condition("SipRouter", "edge", "ResolvedRefs").status === "False");
  const { reason, message } = folders.condition("SipRouter", "edge", "ResolvedRefs");
  expect(reason).toBe("SecretInvalid");
  expect(message).toContain('key "alice"');
  expect(message).not.toContain("hidden-value");
  expect(await callAs("alice", "first-password", addresses[0] ?? "")).toBe(200);
});
