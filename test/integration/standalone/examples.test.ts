/** The examples, run as they are but for their addresses: what each promises is seen by who calls. */
import type { RawObject } from "../../../src/api/index.ts";
import { afterEach, expect, test } from "vitest";
import { dump } from "js-yaml";
import { call, callOnce, request, type RequestInput } from "../../support/sip/caller.ts";
import { Authority } from "../../support/sip/certificates.ts";
import { challenging } from "../../support/sip/challenger.ts";
import { challengeIn, credentialsFor } from "../../support/sip/digestLogin.ts";
import { header } from "../../support/sip/message.ts";
import { Rtpengine, streamOf } from "../../support/sip/media.ts";
import { answering, SipPeer } from "../../support/sip/peer.ts";
import { moveExample, readExample } from "../../support/examples.ts";
import { Standalone, StandaloneFolders } from "../../support/standalone.ts";
import { until } from "../../support/until.ts";

const network = "127.66.1";
const [first, second, third, fourth] = [1, 2, 3, 4].map((last) => ({ host: `127.66.0.${last}`, port: 5060 })) as [
  At, At, At, At,
]; // prettier-ignore
interface At {
  readonly host: string;
  readonly port: number;
}

let folders: StandaloneFolders;
let standalone: Standalone;
const peers = new Map<string, SipPeer>();
const engines: Rtpengine[] = [];

/**
 * Every backend answers, and every media proxy; two phones that nobody knows, and the program with the routers at `at`,
 * ready. `own`: what the example leaves to its user.
 */
async function start(name: string, at: readonly At[], own: readonly RawObject[] = []): Promise<void> {
  const { objects, backends, mediaProxies } = moveExample(readExample(name), network);
  engines.push(...mediaProxies.map((address) => new Rtpengine(address)));
  await Promise.all(engines.map((engine) => engine.start()));
  for (const [backend, endpoint] of backends) peers.set(backend, await SipPeer.listen(endpoint));
  for (const [index, phone] of ["phone", "other phone"].entries())
    peers.set(phone, await SipPeer.listen({ host: `127.66.2.${index + 1}`, port: 5070 }));
  folders = new StandaloneFolders();
  folders.write("example.yaml", [...objects, ...own].map((object) => dump(object)).join("---\n"));
  standalone = new Standalone(folders, { addresses: at.map(({ host }) => host) });
  await standalone.ready();
  expect(standalone.events.filter(({ event }) => event === "rejected")).toEqual([]);
}

afterEach(async () => {
  await standalone.end("SIGKILL");
  for (const one of peers.values()) await one.close();
  peers.clear();
  for (const engine of engines.splice(0)) await engine.stop();
  folders.remove();
});

function peer(name: string): SipPeer {
  const found = peers.get(name);
  if (found === undefined) throw new Error(`no peer ${name}`);
  return found;
}

/** Who answered a call: the name of a peer, or the status that refused it. */
async function reached(caller: string, router: At, uri: string, more: Partial<RequestInput> = {}): Promise<string> {
  const { status, callId } = await callOnce(peer(caller), router, "", { uri, ...more });
  if (status !== 200) return String(status);
  return [...peers].find(([name, { calls }]) => name !== caller && calls.includes(callId))?.[0] ?? "nobody";
}

test("multi-tenant: the same extensions, each company's own PBXes and line", async () => {
  await start("multi-tenant", [first, second]);
  for (const router of [first, second]) {
    expect(await reached("phone", router, "sip:1001@a.example.com")).toBe("company-a-1");
    expect(await reached("phone", router, "sip:1001@b.example.com")).toBe("company-b-1");
  }
  expect(await reached("phone", first, "sip:1001@c.example.com")).toBe("404");
  expect(await reached("phone", first, "sip:00441234@a.example.com")).toBe("403");
  expect(await reached("company-a-1", first, "sip:00441234@a.example.com")).toBe("company-a-trunk");
  expect(await reached("company-b-1", first, "sip:+441234@b.example.com")).toBe("company-b-trunk");

  for (const tenant of ["a", "b"]) {
    const uri = `sip:${tenant}.example.com`;
    const aor = `<sip:1001@${tenant}.example.com>`;
    const sent = await request(peer("phone"), first, { method: "REGISTER", uri, to: aor, from: `${aor};tag=1` });
    expect((await sent.final()).status).toBe(200);
    const registered = peer(`company-${tenant}-1`).requests("REGISTER");
    expect(registered.map((message) => header(message, "to"))).toEqual([aor]);
    expect(header(registered[0] ?? fail(), "path")).toContain(first.host);
  }

  await peer("company-a-1").close();
  expect(await reached("phone", first, "sip:1001@a.example.com")).toBe("company-a-2");
  expect(await reached("phone", first, "sip:1001@b.example.com")).toBe("company-b-1");
});

const fail = (): never => {
  throw new Error("no message");
};

test("regions: each router prefers its own line, and a region that is down is served by the other", async () => {
  await start("regions", [first, second, third, fourth]);
  const eu = first;
  const us = third;
  for (const router of [eu, us]) {
    const london = [
      await reached("phone", router, "sip:2001@example.com"),
      await reached("phone", router, "sip:+442079460000@example.com"),
    ];
    expect(london.toSorted()).toEqual(["london-1", "london-2"]);
    expect(await reached("phone", router, "sip:3001@example.com")).toBe("new-york-1");
    expect(await reached("phone", router, "sip:0012125550100@example.com")).toBe("new-york-1");
    expect(await reached("phone", router, "sip:+33140000000@example.com")).toBe("403");
  }
  expect(await reached("london-1", eu, "sip:+33140000000@example.com")).toBe("trunk-eu");
  expect(await reached("new-york-1", us, "sip:+33140000000@example.com")).toBe("trunk-us");

  await peer("trunk-eu").close();
  expect(await reached("london-1", eu, "sip:+33140000000@example.com")).toBe("trunk-us");
  await peer("london-1").close();
  await peer("london-2").close();
  for (const router of [eu, us]) expect(await reached("phone", router, "sip:2001@example.com")).toBe("new-york-1");
});

/** With a password, as a phone does it: the first try is refused. */
async function loggedIn(
  phone: string,
  router: At,
  user: string,
  input: RequestInput,
  password = `change-me-${user}`,
): Promise<RequestInput> {
  const sent = await request(peer(phone), router, input);
  const refused = await sent.final();
  const { status = 0 } = refused;
  const login = { user, password };
  // an answer is good for the call that it was asked for
  return {
    ...input,
    callId: sent.callId,
    cseq: 2,
    fields: [credentialsFor(status, challengeIn(refused), login, input.method, input.uri)],
  };
}

test("registrar-office: phones register with the router and stay reachable when a PBX dies", async () => {
  await start("registrar-office", [first, second]);
  const phone = peer("phone");
  const aor = "<sip:101@office.example.com>";
  const contact = `<sip:101@${phone.host}:${phone.port}>`;
  const register = { method: "REGISTER", uri: "sip:office.example.com", to: aor, from: `${aor};tag=1`, contact };
  const wrong = await loggedIn("phone", first, "102", { ...register, callId: "wrong" });
  expect((await (await request(phone, first, wrong)).final()).status).toBe(403);
  const right = await loggedIn("phone", first, "101", { ...register, callId: "right" });
  expect((await (await request(phone, first, right)).final()).status).toBe(200);

  await until("the other replica knows the phone", async () => {
    return (await reached("pbx-1", second, "sip:101@office.example.com")) === "phone";
  });
  expect(await reached("pbx-1", second, "sip:102@office.example.com")).toBe("480");
  await peer("pbx-1").close();
  expect(await reached("pbx-2", first, "sip:101@office.example.com")).toBe("phone");

  expect(await reached("other phone", first, "sip:101@office.example.com")).toBe("407");
  const dial = async (uri: string): Promise<string> =>
    reached("other phone", first, uri, await loggedIn("other phone", first, "102", invite(uri)));
  expect(await dial("sip:101@office.example.com")).toBe("phone");
  expect(await dial("sip:103@office.example.com")).toBe("pbx-2");
  expect(await dial("sip:00441234@office.example.com")).toBe("trunk");
});

const invite = (uri: string): RequestInput => ({ method: "INVITE", uri, from: "<sip:102@office.example.com>;tag=1" });

test("registrar-tenants: 1001 of each company is a phone of its own, and calls no other company", async () => {
  await start("registrar-tenants", [first, second]);
  const phones = { a: "phone", b: "other phone" };
  for (const [tenant, name] of Object.entries(phones)) {
    const { host, port } = peer(name);
    const domain = `${tenant}.example.com`;
    const aor = `<sip:1001@${domain}>`;
    const contact = `<sip:1001@${host}:${port}>`;
    const input = { method: "REGISTER", uri: `sip:${domain}`, to: aor, from: `${aor};tag=1`, contact, callId: tenant };
    const login = await loggedIn(name, first, "1001", input, `change-me-${tenant}-1001`);
    expect((await (await request(peer(name), first, login)).final()).status).toBe(200);
  }
  for (const [tenant, name] of Object.entries(phones))
    await until(`the other replica knows the phone of company ${tenant}`, async () => {
      return (await reached(`company-${tenant}-pbx`, second, `sip:1001@${tenant}.example.com`)) === name;
    });
  const dial = async (uri: string): Promise<string> => {
    const from = "<sip:1002@a.example.com>;tag=1";
    const input = { method: "INVITE", uri, from };
    return reached("other phone", first, uri, await loggedIn("other phone", first, "1002", input, "change-me-a-1002"));
  };
  expect(await dial("sip:1001@a.example.com")).toBe("phone");
  expect(await dial("sip:1500@a.example.com")).toBe("company-a-pbx");
  const foreign = { from: "<sip:1002@a.example.com>;tag=1" };
  expect(await reached("phone", first, "sip:1001@b.example.com", foreign)).toBe("403");
});

test("trunks: in order, each with its own password and with the number as it expects it", async () => {
  await start("trunks", [first, second]);
  const main = challenging({ realm: "main", username: "acme-main", password: "change-me-1" }, answering(200));
  const spare = challenging({ realm: "spare", username: "acme-spare", password: "change-me-2" }, answering(200));
  peer("main-trunk").behaviour = main.behaviour;
  peer("spare-trunk").behaviour = spare.behaviour;
  const numbers = (): readonly string[] =>
    [...main.accepted, ...spare.accepted].filter(({ method }) => method === "INVITE").map(({ uri = "" }) => uri);

  expect(await reached("office-pbx", first, "sip:02079460000@router")).toBe("main-trunk");
  expect(await reached("office-pbx", first, "sip:0049301234@router")).toBe("main-trunk");
  expect(await reached("office-pbx", first, "sip:112@router")).toBe("main-trunk");
  expect(numbers().map((uri) => /^sip:([^@]+)@/.exec(uri)?.[1])).toEqual(["+442079460000", "+49301234", "112"]);
  expect(await reached("phone", first, "sip:112@router")).toBe("403");
  expect(await reached("phone", first, "sip:201@router")).toBe("office-pbx");
  expect(await reached("office-pbx", first, "sip:5551234@router")).toBe("404");

  await peer("main-trunk").close();
  expect(await reached("office-pbx", first, "sip:0049301234@router")).toBe("spare-trunk");
  expect([...main.rejected, ...spare.rejected]).toEqual([]);
  const { reply } = await call(peer("phone"), first, "", { uri: "sip:0049301234@router" });
  expect(reply.status).toBe(403);
});

test("tls-rtpengine: a phone registers and calls by TLS; the PBXes see the router and its media proxy only", async () => {
  const authority = new Authority("own authority");
  const { certificate, key } = authority.issue("sip.example.com");
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "edge-tls", namespace: "default" },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  };
  await start("tls-rtpengine", [first, second], [secret]);
  const edge = { host: first.host, port: 5061 };
  const identity = authority.issue("phone.example.com");
  const phone = await SipPeer.listen({ host: "127.66.2.9", port: 5071, transport: "TLS", identity });
  peers.set("tls phone", phone);
  const from = "<sip:1001@example.com>;tag=1";

  const register = { method: "REGISTER", uri: "sip:example.com", to: "<sip:1001@example.com>", from };
  const login = await loggedIn("tls phone", edge, "1001", { ...register, callId: "register" });
  expect((await (await request(phone, edge, login)).final()).status).toBe(200);
  for (const pbx of ["pbx-1", "pbx-2"])
    await until(`${pbx} has the phone`, () => peer(pbx).requests("REGISTER").length > 0);

  const uri = "sip:1002@example.com";
  const sdp = (host: string, port: number): string =>
    `v=0\r\no=- 1 1 IN IP4 ${host}\r\ns=-\r\nc=IN IP4 ${host}\r\nt=0 0\r\nm=audio ${port} RTP/AVP 8\r\n`;
  const offer = { fields: [["Content-Type", "application/sdp"]] as const, body: sdp(phone.host, 40_000) };
  peer("pbx-1").behaviour = answering(200, { fields: offer.fields, body: sdp(peer("pbx-1").host, 41_000) });
  const call407 = await loggedIn("tls phone", edge, "1001", { method: "INVITE", uri, from, ...offer });
  const input = { ...call407, ...offer, fields: [...(call407.fields ?? []), ...offer.fields] };
  expect((await callOnce(phone, edge, "1002", input)).status).toBe(200);

  const [sent = fail()] = peer("pbx-1").requests("INVITE");
  expect(engines.map(({ host }) => host)).toContain(streamOf(sent.body).host);
  expect(sent.text).not.toContain(phone.host);
  const [answer = fail()] = phone.received.filter(({ status, body }) => status === 200 && body !== "");
  expect(engines.map(({ host }) => host)).toContain(streamOf(answer.body).host);
  expect(answer.text).not.toContain(peer("pbx-1").host);
});
