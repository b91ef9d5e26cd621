/** A 2xx to INVITE that is sent again when its transaction is over (RFC 3261 13.3.1.4), and what is only said to be one. */
import { expect, test } from "vitest";
import { call, calleeDialog, request, within, type Dialog, type Sent } from "../support/sip/caller.ts";
import { callIdOf, header, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer,
  pbxTcp: SipPeer,
  phone: SipPeer,
  phoneTcp: SipPeer,
  other: SipPeer,
  victim: SipPeer,
  victimTcp: SipPeer;
const NOWHERE = "192.168.77.7";

withKamailio(
  "late replies",
  async (bench) => {
    [pbx, pbxTcp, phone, phoneTcp, other, victim, victimTcp] = await Promise.all([
      bench.peer(11),
      bench.peer(12, 5060, "TCP"),
      bench.peer(20, 5070),
      bench.peer(21, 5070, "TCP"),
      bench.peer(22, 5070, "TCP"),
      bench.peer(66),
      bench.peer(67, 5060, "TCP"),
    ]);
    await bench.start(
      routerPlan({
        // no transaction of its own
        structure: {
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [
          { name: "udp", id: 1, destinations: [pbx] },
          { name: "tcp", id: 2, destinations: [pbxTcp] },
        ],
        routes: [
          { name: "udp", set: "udp", digits: "1", length: 4 },
          { name: "tcp", set: "tcp", digits: "2", length: 4 },
        ],
      }),
    );
  },
  (bench) => {
    const requestAt = (peer: SipPeer, method: string, callId: string): SipMessage => {
      const found = peer.requests(method).findLast((message) => callIdOf(message) === callId);
      if (found === undefined) throw new Error(`no ${method} arrived`);
      return found;
    };
    /** All transactions of the call so far are over: a copy of a request is passed on as a new one. */
    const over = async (caller: SipPeer, callee: SipPeer, dialog: Dialog): Promise<void> => {
      const info = await within(caller, bench.router, dialog, "INFO", 50);
      await info.final();
      const copies = () => callee.requests("INFO").filter((message) => callIdOf(message) === dialog.callId).length;
      await until("a copy is no copy any more", async () => {
        await info.send();
        return copies() > 1;
      });
    };
    /** Everything that was sent to the router before has been worked on. */
    const settled = async (): Promise<void> => {
      for (let index = 0; index < 4; index += 1)
        await (await request(phone, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` })).final();
    };
    /** with a Via that says nothing of where it came from, as behind NAT */
    const natted = async (caller: SipPeer, number: string): Promise<{ sent: Sent; dialog: Dialog }> => {
      const contact = `<sip:caller@${NOWHERE}:5060;transport=${caller.transport.toLowerCase()}>`;
      return call(caller, bench.router, number, { contact });
    };

    test.each([
      ["UDP, the callee on UDP", () => [phone, pbx, "1000"] as const],
      ["UDP, the callee on TCP", () => [phone, pbxTcp, "2000"] as const],
      ["TCP, the callee on UDP", () => [phoneTcp, pbx, "1000"] as const],
      ["TCP, the callee on TCP", () => [phoneTcp, pbxTcp, "2000"] as const],
    ])(
      "a 2xx that is sent again after its transaction reaches the caller on %s, and one to a new INVITE its sender",
      async (_, sides) => {
        const [caller, callee, number] = sides();
        const { sent, dialog } = await natted(caller, number);
        const invite = requestAt(callee, "INVITE", sent.callId);
        const back = await within(callee, bench.router, calleeDialog(invite), "INVITE", 100);
        expect((await back.final()).status).toBe(200);
        await within(callee, bench.router, calleeDialog(invite), "ACK", 100, { contact: null });
        const again = requestAt(caller, "INVITE", sent.callId);
        await over(caller, callee, dialog);
        const [before, beforeBack] = [sent.finals.length, back.finals.length];
        await callee.send(bench.router, writeReply(invite, 200, { contact: `<${callee.uri}>` }));
        await until("the caller hears it again", () => sent.finals.length > before);
        await caller.send(bench.router, writeReply(again, 200, { contact: `<${caller.uri}>` }));
        await until("so does the callee", () => back.finals.length > beforeBack);
        expect((await (await within(caller, bench.router, dialog, "BYE", 51)).final()).status).toBe(200);
      },
    );

    test("a reply that is forged within a call goes to nobody, over no connection, and opens none", async () => {
      // has a connection to the router, whose number is easily guessed
      await (await request(other, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` })).final();
      const known = [other.received.length, victim.received.length, victimTcp.received.length];
      for (const caller of [phone, phoneTcp]) {
        const { sent, dialog, reply } = await call(caller, bench.router, "1000");
        await over(caller, pbx, dialog);
        const routerVia = `SIP/2.0/${caller.transport} ${bench.router.host}:5060;branch=z9hG4bKx`;
        const own = header(reply, "via");
        const forged = (status: number, method: string, via1: string, via2: string): string =>
          [
            `SIP/2.0 ${status} Forged`,
            `Via: ${via1}`,
            `Via: ${via2}`,
            `From: ${header(reply, "from")}`,
            `To: ${header(reply, "to")}`,
            `Call-ID: ${sent.callId}`,
            `CSeq: 1 ${method}`,
            "Contact: <sip:x@x>",
            "Content-Length: 0",
            "",
            "",
          ].join("\r\n");
        const others = [
          `SIP/2.0/UDP ${victim.host}:5060;branch=z9hG4bKy`,
          `SIP/2.0/TCP ${victimTcp.host}:5060;branch=z9hG4bKy`,
          `SIP/2.0/UDP ${caller.host}:${caller.port};received=${victim.host};rport=5060;branch=z9hG4bKy`,
          `SIP/2.0/UDP ${caller.host}:5060;rport=5060;received=${victim.host};branch=z9hG4bKy`,
          `SIP/2.0/TCP localhost:5060;branch=z9hG4bKy`,
          `SIP/2.0/UDP ${pbx.host}:5062;branch=z9hG4bKy`,
        ];
        for (const via2 of others)
          for (const [status, method] of [
            [200, "INVITE"],
            [180, "INVITE"],
            [404, "INVITE"],
            [200, "INFO"],
          ] as const)
            await caller.send(bench.router, forged(status, method, routerVia, via2));
        if (caller === phoneTcp)
          for (let id = 0; id < 64; id += 1)
            for (const text of [
              `;i=${id.toString(16)}`,
              `;branch="x;i=9";i=${id.toString(16)}`,
              `; I = ${id.toString(16)}`,
            ])
              await caller.send(bench.router, forged(200, "INVITE", `${routerVia}${text}`, own));
        await settled();
        expect((await (await within(caller, bench.router, dialog, "BYE", 51)).final()).status).toBe(200);
      }
      expect([other.received.length, victim.received.length, victimTcp.received.length]).toEqual(known);
      pbx.behaviour = answering(200);
    });

    test("nothing is wrong in the log", () => {
      expect(bench.kamailio.log).not.toMatch(/CRITICAL|BUG/);
    });
  },
);
