/** A PBX that registers with a router of two replicas, as a user runs it. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Asterisk } from "../../support/asterisk.ts";
import { call, callOnce, request, within } from "../../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { headers } from "../../support/sip/message.ts";
import { SipPeer } from "../../support/sip/peer.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const addresses = ["127.61.5.1", "127.61.5.2"] as const;
const [first, second] = addresses;
let folders: StandaloneFolders;
let standalone: Standalone;
let pbx: SipPeer, moved: SipPeer, phone: SipPeer, stranger: SipPeer;

const router = (more = ""): string => `
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
  drain: {timeoutSeconds: 0}
${more}`;

beforeEach(async () => {
  folders = new StandaloneFolders();
  [pbx, moved, phone, stranger] = await Promise.all([
    SipPeer.listen({ host: "127.61.6.1", port: 5060 }),
    SipPeer.listen({ host: "127.61.6.2", port: 5080 }),
    SipPeer.listen({ host: "127.61.6.20", port: 5070 }),
    SipPeer.listen({ host: "127.61.6.66", port: 5060 }),
  ]);
});
afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const peer of [pbx, moved, phone, stranger]) await peer.close();
  folders.remove();
});

const start = (): void => void (standalone = new Standalone(folders, { addresses }));
const at = (host: string) => ({ host, port: 5060 });
let sequence = 0;

/** REGISTER, its challenge answered; the final status */
async function register(
  from: SipPeer,
  { host = first as string, expires = 60, password = "secret", contact = `<sip:pbx-1@${from.host}:${from.port}>` } = {},
): Promise<number> {
  const cseq = (sequence += 2);
  const input = {
    method: "REGISTER",
    uri: `sip:${host}`,
    from: "<sip:pbx-1@example.com>;tag=1",
    to: "<sip:pbx-1@example.com>",
    contact,
    callId: `register-${from.host}`,
    fields: [["Expires", String(expires)]] as [string, string][],
  };
  const refused = await (await request(from, at(host), { ...input, cseq })).final();
  expect(refused.status).toBe(401);
  const login = { user: "pbx-1", password };
  const answer = credentialsFor(401, challengeIn(refused), login, "REGISTER", input.uri);
  const fields = [...input.fields, answer];
  const reply = await (await request(from, at(host), { ...input, cseq: cseq + 1, fields })).final();
  if (reply.status === 200 && expires > 0) expect(headers(reply, "contact").join()).toContain("expires=");
  return reply.status ?? 0;
}

const endpoints = (): string[] =>
  ((folders.status("PbxBackend", "pbx-1").status["endpoints"] ?? []) as { address: string; port: number }[]).map(
    ({ address, port }) => `${address}:${port}`,
  );
const untilEndpoints = (what: string, ...wanted: string[]): Promise<true> =>
  until(`the backend is ${what}`, () => endpoints().join() === wanted.join() || undefined, 20_000).then(() => true);
/** takes calls: what is sent to a replica that is not there is never answered */
const untilReady = (host: string): Promise<unknown> =>
  until(`${host} is ready`, async () => (await fetch(`http://${host}:9060/readyz`)).status === 200, 20_000);
const untilCalls = (host: string, status: number): Promise<unknown> =>
  until(
    `calls through ${host} get ${status}`,
    async () => (await callOnce(phone, at(host), "1001")).status === status,
    20_000,
  );

test("a PBX that registers gets the calls of all replicas, where it moves to as well, and none after it has gone", async () => {
  folders.write("router.yaml", router());
  start();
  await standalone.ready();
  const pids = folders.pids();
  expect((await callOnce(phone, at(first), "1001")).status).toBe(503);
  expect(folders.condition("PbxBackend", "pbx-1", "Ready")).toMatchObject({ status: "False", reason: "NotRegistered" });

  expect(await register(pbx)).toBe(200);
  for (const host of addresses) await untilCalls(host, 200);
  await untilEndpoints("there", `${pbx.host}:5060`);
  await until("it is ready", () => folders.condition("PbxBackend", "pbx-1", "Ready").status === "True");
  await until("OPTIONS are answered", () => folders.condition("PbxBackend", "pbx-1", "Reachable").status === "True");

  // a call that runs while the PBX moves
  const { dialog } = await call(phone, at(first), "1001");
  expect(await register(moved, { host: second })).toBe(200);
  await untilEndpoints("elsewhere", `${moved.host}:5080`);
  for (const host of addresses)
    await until(`${host} calls the new address`, async () => {
      const before = moved.calls.length;
      return (await callOnce(phone, at(host), "1001")).status === 200 && moved.calls.length > before;
    });
  expect((await (await within(phone, at(first), dialog, "BYE", 2)).final()).status).toBe(200);
  expect(pbx.requests("BYE").length).toBeGreaterThan(0);

  expect(await register(moved, { host: second, expires: 0 })).toBe(200);
  await untilEndpoints("gone");
  for (const host of addresses) await untilCalls(host, 503);
  expect(folders.condition("PbxBackend", "pbx-1", "Ready")).toMatchObject({ status: "False", reason: "NotRegistered" });

  expect(await register(pbx, { host: second })).toBe(200);
  for (const host of addresses) await untilCalls(host, 200);
  expect(folders.pids()).toEqual(pids);
}, 90_000);

test("a REGISTER with a wrong password makes no destination; a registration that ends takes its destination away", async () => {
  folders.write("router.yaml", router());
  start();
  await standalone.ready();
  expect(await register(stranger, { password: "guess" })).toBe(401);
  expect(await register(pbx, { expires: 4 })).toBe(200);
  // the stranger's was read, too
  await untilEndpoints("there", `${pbx.host}:5060`);
  await untilCalls(first, 200);
  await untilEndpoints("over");
  for (const host of addresses) await untilCalls(host, 503);
  expect(stranger.calls).toEqual([]);
  expect(stranger.requests("OPTIONS")).toEqual([]);
}, 60_000);

test("the operator and a replica start anew beside calls, then all replicas at once: the PBX keeps its calls", async () => {
  folders.write("router.yaml", router());
  start();
  await standalone.ready();
  expect(await register(pbx, { expires: 120 })).toBe(200);
  for (const host of addresses) await untilCalls(host, 200);
  await untilEndpoints("there", `${pbx.host}:5060`);

  await standalone.end("SIGKILL");
  const refused: number[] = [];
  const over = new AbortController();
  const calls = (async () => {
    while (!over.signal.aborted) {
      const { status } = await callOnce(phone, at(first), "1001");
      if (status !== 200) refused.push(status);
    }
  })();
  start();
  await standalone.ready();
  // read back by the new operator
  await until("the status is written anew", () => endpoints().join() === `${pbx.host}:5060`);
  const [pod = "", otherPod = ""] = Object.keys(folders.pids()).toSorted();
  const before = folders.pids();
  process.kill(before[otherPod] ?? 0, "SIGKILL");
  await until("the other replica runs again", () => folders.pids()[otherPod] !== before[otherPod], 20_000);
  await untilReady(second);
  await untilCalls(second, 200);
  over.abort();
  await calls;
  expect(refused).toEqual([]);

  const last = folders.pids();
  for (const name of [pod, otherPod]) process.kill(last[name] ?? 0, "SIGKILL");
  await until("both run again", () => [pod, otherPod].every((name) => folders.pids()[name] !== last[name]), 20_000);
  for (const host of addresses) await untilReady(host);
  // nobody has registered since: what is known goes on
  for (const host of addresses) await untilCalls(host, 200);
  expect(endpoints()).toEqual([`${pbx.host}:5060`]);
  expect(await register(moved)).toBe(200);
  await untilEndpoints("elsewhere", `${moved.host}:5080`);
}, 120_000);

test("a real Asterisk registers, answers OPTIONS and takes the calls", async () => {
  folders.write("router.yaml", router());
  start();
  await standalone.ready();
  const ip = "127.61.6.30";
  const asterisk = await Asterisk.start({ ip, registers: { host: second, username: "pbx-1", password: "secret" } });
  try {
    await untilEndpoints("there", `${ip}:5060`);
    const sdp = `v=0\r\no=- 1 1 IN IP4 ${phone.host}\r\ns=-\r\nc=IN IP4 ${phone.host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n`;
    const offer = { body: sdp, fields: [["Content-Type", "application/sdp"]] as [string, string][] };
    for (const host of addresses)
      await until(`a call through ${host} is answered`, async () => {
        const { status, reply } = await callOnce(phone, at(host), "1001", offer);
        return status === 200 && headers(reply, "contact").join().includes(ip);
      });
    await until("OPTIONS are answered", () => folders.condition("PbxBackend", "pbx-1", "Reachable").status === "True");
  } finally {
    await asterisk.stop();
  }
}, 90_000);
