import { expect, test } from "vitest";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { call, callerDialog, calleeDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { header, headers, writeReply, type SipMessage } from "../support/sip/message.ts";
import type { Behaviour, SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer, other: LocalKamailio;

/** Answers with everything in which a careless PBX or phone writes its own address. */
const careless: Behaviour = (message, send, peer) => {
  if (message.method === "ACK") return;
  send(
    writeReply(message, message.method === "REFER" ? 202 : 200, {
      contact: message.method === "REGISTER" ? header(message, "contact") : `<${peer.uri}>`,
      fields: ownAddressIn(peer),
    }),
  );
};

const ownAddressIn = ({ host, port }: SipPeer): readonly [string, string][] => [
  ["Warning", `399 ${host}:${port} "careless"`],
  ["P-Asserted-Identity", `"Me" <sip:me@${host}>`],
  ["Remote-Party-ID", `<sip:me@${host}:${port}>;party=calling`],
  ["Diversion", `<sip:500@${host}>;reason=unconditional`],
  ["Diversion", `<sip:501@${host}>;reason=no-answer`],
  ["History-Info", `<sip:500@${host}>;index=1, <sip:501@${host}>;index=1.1`],
  ["Reply-To", `<sip:${host}>`],
  ["Call-Info", `<sip:${host}/x>;purpose=info`],
];

const addressed = (peer: SipPeer, more: readonly (readonly [string, string])[] = []) => ({
  fields: [...ownAddressIn(peer), ...more],
});
const routesOf = (dialog: Dialog): readonly [string, string][] =>
  dialog.routes.map((route): [string, string] => ["Route", route]);

/** Header part of everything that `peer` has received. */
const headOf = (message: SipMessage): string => message.text.split("\r\n\r\n")[0] ?? "";
const revealing = (peer: SipPeer, hidden: SipPeer): readonly string[] =>
  peer.received.map(headOf).filter((head) => head.includes(hidden.host));

withKamailio(
  "topology hiding",
  async (bench) => {
    pbx = await bench.peer(11, 5060, "UDP", careless);
    phone = await bench.peer(20, 5070, "UDP", careless);
    const plan = routerPlan({
      structure: { topologyHiding: true },
      sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
      routes: [{ name: "pbx", set: "pbx", digits: "1" }],
    });
    await bench.start(plan);
    other = await LocalKamailio.start(bench.program, plan, bench.host(2));
  },
  (bench) => {
    const replica = () => ({ host: other.ip, port: 5060 });

    const everyRequestWithin = async (peer: SipPeer, dialog: Dialog, first: number, router = bench.router) => {
      const more = (fields: readonly [string, string][] = []) => ({
        fields: [...routesOf(dialog), ...addressed(peer, fields).fields],
      });
      let cseq = first;
      const methods: [string, [string, string][]][] = [
        ["INVITE", []],
        ["UPDATE", []],
        ["REFER", [["Refer-To", `<sip:1002@${peer.host}>`], ["Referred-By", `<sip:me@${peer.host}>`]]],
        ["NOTIFY", [["Event", "refer"], ["Subscription-State", "active"]]],
        ["INFO", []],
        ["MESSAGE", []],
      ]; // prettier-ignore
      for (const [method, fields] of methods) {
        const sent = await within(peer, router, dialog, method, (cseq += 1), more(fields));
        expect([method, (await sent.final()).status]).toEqual([method, method === "REFER" ? 202 : 200]);
        if (method === "INVITE") await within(peer, router, dialog, "ACK", cseq, { contact: null });
      }
      return cseq;
    };

    test("a call of a phone: no message of either side names the other side's address", async () => {
      const { sent, reply, dialog } = await call(phone, bench.router, "1000", {
        callId: `call@${phone.host}`,
        ...addressed(phone),
      });
      expect(reply.status).toBe(200);
      expect(header(reply, "call-id")).toBe(sent.callId);
      expect(header(reply, "from")).toContain(phone.host);
      const invite = pbx.requests("INVITE").at(-1) as SipMessage;
      expect(headers(invite, "diversion").length).toBe(2);
      expect(header(invite, "from")).toContain("sip:caller@");
      await everyRequestWithin(phone, dialog, 1);
      const back = calleeDialog(invite);
      const last = await everyRequestWithin(pbx, back, 100);
      expect((await (await within(pbx, bench.router, back, "BYE", last + 1)).final()).status).toBe(200);
      expect(phone.requests("BYE").length).toBe(1);
      expect(phone.requests("BYE")[0]?.uri).toContain(phone.host);
      expect(revealing(phone, pbx)).toEqual([]);
      expect(revealing(pbx, phone)).toEqual([]);
      expect(pbx.requests("REFER").length).toBe(1);
      expect(phone.requests("REFER").length).toBe(1);
    });

    test("any replica serves any request of a call", async () => {
      const { dialog } = await call(phone, bench.router, "1001", { callId: `other@${phone.host}` });
      const invite = pbx.requests("INVITE").at(-1) as SipMessage;
      const own = (text: string): string => text.replaceAll(bench.router.host, other.ip);
      const moved = { ...dialog, routes: dialog.routes.map(own) };
      const back = calleeDialog(invite);
      await everyRequestWithin(phone, moved, 1, replica());
      const movedBack = { ...back, routes: back.routes.map(own) };
      await everyRequestWithin(pbx, movedBack, 100, replica());
      expect((await (await within(phone, replica(), moved, "BYE", 50)).final()).status).toBe(200);
      expect(pbx.requests("BYE").length).toBe(1);
      expect(revealing(phone, pbx)).toEqual([]);
      expect(revealing(pbx, phone)).toEqual([]);
      await other.stop();
    });

    test("a call of the PBX to a registered phone", async () => {
      const registered = await request(phone, bench.router, {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        to: "<sip:1001@example.com>",
        from: "<sip:1001@example.com>;tag=r",
      });
      expect((await registered.final()).status).toBe(200);
      const path = header(pbx.requests("REGISTER")[0] as SipMessage, "path");
      const seen = pbx.received.length;
      const sent = await request(pbx, bench.router, {
        method: "INVITE",
        uri: phone.uri,
        callId: `pbx@${pbx.host}`,
        fields: [["Route", path], ...ownAddressIn(pbx)],
      });
      const reply = await sent.final();
      expect(reply.status).toBe(200);
      const dialog = callerDialog(reply);
      await within(pbx, bench.router, dialog, "ACK", 1, { contact: null });
      const invite = phone.requests("INVITE").at(-1) as SipMessage;
      await everyRequestWithin(pbx, dialog, 1);
      const back = calleeDialog(invite);
      const last = await everyRequestWithin(phone, back, 100);
      expect((await (await within(phone, bench.router, back, "BYE", last + 1)).final()).status).toBe(200);
      expect(revealing(phone, pbx)).toEqual([]);
      // the PBX knows the phone's address: it calls it, and names it in Request-URI and To
      const named = pbx.received.slice(seen).map((message) => headOf(message).replaceAll(/^(To|From): .*$/gim, ""));
      expect(named.filter((head) => head.includes(phone.host))).toEqual([]);
    });

    // of every remainder of three bytes
    test.each(["", "0", "00"])(
      "a transfer to a call that is there names it as the other side knows it, both ways, %s",
      async (more) => {
        const consulted = await call(phone, bench.router, "1005", { callId: `consulted${more}@${phone.host}` });
        const known = header(pbx.requests("INVITE").at(-1) as SipMessage, "call-id");
        const { dialog } = await call(phone, bench.router, "1006", { callId: `transferred${more}@${phone.host}` });
        const back = calleeDialog(pbx.requests("INVITE").at(-1) as SipMessage);
        const refer = async (peer: SipPeer, from: Dialog, callId: string, cseq: number): Promise<void> => {
          const replaces = `${encodeURIComponent(callId)}%3Bto-tag%3Dcallee%3Bfrom-tag%3Dx`;
          const sent = await within(peer, bench.router, from, "REFER", cseq, {
            fields: [...routesOf(from), ["Refer-To", `<sip:1005@${peer.host}?Replaces=${replaces}>`]],
          });
          expect((await sent.final()).status).toBe(202);
        };
        const referred = (peer: SipPeer): string =>
          decodeURIComponent(
            /Replaces=(.*)>/.exec(header(peer.requests("REFER").at(-1) as SipMessage, "refer-to"))?.[1] ?? "",
          );
        await refer(phone, dialog, consulted.sent.callId, 2);
        expect(known).not.toContain(phone.host);
        expect(referred(pbx)).toBe(`${known};to-tag=callee;from-tag=x`);
        await refer(pbx, back, known, 100);
        expect(referred(phone)).toBe(`${consulted.sent.callId};to-tag=callee;from-tag=x`);
      },
    );

    test.each([
      ["addresses", {}],
      ["names", { from: "<sip:1000@pbx.example>;tag=1", to: "<sip:1001@pbx.example>" }],
    ])(
      "a reply that comes late, when its transaction is over, hides as much: From and To have %s",
      async (_, names) => {
        const path = header(pbx.requests("REGISTER")[0] as SipMessage, "path");
        const invite = { method: "INVITE", uri: phone.uri, fields: [["Route", path]] as [string, string][], ...names };
        const sent = await request(pbx, bench.router, invite);
        const dialog = callerDialog(await sent.final());
        await within(pbx, bench.router, dialog, "ACK", 1, { contact: null });
        const back = calleeDialog(phone.requests("INVITE").at(-1) as SipMessage);
        const asked = await within(phone, bench.router, back, "INVITE", 2);
        await asked.final();
        await within(phone, bench.router, back, "ACK", 2, { contact: null });
        const again = pbx.requests("INVITE").at(-1) as SipMessage;
        const info = await within(phone, bench.router, back, "INFO", 3);
        await info.final();
        const known = pbx.requests("INFO").length;
        await until("a copy is no copy any more", async () => {
          await info.send();
          return pbx.requests("INFO").length > known;
        });
        const heard = asked.finals.length;
        await pbx.send(bench.router, writeReply(again, 200));
        await until("the late reply arrives", () => asked.finals.length > heard);
        expect(revealing(phone, pbx)).toEqual([]);
      },
    );

    test("nothing is wrong in the log", () => {
      expect(bench.kamailio.log).not.toMatch(/CRITICAL|BUG|ERROR/);
    });
  },
);

let silentPbx: SipPeer, backup: SipPeer, tcp: SipPeer, phoneTcp: SipPeer;

withKamailio(
  "topology hiding over several transports and destinations",
  async (bench) => {
    [silentPbx, backup, tcp, phone, phoneTcp] = await Promise.all([
      bench.peer(11, 5060, "UDP", careless),
      bench.peer(12, 5060, "UDP", careless),
      bench.peer(13, 5060, "TCP", careless),
      bench.peer(20, 5070, "UDP", careless),
      bench.peer(21, 5070, "TCP", careless),
    ]);
    await bench.start(
      routerPlan({
        structure: { topologyHiding: true, advertise: "203.0.113.10" },
        sets: [
          { name: "pair", id: 1, destinations: [silentPbx, { ...address(backup), priority: 1 }] },
          { name: "tcp", id: 2, destinations: [tcp] },
        ],
        routes: [
          { name: "pair", set: "pair", digits: "1" },
          { name: "tcp", set: "tcp", digits: "2" },
        ],
      }),
    );
  },
  (bench) => {
    test.each([
      ["UDP to TCP", "2000", () => [phone, tcp] as const],
      ["TCP to UDP", "1000", () => [phoneTcp, silentPbx] as const],
      ["TCP to TCP", "2000", () => [phoneTcp, tcp] as const],
    ])("%s: requests from both sides arrive", async (_, number, sides) => {
      const [caller, callee] = sides();
      const { reply, dialog } = await call(caller, bench.router, number, { callId: `${number}@${caller.host}` });
      expect(reply.status).toBe(200);
      const back = calleeDialog(callee.requests("INVITE").at(-1) as SipMessage);
      const refer = await within(callee, bench.router, back, "REFER", 100, {
        fields: [...routesOf(back), ["Refer-To", "<sip:1002@example.com>"]],
      });
      expect((await refer.final()).status).toBe(202);
      expect(header(caller.requests("REFER").at(-1) as SipMessage, "refer-to")).toBe("<sip:1002@example.com>");
      expect((await (await within(caller, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
      expect(callee.requests("BYE").length).toBeGreaterThan(0);
      expect([...revealing(caller, callee), ...revealing(callee, caller)]).toEqual([]);
      // what is advertised is all that is seen of the router
      const seen = callee.received.map(headOf).filter((head) => head.includes(`${bench.router.host}:`));
      expect(seen).toEqual([]);
    });

    test("failover and an answer of the backup", async () => {
      silentPbx.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 503));
      };
      const { sent, reply, dialog } = await call(phone, bench.router, "1001", { callId: `failing@${phone.host}` });
      expect(reply.status).toBe(200);
      const known = header(backup.requests("INVITE").at(-1) as SipMessage, "call-id");
      // the failed one was acknowledged under the name that it knows
      const ack = await silentPbx.waitFor(
        "ACK",
        ({ method, fields }) => method === "ACK" && fields.some(([, value]) => value === known),
      );
      expect(header(ack, "call-id")).toBe(known);
      expect(header(reply, "call-id")).toBe(sent.callId);
      expect((await (await within(phone, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
    });

    test("a call that is given up is cancelled under the name that the PBX knows", async () => {
      silentPbx.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 180));
        if (message.method !== "CANCEL") return;
        send(writeReply(message, 200));
        const invite = silentPbx.requests("INVITE").at(-1) as SipMessage;
        send(writeReply(invite, 487));
      };
      const sent = await request(phone, bench.router, {
        method: "INVITE",
        uri: `sip:1002@${bench.router.host}`,
        callId: `given-up@${phone.host}`,
      });
      await phone.waitFor("ringing", (message) => message.status === 180 && header(message, "call-id") === sent.callId);
      const { callId, branch, from, cseq, uri } = sent.input;
      await request(phone, bench.router, { method: "CANCEL", uri, callId, branch, from, cseq, contact: null });
      expect((await sent.final()).status).toBe(487);
      const invite = silentPbx.requests("INVITE").at(-1) as SipMessage;
      const cancel = silentPbx.requests("CANCEL").at(-1) as SipMessage;
      expect(header(cancel, "call-id")).toBe(header(invite, "call-id"));
      expect(headers(cancel, "via")[0]).toBe(headers(invite, "via")[0]);
      for (const pbxSide of [silentPbx, backup])
        expect([...revealing(phone, pbxSide), ...revealing(pbxSide, phone)]).toEqual([]);
    });
  },
);

const address = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});
