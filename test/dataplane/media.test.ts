import { afterAll, afterEach, expect, test } from "vitest";
import { call, callOnce, calleeDialog, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { callIdOf, header, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { RtpEnd, Rtpengine, streamOf } from "../support/sip/media.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, backup: SipPeer, phone: SipPeer;
let relays: readonly Rtpengine[];
let caller: RtpEnd, callee: RtpEnd;

const SDP: [string, string] = ["Content-Type", "application/sdp"];

withKamailio(
  "media proxy",
  async (bench) => {
    [pbx, backup, phone] = await Promise.all([bench.peer(11), bench.peer(12), bench.peer(20, 5070)]);
    [caller, callee] = await Promise.all([RtpEnd.open(phone.host), RtpEnd.open(pbx.host)]);
    relays = [new Rtpengine(bench.host(41)), new Rtpengine(bench.host(42))];
    await Promise.all(relays.map((relay) => relay.start()));
    await bench.start(
      routerPlan({
        structure: {
          rtpengine: relays.map(({ host, port }) => `udp:${host}:${port}`),
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [{ name: "pbx", id: 1, destinations: [at(pbx), { ...at(backup), priority: 1 }] }],
        routes: [{ name: "all", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    /** answers calls with its own SDP, and requests without a body without one */
    const talking =
      (ear: RtpEnd, status = 200) =>
      (message: SipMessage, send: (text: string) => void, peer: SipPeer): void => {
        if (message.method === "ACK") return;
        const media =
          message.method === "INVITE" || message.method === "UPDATE" ? { fields: [SDP], body: ear.sdp() } : {};
        send(writeReply(message, message.method === "BYE" ? 200 : status, { contact: `<${peer.uri}>`, ...media }));
      };
    const invite = (more: Parameters<typeof call>[3] = {}) =>
      call(phone, bench.router, "1000", { fields: [SDP], body: caller.sdp(), ...more });
    const end = async (dialog: Dialog, cseq = 9): Promise<void> => {
      await (await within(phone, bench.router, dialog, "BYE", cseq)).final();
    };
    const hosts = (): readonly string[] => relays.map(({ host }) => host);
    const inviteAt = (peer: SipPeer, callId: string): SipMessage => {
      const found = peer.requests("INVITE").findLast((message) => callIdOf(message) === callId);
      if (found === undefined) throw new Error("the call did not arrive");
      return found;
    };

    afterEach(async () => {
      for (const one of [caller, callee]) one.received.splice(0);
      for (const peer of [pbx, backup]) peer.behaviour = answering(200);
      for (const relay of relays) {
        await relay.stop();
        await relay.start();
      }
    });
    afterAll(async () => {
      for (const relay of relays) await relay.stop();
      for (const one of [caller, callee]) one.close();
    });

    test("RTP goes through the proxy both ways, no SDP names the other side, and the session ends with the call", async () => {
      pbx.behaviour = talking(callee);
      const { sent, reply, dialog } = await invite();
      expect(reply.status).toBe(200);
      const towardsPbx = inviteAt(pbx, sent.callId).body;
      expect([...hosts()]).toContain(streamOf(towardsPbx).host);
      expect([...hosts()]).toContain(streamOf(reply.body).host);
      expect(towardsPbx).not.toContain(caller.host);
      expect(reply.body).not.toContain(callee.host);
      await caller.reaches(streamOf(reply.body), callee, "from the caller");
      await callee.reaches(streamOf(towardsPbx), caller, "from the callee");
      expect(new Set([...caller.received, ...callee.received].map(({ host }) => host))).toEqual(
        new Set([streamOf(reply.body).host]),
      );
      await end(dialog);
      expect(pbx.requests("BYE").map((bye) => callIdOf(bye))).toContain(sent.callId);
    });

    test("ICE is taken out of both sides: it would lead past the proxy, and names addresses", async () => {
      const withIce = (ear: RtpEnd): string =>
        [
          ...[ear.sdp().trimEnd(), "a=ice-ufrag:abcd", "a=ice-pwd:0123456789abcdef012345"],
          `a=candidate:1 1 UDP 2130706431 ${ear.host} 40000 typ host\r\n`,
        ].join("\r\n");
      pbx.behaviour = (message, send, peer) => {
        if (message.method === "ACK") return;
        const media = message.method === "INVITE" ? { fields: [SDP], body: withIce(callee) } : {};
        send(writeReply(message, 200, { contact: `<${peer.uri}>`, ...media }));
      };
      const { sent, reply, dialog } = await invite({ fields: [SDP], body: withIce(caller) });
      for (const body of [inviteAt(pbx, sent.callId).body, reply.body]) {
        expect(hosts()).toContain(streamOf(body).host);
        expect(body).not.toMatch(/a=(candidate|ice)/);
      }
      await end(dialog);
    });

    test("an offer that comes with the answer, answered in the ACK", async () => {
      pbx.behaviour = talking(callee);
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      const reply = await sent.final();
      expect(hosts()).toContain(streamOf(reply.body).host);
      const dialog: Dialog = {
        callId: sent.callId,
        local: sent.input.from,
        remote: header(reply, "to"),
        target: `${pbx.uri}`,
        routes: reply.fields
          .filter(([name]) => name === "record-route")
          .map(([, value]) => value)
          .toReversed(),
      };
      await within(phone, bench.router, dialog, "ACK", 1, {
        contact: null,
        fields: [...dialog.routes.map((route): [string, string] => ["Route", route]), SDP],
        body: caller.sdp(),
      });
      const ack = await pbx.waitFor("the ACK", (one) => one.method === "ACK" && callIdOf(one) === sent.callId);
      expect(hosts()).toContain(streamOf(ack.body).host);
      await caller.reaches(streamOf(reply.body), callee, "late offer");
      await end(dialog);
    });

    test("an offer in a reliable 183, answered in the PRACK", async () => {
      let ringing: [SipMessage, (text: string) => void] | undefined;
      pbx.behaviour = (message, send, peer) => {
        const contact = `<${peer.uri}>`;
        const reliable: [string, string][] = [["Require", "100rel"], ["RSeq", "7"], SDP];
        if (message.method === "INVITE") {
          ringing = [message, send];
          send(writeReply(message, 183, { contact, fields: reliable, body: callee.sdp() }));
        } else if (message.method !== "ACK") send(writeReply(message, 200));
        if (message.method === "PRACK" && ringing !== undefined) ringing[1](writeReply(ringing[0], 200, { contact }));
      };
      const sent = await request(phone, bench.router, {
        method: "INVITE",
        uri: "sip:1000@x",
        fields: [["Supported", "100rel"]],
      });
      const early = await until("183", () => sent.replies.find(({ status }) => status === 183));
      const dialog = callerDialog(early);
      const routes = dialog.routes.map((route): [string, string] => ["Route", route]);
      await within(phone, bench.router, dialog, "PRACK", 2, {
        fields: [...routes, ["RAck", "7 1 INVITE"], SDP],
        body: caller.sdp(),
      });
      expect((await sent.final()).status).toBe(200);
      const prack = pbx.requests("PRACK").find((one) => callIdOf(one) === sent.callId);
      expect(hosts()).toContain(streamOf(early.body).host);
      expect(hosts()).toContain(streamOf(prack?.body ?? "").host);
      await caller.reaches(streamOf(early.body), callee, "early, from the caller");
      await callee.reaches(streamOf(prack?.body ?? ""), caller, "early, from the callee");
      await within(phone, bench.router, dialog, "ACK", 1, { contact: null });
      await end(dialog);
    });

    test("an SDP that is one part of a body: it alone is changed", async () => {
      const mixed = (ear: RtpEnd): { fields: [string, string][]; body: string } => ({
        fields: [["Content-Type", 'multipart/mixed;boundary="part"']],
        body: [
          ...["--part", "Content-Type: application/sdp", "", ear.sdp().trimEnd()],
          ...["--part", "Content-Type: application/isup", "", "isup", "--part--", ""],
        ].join("\r\n"),
      });
      pbx.behaviour = (message, send, peer) => {
        if (message.method === "ACK") return;
        send(
          writeReply(message, 200, { contact: `<${peer.uri}>`, ...(message.method === "INVITE" ? mixed(callee) : {}) }),
        );
      };
      const { sent, reply, dialog } = await invite(mixed(caller));
      const arrived = inviteAt(pbx, sent.callId);
      for (const { body, text } of [arrived, reply]) {
        expect(hosts()).toContain(streamOf(body).host);
        expect(body).toMatch(/\r\n--part\r\nContent-Type: application\/isup\r\n\r\nisup\r\n--part--/);
        expect(text).toContain(`Content-Length: ${Buffer.byteLength(body)}\r\n`);
        for (const one of [caller, callee]) expect(body).not.toContain(one.host);
      }
      await caller.reaches(streamOf(reply.body), callee, "mixed");
      await end(dialog);
      const other = {
        fields: [["Content-Type", "multipart/related;boundary=part"]] as [string, string][],
        body: mixed(caller).body,
      };
      expect((await callOnce(phone, bench.router, "1000", other)).status).toBe(503);
    });

    test.each(["INVITE", "answer"] as const)(
      "an answer that is sent again after its transaction stays in the proxy: offer in the %s",
      async (where) => {
        pbx.behaviour = talking(callee);
        const { sent, reply, dialog } = await invite(where === "INVITE" ? {} : { fields: [], body: "" });
        const info = await within(phone, bench.router, dialog, "INFO", 2);
        await info.final();
        await until("a copy is no copy any more", async () => {
          await info.send();
          return pbx.requests("INFO").filter((one) => callIdOf(one) === sent.callId).length > 1;
        });
        const before = sent.finals.length;
        const options = { contact: `<${pbx.uri}>`, fields: [SDP], body: callee.sdp() };
        await pbx.send(bench.router, writeReply(inviteAt(pbx, sent.callId), 200, options));
        const late = await until("it arrives", () => sent.finals[before]);
        expect(late.body).not.toContain(callee.host);
        expect(streamOf(late.body)).toEqual(streamOf(reply.body));
        await end(dialog);
      },
    );

    test.each(["caller", "callee"] as const)("a re-INVITE of the %s stays in the proxy", async (side) => {
      pbx.behaviour = talking(callee);
      phone.behaviour = talking(caller);
      const { sent, reply, dialog } = await invite();
      expect(reply.status).toBe(200);
      const first = inviteAt(pbx, sent.callId);
      const [from, to, own, more] =
        side === "caller" ? [phone, pbx, dialog, caller.sdp(2)] : [pbx, phone, calleeDialog(first), callee.sdp(2)];
      const again = await within(from, bench.router, own, "INVITE", 5, {
        fields: [...own.routes.map((route): [string, string] => ["Route", route]), SDP],
        body: more,
      });
      const answered = await again.final();
      expect(answered.status).toBe(200);
      await within(from, bench.router, own, "ACK", 5, { contact: null });
      const arrived = inviteAt(to, sent.callId);
      expect(hosts()).toContain(streamOf(arrived.body).host);
      expect(hosts()).toContain(streamOf(answered.body).host);
      const towardsPbx = side === "caller" ? arrived.body : answered.body;
      const towardsPhone = side === "caller" ? answered.body : arrived.body;
      await caller.reaches(streamOf(towardsPhone), callee, "after it, from the caller");
      await callee.reaches(streamOf(towardsPbx), caller, "after it, from the callee");
      await end(dialog);
    });

    test("a call that fails over keeps its media", async () => {
      pbx.behaviour = answering(503);
      backup.behaviour = talking(callee);
      const { sent, reply, dialog } = await invite();
      expect(reply.status).toBe(200);
      const arrived = inviteAt(backup, sent.callId);
      expect(hosts()).toContain(streamOf(arrived.body).host);
      await caller.reaches(streamOf(reply.body), callee, "over there");
      await end(dialog);
    });

    test("a reading says which instances answer", async () => {
      const [first, second] = relays as [Rtpengine, Rtpengine];
      const answers = async (): Promise<readonly boolean[]> =>
        ((await bench.read()).mediaProxies ?? []).map((one) => one.answers);
      expect(await answers()).toEqual([true, true]);
      await first.stop();
      await until("one is missed", async () => String(await answers()) === "false,true");
      await second.stop();
      await until("both are missed", async () => String(await answers()) === "false,false");
      await Promise.all([first.start(), second.start()]);
      await until("both are back", async () => String(await answers()) === "true,true");
    });

    test("an instance that is down is passed over; when all are, calls are refused and nothing of them is left", async () => {
      pbx.behaviour = talking(callee);
      const [first, second] = relays as [Rtpengine, Rtpengine];
      await first.stop();
      for (let index = 0; index < 4; index += 1) {
        const { reply, dialog } = await invite();
        expect(streamOf(reply.body).host).toBe(second.host);
        await end(dialog);
      }
      await second.stop();
      const { status, reply } = await callOnce(phone, bench.router, "1000", { fields: [SDP], body: caller.sdp() });
      expect(status).toBe(503);
      expect(header(reply, "retry-after")).toMatch(/^[0-9]+$/);
      await until("no call is left", async () => (await bench.read()).calls === 0);
      await Promise.all([first.start(), second.start()]);
      await until(
        "calls are served again",
        async () => {
          const again = await invite();
          if (again.reply.status !== 200) return false;
          await end(again.dialog);
          return true;
        },
        30_000,
      );
    });
  },
);

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});
