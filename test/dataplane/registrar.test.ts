import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, callerDialog, request, within, type RequestInput } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../support/sip/digestLogin.ts";
import { countRegistrations, readRegistrations } from "../../src/kamailio/registrations.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, header, headers, writeMessage, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";
import { REALM, registrarPlan } from "./registrarPlan.ts";
import { startReplica } from "./replicas.ts";

const users = ["1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008"];
const PEER_PORT = 9061;

let pbx: SipPeer, phone: SipPeer, second: SipPeer, third: SipPeer, phoneTcp: SipPeer, stranger: SipPeer;
let other: LocalKamailio | undefined;

const plan = (): RouterPlan => registrarPlan(pbx, users);

const ringing: Behaviour = (message, send, peer) => {
  if (message.method === "INVITE") send(writeReply(message, 180, { contact: `<${peer.uri}>` }));
  else if (message.method === "CANCEL") send(writeReply(message, 200));
};

withKamailio(
  "registrar",
  async (bench) => {
    [pbx, phone, second, third, phoneTcp, stranger] = await Promise.all([
      bench.peer(11),
      bench.peer(20, 5070),
      bench.peer(21, 5070),
      bench.peer(22, 5070),
      bench.peer(23, 5070, "TCP"),
      bench.peer(66),
    ]);
    await bench.start(plan());
    other = await startReplica(bench, plan());
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, phone, second, third, phoneTcp]) {
        peer.behaviour = answering(200);
        peer.received.length = 0;
      }
    });
    afterAll(() => other?.stop());

    const at = (last: number) => ({ host: bench.host(last), port: 5060 });

    /** with credentials: a request is sent again after its challenge */
    const authenticated = async (
      from: SipPeer,
      router: { host: string; port: number },
      user: string,
      input: RequestInput,
    ): Promise<SipMessage> => {
      const own = `<sip:${user}@${REALM}>;tag=${user}`;
      const callId = `registrar-${Math.random()}`;
      const refused = await (await request(from, router, { ...input, from: own, callId })).final();
      expect([401, 407]).toContain(refused.status);
      const login = { user, password: `secret-${user}` };
      const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, input.method, input.uri);
      const fields = [...(input.fields ?? []), answer];
      return (await request(from, router, { ...input, from: own, callId, cseq: 2, fields })).final();
    };

    const register = (
      from: SipPeer,
      user: string,
      { last = 1, expires = 60, contact }: { last?: number; expires?: number; contact?: string } = {},
    ): Promise<SipMessage> =>
      authenticated(from, at(last), user, {
        method: "REGISTER",
        uri: `sip:${bench.host(last)}`,
        to: `<sip:${user}@${REALM}>`,
        contact: contact ?? `<sip:${user}@${from.host}:${from.port};transport=${from.transport.toLowerCase()}>`,
        fields: [["Expires", String(expires)]],
      });

    const dial = async (user: string, last = 1) => {
      const { reply, sent, dialog } = await call(pbx, at(last), user);
      return { status: reply.status ?? 0, callId: sent.callId, dialog };
    };
    const reached = (peer: SipPeer, callId: string): Promise<SipMessage> =>
      peer.waitFor("INVITE", (message) => message.method === "INVITE" && callIdOf(message) === callId);

    test("who is registered is called by the PBX, within the dialog too, and not after he has gone", async () => {
      expect((await dial("1001")).status).toBe(480);
      expect((await register(phone, "1001")).status).toBe(200);
      const { status, callId, dialog } = await dial("1001");
      expect(status).toBe(200);
      expect((await reached(phone, callId)).uri).toMatch(/^sip:1001@/);
      expect((await (await within(pbx, at(1), dialog, "BYE", 2)).final()).status).toBe(200);
      expect(phone.requests("BYE")).toHaveLength(1);
      expect((await register(phone, "1001", { expires: 0 })).status).toBe(200);
      expect((await dial("1001")).status).toBe(480);
    });

    test("a call to a user who is not registered goes to the PBX, unless it comes from there", async () => {
      const number = `sip:1002@${bench.host(1)}`;
      const reply = await authenticated(phone, at(1), "1001", { method: "INVITE", uri: number });
      expect(reply.status).toBe(200);
      expect(pbx.calls).toContain(callIdOf(reply));
    });

    test("a call of the PBX to a number that is no user does not come back to it", async () => {
      expect((await dial("1999")).status).toBe(404);
      expect(pbx.calls).toEqual([]);
    });

    test("a phone calls a registered phone", async () => {
      await register(second, "1002");
      const reply = await authenticated(phone, at(1), "1001", { method: "INVITE", uri: `sip:1002@${bench.host(1)}` });
      expect(reply.status).toBe(200);
      expect(second.calls).toContain(callIdOf(reply));
      expect(pbx.calls).toEqual([]);
    });

    test("what a phone subscribes to, and what it publishes, is with the PBX, not with the phone of that number", async () => {
      await register(second, "1002");
      for (const [method, number] of [
        ["SUBSCRIBE", "1001"],
        ["SUBSCRIBE", "1002"],
        ["PUBLISH", "1002"],
      ] as const) {
        const fields: [string, string][] = [
          ["Event", "dialog"],
          ["Expires", "60"],
        ];
        const input = { method, uri: `sip:${number}@${bench.host(1)}`, fields };
        const reply = await authenticated(phone, at(1), "1001", input);
        expect(reply.status).toBe(200);
        expect(pbx.requests(method).map(callIdOf)).toContain(callIdOf(reply));
      }
      expect(second.requests("SUBSCRIBE")).toEqual([]);
      const notified = await request(pbx, at(1), { method: "NOTIFY", uri: `sip:1002@${bench.host(1)}` });
      expect((await notified.final()).status).toBe(200);
      expect(second.requests("NOTIFY")).toHaveLength(1);
    });

    test("nobody registers without credentials, not even from a PBX's address", async () => {
      for (const from of [stranger, pbx]) {
        const sent = await request(from, at(1), {
          method: "REGISTER",
          uri: `sip:${bench.host(1)}`,
          to: "<sip:1003@example.com>",
          from: "<sip:1003@example.com>;tag=1",
          contact: `<sip:1003@${from.host}>`,
        });
        expect((await sent.final()).status).toBe(401);
      }
      expect((await dial("1003")).status).toBe(480);
    });

    test("a phone behind NAT is called where its REGISTER came from", async () => {
      await register(phone, "1003", { contact: "<sip:1003@192.168.77.7:5060>" });
      const { status, callId } = await dial("1003");
      expect(status).toBe(200);
      expect((await reached(phone, callId)).uri).toBe("sip:1003@192.168.77.7:5060");
    });

    test("who is registered can be read back, all or one user", async () => {
      await register(phone, "1003", { contact: "<sip:1003@192.168.77.7:5060>" });
      await register(phoneTcp, "1006");
      const address = bench.kamailio.control;
      const all = await readRegistrations(bench.control, address);
      const behindNat = {
        user: "1003",
        contact: "sip:1003@192.168.77.7:5060",
        received: `sip:${phone.host}:${phone.port}`,
        connected: false,
      };
      expect(all).toContainEqual(expect.objectContaining(behindNat));
      expect(all).toContainEqual(expect.objectContaining({ user: "1006", connected: true }));
      expect(await countRegistrations(bench.control, address)).toBe(all.length);
      const [one, ...more] = await readRegistrations(bench.control, address, "1003");
      expect([one?.contact, more]).toEqual([behindNat.contact, []]);
      expect(one?.expiresSeconds).toBeGreaterThan(50);
      expect(one?.expiresSeconds).toBeLessThanOrEqual(60);
      expect(await readRegistrations(bench.control, address, "1999")).toEqual([]);
      await register(phoneTcp, "1006", { expires: 0 });
    });

    test("all phones of a user ring; when one answers the others stop", async () => {
      await register(phone, "1004");
      await register(second, "1004");
      phone.behaviour = ringing;
      second.behaviour = (message, send, peer) => {
        if (message.method !== "INVITE" || phone.requests("INVITE").length > 0) answering(200)(message, send, peer);
      };
      const { status, callId } = await dial("1004");
      expect(status).toBe(200);
      await reached(phone, callId);
      await phone.waitFor("CANCEL", ({ method }) => method === "CANCEL");
    });

    test("one more phone than the limit is refused, and those that are there stay", async () => {
      await register(phone, "1005");
      await register(second, "1005");
      expect((await register(third, "1005")).status).toBe(503);
      const { status } = await dial("1005");
      expect(status).toBe(200);
      await until("both ring", () => phone.calls.length === 1 && second.calls.length === 1);
      expect(third.calls).toEqual([]);
    });

    test("the lifetime is capped; a registration ends with it", async () => {
      const long = await register(phone, "1006", { expires: 86_400 });
      expect(headers(long, "contact").join()).toMatch(/expires=(300|299)/);
      await register(phone, "1006", { expires: 1 });
      expect((await dial("1006")).status).toBe(200);
      await until("it has expired", async () => (await dial("1006")).status === 480);
    });

    test("what one replica knows the other knows; a phone on a TCP connection is called through the replica that has it", async () => {
      expect((await register(phone, "1007")).status).toBe(200);
      await until("the other replica knows", async () => (await dial("1007", 2)).status === 200);
      expect(phone.calls.length).toBeGreaterThan(0);
      await register(phone, "1007", { expires: 0 });
      await until("the other replica knows of the removal", async () => (await dial("1007", 2)).status === 480);

      expect((await register(phoneTcp, "1007", { contact: "<sip:1007@192.168.77.8:5060;transport=tcp>" })).status).toBe(
        200,
      );
      const own = await dial("1007", 1);
      expect(own.status).toBe(200);
      await reached(phoneTcp, own.callId);
      await until("the other replica knows", async () => (await dial("1007", 2)).status === 200);
      const through = await dial("1007", 2);
      const invite = await reached(phoneTcp, through.callId);
      expect(header(invite, "via")).toContain(bench.host(1));
      expect((await (await within(pbx, at(2), through.dialog, "BYE", 2)).final()).status).toBe(200);
      expect(phoneTcp.requests("BYE").map(callIdOf)).toContain(through.callId);
    });

    test("a replica that starts anew is told all", async () => {
      await register(phone, "1001", { last: 2 });
      await until("the first knows", async () => (await dial("1001", 1)).status === 200);
      await other?.stop();
      other = await startReplica(bench, plan());
      await until("the second knows again", async () => (await dial("1001", 2)).status === 200);
      expect(phone.calls.length).toBeGreaterThan(0);
    });

    /** as replicas tell each other: that the user is at the stranger's address */
    const registrationOf = (user: string): string =>
      JSON.stringify({
        action: 1, aor: user, ruid: `uloc-${user}`, c: `sip:${user}@${stranger.host}`, received: "", path: "",
        callid: "x", user_agent: "x", instance: "", expires: Math.floor(Date.now() / 1000) + 3600, cseq: 1, flags: 0,
        cflags: 0, q: -1, last_modified: Math.floor(Date.now() / 1000), methods: 4_294_967_295, reg_id: 0,
      }); // prettier-ignore

    test("a stranger is no replica", async () => {
      for (const channel of ["usrloc", "notification_peer"])
        await stranger.send(
          { host: bench.host(1), port: PEER_PORT },
          writeMessage({
            first: `KDMQ sip:${channel}@${bench.host(1)}:${PEER_PORT} SIP/2.0`,
            fields: [
              ["Via", `SIP/2.0/UDP ${stranger.host}:5060;branch=z9hG4bK${channel}`],
              ["To", `<sip:${channel}@${bench.host(1)}:${PEER_PORT}>`],
              ["From", `<sip:${channel}@${stranger.host}:5060>;tag=1`],
              ["CSeq", "10 KDMQ"],
              ["Call-ID", `stranger-${channel}`],
              ["Max-Forwards", "1"],
              ["Content-Type", channel === "usrloc" ? "application/json" : "text/plain"],
            ],
            body: channel === "usrloc" ? registrationOf("1002") : `sip:${stranger.host}:5060;status=active\r\n`,
          }),
        );
      // what is sent afterwards is answered: both were read
      await register(second, "1002");
      expect((await dial("1002")).status).toBe(200);
      expect(stranger.calls).toEqual([]);
      expect(stranger.received.filter(({ fields }) => fields.some(([, value]) => value.includes("KDMQ")))).toEqual([]);
    });

    test("what a caller sends within a call is told to no other replica in this one's name", async () => {
      const number = `sip:1002@${bench.host(1)}`;
      await register(second, "1002");
      const reply = await authenticated(phone, at(1), "1001", { method: "INVITE", uri: number });
      expect(reply.status).toBe(200);
      const dialog = callerDialog(reply);
      const target = `sip:usrloc@${bench.host(2)}:${PEER_PORT}`;
      await within(phone, at(1), { ...dialog, target }, "KDMQ", 3, { body: registrationOf("1008") });
      await within(phone, at(1), dialog, "KDMQ", 4);
      expect((await (await within(phone, at(1), dialog, "BYE", 5)).final()).status).toBe(200);
      expect((await dial("1008", 2)).status).toBe(480);
      expect(stranger.calls).toEqual([]);
      expect(second.requests("KDMQ")).toEqual([]);
    });
  },
);
