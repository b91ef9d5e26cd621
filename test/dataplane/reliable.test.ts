/** Provisional answers that the caller acknowledges (RFC 3262). */
import { expect, test } from "vitest";
import { callerDialog, request, within } from "../support/sip/caller.ts";
import { challenging } from "../support/sip/challenger.ts";
import { header, writeReply, type SipMessage } from "../support/sip/message.ts";
import type { Behaviour, SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const account = { realm: "one.example", username: "acme", password: "secret" };

let phone: SipPeer, pbx: SipPeer, trunk: SipPeer;

/** Answers the call when its 183 was acknowledged: RAck names the RSeq, and the CSeq of the INVITE as this side knows it. */
const reliable = (): Behaviour => {
  let invite: SipMessage | undefined;
  let answer: (text: string) => void = () => undefined;
  return (message, send, peer) => {
    const contact = `<${peer.uri}>`;
    if (message.method === "INVITE") {
      invite = message;
      answer = send;
      const fields: [string, string][] = [
        ["Require", "100rel"],
        ["RSeq", "7"],
      ];
      send(writeReply(message, 183, { contact, fields }));
    } else if (message.method === "PRACK" && invite !== undefined) {
      const right = header(message, "rack") === `7 ${header(invite, "cseq")}`;
      send(writeReply(message, right ? 200 : 481));
      if (right) answer(writeReply(invite, 200, { contact }));
    } else if (message.method !== "ACK") send(writeReply(message, 200));
  };
};

withKamailio(
  "reliable provisional answers",
  async (bench) => {
    [phone, pbx, trunk] = await Promise.all([bench.peer(20, 5070), bench.peer(11), bench.peer(12)]);
    pbx.behaviour = reliable();
    trunk.behaviour = challenging(account, reliable()).behaviour;
    await bench.start(
      routerPlan({
        structure: { trunks: true },
        sets: [
          { name: "pbx", id: 1, destinations: [pbx] },
          { name: "trunk", id: 2, destinations: [trunk] },
        ],
        routes: [
          { name: "pbx", set: "pbx", digits: "1" },
          { name: "trunk", set: "trunk", digits: "2" },
        ],
        data: { trunks: { salt: "1", logins: [{ setId: 200, uri: trunk.uri, ...account }] } },
      }),
    );
  },
  (bench) => {
    test.each([
      ["of a PBX", "1", () => pbx],
      ["of a trunk whose challenge the router has answered, and whose INVITE has another number", "2", () => trunk],
    ])("%s are acknowledged by the caller, and the call goes on", async (_, number, callee) => {
      const fields: [string, string][] = [["Supported", "100rel"]];
      const sent = await request(phone, bench.router, {
        method: "INVITE",
        uri: `sip:${number}@${bench.router.host}`,
        fields,
      });
      const early = await until("183", () => sent.replies.find(({ status }) => status === 183));
      expect(header(early, "cseq")).toBe("1 INVITE");
      const dialog = callerDialog(early);
      const acknowledged = await within(phone, bench.router, dialog, "PRACK", 2, {
        fields: [["RAck", "7 1 INVITE"], ...dialog.routes.map((route): [string, string] => ["Route", route])],
      });
      expect((await acknowledged.final()).status).toBe(200);
      const reply = await sent.final();
      expect([reply.status, header(reply, "cseq")]).toEqual([200, "1 INVITE"]);
      await within(phone, bench.router, dialog, "ACK", 1, { contact: null });
      const invite = callee().requests("INVITE").at(-1) as SipMessage;
      const acknowledgement = header(invite, "cseq").replace("INVITE", "ACK");
      await callee().waitFor(acknowledgement, (message) => {
        const mine = header(message, "via") !== header(invite, "via");
        return mine && header(message, "cseq") === acknowledgement;
      });
      expect((await (await within(phone, bench.router, dialog, "BYE", 3)).final()).status).toBe(200);
      expect(callee().requests("BYE").length).toBeGreaterThan(0);
    });
  },
);
