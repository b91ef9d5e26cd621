/** A media proxy and several registrars: the replica that spoke with the caller relays the media, and no other. */
import { afterAll, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, calleeDialog, request, within } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import { RtpEnd, Rtpengine, streamOf } from "../support/sip/media.ts";
import { callIdOf, writeReply, type SipMessage } from "../support/sip/message.ts";
import type { Behaviour, SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";
import { startReplica } from "./replicas.ts";

const REALM = "example.com";
const SDP: [string, string] = ["Content-Type", "application/sdp"];

let pbx: SipPeer, phone: SipPeer;
let relay: Rtpengine;
let caller: RtpEnd, callee: RtpEnd;
let other: LocalKamailio | undefined;

const plan = (): RouterPlan =>
  routerPlan({
    structure: {
      registration: { mode: "Registrar", maxExpiresSeconds: 300 },
      authentication: { realm: REALM },
      rtpengine: [`udp:${relay.host}:${relay.port}`],
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
    },
    sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
    routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
    data: { credentials: { salt: "1", users: [{ user: "1001", ha1: ha1Of("1001", REALM, "secret") }] } },
  });

withKamailio(
  "media proxy and registrar",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(23, 5070, "TCP")]);
    [caller, callee] = await Promise.all([RtpEnd.open(pbx.host), RtpEnd.open(phone.host)]);
    relay = new Rtpengine(bench.host(41));
    await relay.start();
    await bench.start(plan());
    other = await startReplica(bench, plan());
  },
  (bench) => {
    afterAll(async () => {
      await other?.stop();
      await relay.stop();
      for (const one of [caller, callee]) one.close();
    });
    const at = (last: number) => ({ host: bench.host(last), port: 5060 });
    const talking =
      (ear: RtpEnd): Behaviour =>
      (message, send, peer) => {
        if (message.method === "ACK") return;
        const media = message.method === "INVITE" ? { fields: [SDP], body: ear.sdp() } : {};
        send(writeReply(message, 200, { contact: `<${peer.uri}>`, ...media }));
      };
    const last = (peer: SipPeer, callId: string): SipMessage => {
      const found = peer.requests("INVITE").findLast((message) => callIdOf(message) === callId);
      if (found === undefined) throw new Error("no INVITE arrived");
      return found;
    };

    async function register(): Promise<void> {
      const uri = `sip:${bench.host(1)}`;
      const own = { from: `<sip:1001@${REALM}>;tag=1`, to: `<sip:1001@${REALM}>`, callId: `register-${phone.host}` };
      const refused = await (await request(phone, at(1), { method: "REGISTER", uri, ...own })).final();
      const login = { user: "1001", password: "secret" };
      const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, "REGISTER", uri);
      const fields = [answer, ["Expires", "60"] as [string, string]];
      expect(
        (await (await request(phone, at(1), { method: "REGISTER", uri, ...own, cseq: 2, fields })).final()).status,
      ).toBe(200);
    }

    test("the phone's connection is to another replica than the one that the call comes in at", async () => {
      await register();
      phone.behaviour = talking(callee);
      pbx.behaviour = talking(caller);
      const { sent, reply, dialog } = await until("the replicas know the phone", async () => {
        const made = await call(pbx, at(2), "1001", { fields: [SDP], body: caller.sdp() });
        return made.reply.status === 200 ? made : undefined;
      });
      const both = async (what: string, towardsPhone: string, towardsPbx: string): Promise<void> => {
        for (const body of [towardsPhone, towardsPbx]) expect(streamOf(body).host).toBe(relay.host);
        await caller.reaches(streamOf(towardsPbx), callee, `${what}, from the PBX`);
        await callee.reaches(streamOf(towardsPhone), caller, `${what}, from the phone`);
      };
      const invite = last(phone, sent.callId);
      await both("call", invite.body, reply.body);

      const held = await within(pbx, at(2), dialog, "INVITE", 2, {
        fields: [...dialog.routes.map((route): [string, string] => ["Route", route]), SDP],
        body: caller.sdp(2),
      });
      const answer = await held.final();
      await within(pbx, at(2), dialog, "ACK", 2, { contact: null });
      await both("re-INVITE of the PBX", last(phone, sent.callId).body, answer.body);

      const back = calleeDialog(invite);
      const again = await within(phone, at(1), back, "INVITE", 100, {
        fields: [...back.routes.map((route): [string, string] => ["Route", route]), SDP],
        body: callee.sdp(2),
      });
      const answered = await again.final();
      await within(phone, at(1), back, "ACK", 100, { contact: null });
      await both("re-INVITE of the phone", answered.body, last(pbx, sent.callId).body);

      // an answer that is sent again takes the same way when all transactions are over
      const info = await within(pbx, at(2), dialog, "INFO", 3);
      await info.final();
      await until("a copy is no copy any more", async () => {
        await info.send();
        return phone.requests("INFO").length > 1;
      });
      const before = sent.finals.length;
      const options = { contact: `<${phone.uri}>`, fields: [SDP], body: callee.sdp() };
      await phone.send(at(1), writeReply(invite, 200, options));
      const late = await until("the answer comes again", () => sent.finals[before]);
      expect(streamOf(late.body).host).toBe(relay.host);

      expect((await (await within(phone, at(1), back, "BYE", 101)).final()).status).toBe(200);
      await until("the session has ended", async () => !(await relay.calls()).includes(sent.callId));
    });
  },
);
