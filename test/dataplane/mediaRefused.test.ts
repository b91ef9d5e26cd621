/** An SDP that the media proxy does not change is passed on to nobody, and a call that has no answer for it ends. */
import { afterAll, afterEach, expect, test } from "vitest";
import { call, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { RtpEnd, Rtpengine, streamOf } from "../support/sip/media.ts";
import { callIdOf, header, writeReply, type SipMessage } from "../support/sip/message.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const SDP: [string, string] = ["Content-Type", "application/sdp"];

let pbx: SipPeer, phone: SipPeer;
let relay: Rtpengine;
let caller: RtpEnd, callee: RtpEnd;

withKamailio(
  "refused media",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 5070)]);
    [caller, callee] = await Promise.all([RtpEnd.open(phone.host), RtpEnd.open(pbx.host)]);
    relay = new Rtpengine(bench.host(41));
    await relay.start();
    await bench.start(
      routerPlan({
        structure: {
          topologyHiding: true,
          rtpengine: [`udp:${relay.host}:${relay.port}`],
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
        routes: [{ name: "all", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    const answers: Promise<unknown>[] = [];
    afterEach(async () => {
      await Promise.all(answers.splice(0));
      for (const peer of [pbx, phone]) {
        peer.behaviour = answering(200);
        peer.received.length = 0;
      }
    });
    afterAll(async () => {
      await relay.stop();
      for (const one of [caller, callee]) one.close();
    });

    /** Its sessions are lost: it refuses the answers to all offers that it had. */
    const restart = async (): Promise<void> => {
      await relay.stop();
      await relay.start();
    };
    const media = (ear: RtpEnd, version = 1) => ({ fields: [SDP], body: ear.sdp(version) });
    /** As over a network: Kamailio 5.6 sends none to the second side once the first one has answered. */
    const endedAfterBoth: Behaviour = (message, send) => {
      if (message.method !== "BYE") answering(200)(message, send, phone);
      else
        answers.push(
          until("both sides have a BYE", () => [pbx, phone].every((peer) => peer.requests("BYE").length > 0)).then(() =>
            send(writeReply(message, 200)),
          ),
        );
    };
    /** Answers with its SDP, when `first` has been done. */
    const talking =
      (ear: RtpEnd, methods: readonly string[], first: () => Promise<void> = async () => {}): Behaviour =>
      (message, send, peer) => {
        if (message.method === "ACK") return;
        const contact = `<${peer.uri}>`;
        if (!methods.includes(message.method ?? "")) send(writeReply(message, 200, { contact }));
        else {
          // no need to ask again
          send(writeReply(message, 100));
          void first().then(() => send(writeReply(message, 200, { contact, ...media(ear) })));
        }
      };
    const acknowledge = (dialog: Dialog, cseq: number, more: Partial<Parameters<typeof within>[5]> = {}) =>
      within(phone, bench.router, dialog, "ACK", cseq, { contact: null, ...more });
    const refused = (): Promise<number> => metricOf(bench.kamailio.ip, "sipr_media_refused");

    /** without SDP, and without a word of the other side */
    function expectEmpty(message: SipMessage, other: RtpEnd): void {
      expect(message.body).toBe("");
      expect(header(message, "content-type")).toBe("");
      expect(header(message, "content-length")).toBe("0");
      expect(message.text).not.toContain(other.host);
    }
    async function expectEnded(): Promise<void> {
      for (const peer of [pbx, phone]) await peer.waitFor(`BYE at ${peer.uri}`, ({ method }) => method === "BYE");
      await until("no call is left", async () => (await bench.read()).calls === 0);
      expect(pbx.requests("BYE")).toHaveLength(1);
      expect(phone.requests("BYE")).toHaveLength(1);
    }

    const routed = (dialog: Dialog, ...fields: [string, string][]): [string, string][] => [
      ...dialog.routes.map((route): [string, string] => ["Route", route]),
      ...fields,
    ];
    const broken = (): string => callee.sdp().replace(/^m=.*$/m, "m=audio");
    /** until its caller hangs up */
    async function expectGoingOn(dialog: Dialog, cseq: number): Promise<void> {
      expect((await (await within(phone, bench.router, dialog, "INFO", cseq)).final()).status).toBe(200);
      expect((await bench.read()).calls).toBe(1);
      expect((await (await within(phone, bench.router, dialog, "BYE", cseq + 1)).final()).status).toBe(200);
      expect([pbx.requests("BYE").length, phone.requests("BYE").length]).toEqual([1, 0]);
    }

    test("the answer to a call", async () => {
      const before = await refused();
      pbx.behaviour = talking(callee, ["INVITE"], restart);
      phone.behaviour = endedAfterBoth;
      const { reply } = await call(phone, bench.router, "1000", media(caller));
      expect(reply.status).toBe(200);
      expectEmpty(reply, callee);
      await expectEnded();
      expect(await refused()).toBe(before + 1);
    });

    test("a provisional answer: the call goes on with the next one", async () => {
      pbx.behaviour = (message, send, peer) => {
        if (message.method === "ACK") return;
        const contact = `<${peer.uri}>`;
        if (message.method === "INVITE") {
          send(writeReply(message, 183, { contact, fields: [SDP], body: broken() }));
          void phone
            .waitFor("183", ({ status }) => status === 183)
            .then(() => send(writeReply(message, 200, { contact, ...media(callee) })));
        } else send(writeReply(message, 200, { contact }));
      };
      const { sent, reply, dialog } = await call(phone, bench.router, "1000", media(caller));
      const early = await until("183", () => sent.replies.find(({ status }) => status === 183));
      expectEmpty(early, callee);
      expect(streamOf(reply.body).host).toBe(relay.host);
      await caller.reaches(streamOf(reply.body), callee, "after it");
      await expectGoingOn(dialog, 2);
    });

    test("a reliable provisional answer: the call goes on with the SDP of the final one", async () => {
      pbx.behaviour = (message, send, peer) => {
        if (message.method === "ACK") return;
        const contact = `<${peer.uri}>`;
        if (message.method !== "INVITE") return send(writeReply(message, 200, { contact }));
        const fields = [SDP, ["Require", "100rel"], ["RSeq", "1"]] as const;
        send(writeReply(message, 183, { contact, fields, body: broken() }));
        void phone
          .waitFor("183", ({ status }) => status === 183)
          .then(() => send(writeReply(message, 200, { contact, ...media(callee) })));
      };
      const { reply, dialog } = await call(phone, bench.router, "1000", media(caller));
      expect(streamOf(reply.body).host).toBe(relay.host);
      await caller.reaches(streamOf(reply.body), callee, "after it");
      await expectGoingOn(dialog, 2);
    });

    test.each(["INVITE", "UPDATE"] as const)("of a refusal of a %s: the call goes on as it was", async (method) => {
      pbx.behaviour = talking(callee, ["INVITE"]);
      const { sent, dialog } = await call(phone, bench.router, "1000", media(caller));
      pbx.behaviour = (message, send, peer) => {
        if (message.method !== method) return talking(callee, ["INVITE"])(message, send, peer);
        send(writeReply(message, 488, { fields: [SDP], body: broken() }));
      };
      const more = { fields: routed(dialog, SDP), body: caller.sdp(2) };
      const refusal = await (await within(phone, bench.router, dialog, method, sent.input.cseq + 1, more)).final();
      expect(refusal.status).toBe(488);
      expectEmpty(refusal, callee);
      pbx.behaviour = talking(callee, ["INVITE"]);
      const next = sent.input.cseq + 2;
      const again = await within(phone, bench.router, dialog, "INVITE", next, { ...more, body: caller.sdp(3) });
      expect(streamOf((await again.final()).body).host).toBe(relay.host);
      await acknowledge(dialog, next);
      await expectGoingOn(dialog, next + 1);
    });

    test("the answer in an ACK", async () => {
      pbx.behaviour = talking(callee, ["INVITE"]);
      phone.behaviour = endedAfterBoth;
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      const reply = await sent.final();
      expect(streamOf(reply.body).host).toBe(relay.host);
      await restart();
      const dialog = callerDialog(reply);
      await acknowledge(dialog, 1, { fields: routed(dialog, SDP), body: caller.sdp() });
      expectEmpty(await pbx.waitFor("ACK", ({ method }) => method === "ACK"), caller);
      await expectEnded();
    });

    test("the offer in an answer", async () => {
      pbx.behaviour = talking({ sdp: broken } as RtpEnd, ["INVITE"]);
      phone.behaviour = endedAfterBoth;
      const { reply } = await call(phone, bench.router, "1000");
      expectEmpty(reply, callee);
      await expectEnded();
    });

    test.each(["INVITE", "UPDATE"] as const)("the answer to a %s within a call", async (method) => {
      pbx.behaviour = talking(callee, ["INVITE"]);
      const { sent, dialog } = await call(phone, bench.router, "1000", media(caller));
      pbx.behaviour = talking(callee, [method], restart);
      phone.behaviour = endedAfterBoth;
      const again = await within(phone, bench.router, dialog, method, sent.input.cseq + 1, {
        fields: routed(dialog, SDP),
        body: caller.sdp(2),
      });
      const answered = await again.final();
      expect(answered.status).toBe(200);
      expectEmpty(answered, callee);
      if (method === "INVITE") await acknowledge(dialog, sent.input.cseq + 1);
      await expectEnded();
      expect(callIdOf(answered)).toBe(sent.callId);
    });
  },
);
