import { expect, test } from "vitest";
import { readCallPeers } from "../../src/kamailio/callPeers.ts";
import { call, calleeDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { callIdOf, header, headers, writeReply } from "../support/sip/message.ts";
import { answering, silent, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, pbxTcp: SipPeer, phone: SipPeer, phoneTcp: SipPeer, stranger: SipPeer, victim: SipPeer;

withKamailio(
  "dialogs",
  async (bench) => {
    [pbx, pbxTcp, phone, phoneTcp, stranger, victim] = await Promise.all([
      bench.peer(11),
      bench.peer(12, 5060, "TCP"),
      bench.peer(20, 5070),
      bench.peer(21, 5070, "TCP"),
      bench.peer(30, 5070),
      bench.peer(66),
    ]);
    await bench.start(
      routerPlan({
        sets: [
          { name: "udp", id: 1, destinations: [pbx] },
          { name: "tcp", id: 2, destinations: [pbxTcp] },
          {
            name: "both",
            id: 3,
            destinations: [pbx, { host: pbxTcp.host, port: pbxTcp.port, transport: "TCP", priority: 1 }],
          },
        ],
        routes: [
          { name: "udp", set: "udp", digits: "1", length: 4 },
          { name: "tcp", set: "tcp", digits: "2", length: 4 },
          { name: "both", set: "both", digits: "3", length: 4 },
        ],
      }),
    );
  },
  (bench) => {
    const invited = (peer: SipPeer, callId: string): Dialog => {
      const invite = peer.requests("INVITE").find((message) => callIdOf(message) === callId);
      if (invite === undefined) throw new Error("the call did not arrive");
      return calleeDialog(invite);
    };

    test("the ACK of a refusal ends it, also when it has the Route of the phone's outbound proxy", async () => {
      const uri = "sip:1000@pbx.example";
      const fields: [string, string][] = [["Route", "<sip:router.example;lr>"]];
      pbx.behaviour = answering(486);
      const sent = await request(phone, bench.router, { method: "INVITE", uri, fields });
      const refused = await phone.waitFor("the refusal", (message) => sent.finals[0] === message);
      const { callId, branch, from, cseq } = sent.input;
      const ack = { method: "ACK", uri, callId, branch, from, cseq, to: header(refused, "to"), contact: null, fields };
      await request(phone, bench.router, ack);
      // longer than the time after which a refusal without ACK is sent again
      pbx.behaviour = silent;
      expect((await (await request(phone, bench.router, { method: "INVITE", uri })).final()).status).toBe(503);
      pbx.behaviour = answering(200);
      expect(sent.finals.map(({ status }) => status)).toEqual([486]);
    });

    test.each([
      ["UDP to UDP", () => [phone, pbx, "1000"] as const],
      ["UDP to TCP", () => [phone, pbxTcp, "2000"] as const],
      ["TCP to UDP", () => [phoneTcp, pbx, "1001"] as const],
      ["TCP to TCP", () => [phoneTcp, pbxTcp, "2001"] as const],
    ])("%s: ACK, re-INVITE and BYE reach the other side, from both", async (_, sides) => {
      const [caller, callee, number] = sides();
      const { sent, reply, dialog } = await call(caller, bench.router, number);
      expect(reply.status).toBe(200);
      await callee.waitFor("ACK", (message) => message.method === "ACK" && callIdOf(message) === sent.callId);
      expect((await bench.read()).calls).toBe(1);

      const again = await within(caller, bench.router, dialog, "INVITE", 2);
      expect((await again.final()).status).toBe(200);
      await within(caller, bench.router, dialog, "ACK", 2, { contact: null });

      const back = invited(callee, sent.callId);
      const update = await within(callee, bench.router, back, "UPDATE", 100);
      expect((await update.final()).status).toBe(200);
      expect(caller.requests("UPDATE").map((message) => callIdOf(message))).toContain(sent.callId);
      const bye = await within(callee, bench.router, back, "BYE", 101);
      expect((await bye.final()).status).toBe(200);
      expect(caller.requests("BYE").map((message) => callIdOf(message))).toContain(sent.callId);
      await until("the call is over", async () => (await bench.read()).calls === 0);
    });

    test("within a call an answer may take longer than a call that fails over waits", async () => {
      const { dialog } = await call(phone, bench.router, "1000");
      // three times the timeout of a first request here: the third retransmission is answered
      let copies = 0;
      pbx.behaviour = (message, send) => {
        copies += 1;
        if (copies > 3) send(writeReply(message, 200));
      };
      const update = await within(phone, bench.router, dialog, "UPDATE", 2);
      expect((await update.final()).status).toBe(200);
      pbx.behaviour = answering(200);
      expect((await (await within(phone, bench.router, dialog, "BYE", 3)).final()).status).toBe(200);
    });

    test("the caller hears of the call through the router, and the router stays in the path", async () => {
      const { sent, reply, dialog } = await call(phone, bench.router, "1000");
      expect(headers(reply, "record-route")).toEqual([expect.stringContaining(`sip:${bench.router.host}`)]);
      expect(headers(reply, "via").length).toBe(1);
      await (await within(phone, bench.router, dialog, "BYE", 2)).final();
      expect(pbx.requests("BYE").map((message) => callIdOf(message))).toContain(sent.callId);
    });

    test("a phone behind NAT is reached where its requests come from", async () => {
      const { sent, dialog } = await call(phone, bench.router, "1000", { contact: "<sip:caller@192.168.77.7:5060>" });
      const back = invited(pbx, sent.callId);
      const bye = await within(pbx, bench.router, back, "BYE", 100);
      expect((await bye.final()).status).toBe(200);
      const received = await phone.waitFor(
        "BYE",
        (message) => message.method === "BYE" && callIdOf(message) === sent.callId,
      );
      expect(received.uri).toBe("sip:caller@192.168.77.7:5060");
      expect(dialog.remote).toContain(";tag=");
    });

    test("a call counts where it was sent and came from, whatever name is in Contact", async () => {
      pbx.behaviour = answering(503);
      pbxTcp.behaviour = answering(200, { contact: "<sip:x@pbx.example>" });
      const hosts = () =>
        until("the call is answered", async () => {
          const [one] = await readCallPeers((method, ...params) => bench.call(method, ...params), 1, new Map());
          return one?.hosts;
        });
      const end = async (callId: string) => {
        expect((await (await within(pbxTcp, bench.router, invited(pbxTcp, callId), "BYE", 9)).final()).status).toBe(
          200,
        );
        await until("the call is over", async () => (await bench.read()).calls === 0);
      };
      const { sent } = await call(phone, bench.router, "3000");
      expect(await hosts()).toEqual([phone.host, "pbx.example", pbxTcp.host]);
      await end(sent.callId);
      const out = await call(pbx, bench.router, "2000", { contact: `<${phone.uri}>` });
      expect(await hosts()).toEqual([phone.host, "pbx.example", pbxTcp.host, pbx.host]);
      await end(out.sent.callId);
      for (const peer of [pbx, pbxTcp]) peer.behaviour = answering(200);
    });

    test("a reply to nothing is not passed on", async () => {
      await stranger.send(
        bench.router,
        [
          "SIP/2.0 200 OK",
          `Via: SIP/2.0/UDP ${bench.router.host}:5060;branch=z9hG4bKx`,
          `Via: SIP/2.0/UDP ${victim.host}:5060;branch=z9hG4bKy`,
          "From: <sip:a@x>;tag=1",
          "To: <sip:b@x>;tag=2",
          "Call-ID: nothing",
          "CSeq: 1 INVITE",
          "Content-Length: 0",
          "",
          "",
        ].join("\r\n"),
      );
      // the router has handled it when it answers what was sent after it
      expect(
        (await (await request(stranger, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` })).final())
          .status,
      ).toBe(200);
      expect(victim.received).toEqual([]);
    });

    test("a BYE without a Route is for no call", async () => {
      const sent = await request(stranger, bench.router, { method: "BYE", uri: victim.uri, to: "<sip:b@x>;tag=2" });
      expect((await sent.final()).status).toBe(481);
      expect(header(sent.replies[0] ?? (await sent.final()), "call-id")).toBe(sent.callId);
    });
  },
);
