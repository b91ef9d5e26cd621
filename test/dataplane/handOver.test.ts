/** Several replicas behind one advertised address: a phone on a connection is reached through the one that has it. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan, StructurePlan } from "../../src/ir/index.ts";
import { call, calleeDialog, callerDialog, callOnce, request, within } from "../support/sip/caller.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import {
  callIdOf,
  header,
  headers,
  tagOf,
  uriIn,
  writeMessage,
  writeReply,
  type SipMessage,
} from "../support/sip/message.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";
import { ADVERTISED, PEER_PORT, at, behindOneAddress, startReplica } from "./replicas.ts";

let pbx: SipPeer, pbxTcp: SipPeer, phone: SipPeer, phoneUdp: SipPeer, stranger: SipPeer;
let other: LocalKamailio | undefined;

const plan = (structure: Partial<StructurePlan> = {}): RouterPlan =>
  routerPlan({
    structure: {
      ...behindOneAddress,
      ...structure,
    },
    sets: [
      { name: "pbx", id: 1, destinations: [pbx] },
      { name: "tcp", id: 2, destinations: [pbxTcp] },
    ],
    routes: [
      { name: "phones", set: "pbx", digits: "1", length: 4 },
      { name: "over-tcp", set: "tcp", digits: "2", length: 4 },
    ],
    data: { limits: { requestsPerSecond: 100, banSeconds: 60 }, trunks: { salt: "1", logins: [] } },
  });

/** The phone has its connection to the second replica, where it registers. */
const startBoth = async (bench: Bench, structure?: Partial<StructurePlan>): Promise<void> => {
  [pbx, pbxTcp, phone, phoneUdp, stranger] = await Promise.all([
    bench.peer(11),
    bench.peer(12, 5060, "TCP"),
    bench.peer(20, 5070, "TCP"),
    bench.peer(21, 5070),
    bench.peer(66),
  ]);
  await bench.start(plan(structure));
  other = await startReplica(bench, plan(structure));
};

const reset = (): void => {
  for (const peer of [pbx, pbxTcp, phone, phoneUdp, stranger]) {
    peer.behaviour = answering(200);
    peer.received.length = 0;
  }
};

/** what a PBX has of a phone that registered: its Contact, and its Path as a Route */
interface Registered {
  readonly uri: string;
  readonly fields: readonly [string, string][];
}

async function register(bench: Bench, from: SipPeer, user = "1001", name = user): Promise<Registered> {
  const own = `<sip:${user}@${ADVERTISED}>`;
  const sent = await request(from, at(bench, 2), {
    method: "REGISTER",
    uri: `sip:${ADVERTISED}`,
    from: `${own};tag=1`,
    to: own,
    contact: `<sip:${name}@192.168.77.7:5060;transport=${from.transport.toLowerCase()}>`,
  });
  expect((await sent.final()).status).toBe(200);
  const registrar = user.startsWith("2") ? pbxTcp : pbx;
  const arrived = registrar.requests("REGISTER").find((message) => callIdOf(message) === sent.callId);
  if (arrived === undefined) throw new Error("the registration did not arrive");
  return { uri: uriIn(header(arrived, "contact")), fields: headers(arrived, "path").map((path) => ["Route", path]) };
}

/** Replicas find each other within ten seconds. */
const untilFound = (bench: Bench): Promise<unknown> =>
  until(
    "the replicas know each other",
    async () => {
      const registered = await register(bench, phone);
      return (await (await request(pbx, at(bench, 1), { method: "OPTIONS", ...registered })).final()).status === 200;
    },
    40_000,
  );

const first = (peer: SipPeer, method: string): SipMessage => {
  const [message] = peer.requests(method);
  if (message === undefined) throw new Error(`no ${method} has arrived`);
  return message;
};
const untilCounted = (peer: SipPeer, method: string, count: number): Promise<unknown> =>
  until(`${count} ${method} have arrived`, () => peer.requests(method).length === count);

const callsAt = async (bench: Bench, kamailio: LocalKamailio | undefined): Promise<number> => {
  if (kamailio === undefined) throw new Error("it does not run");
  const stats = (await bench.control.call(kamailio.control, "dlg.stats_active", [])) as { all?: number };
  return stats.all ?? -1;
};

/** rings, and is cancelled */
const ringing: Behaviour = (message, send, peer) => {
  if (message.method === "INVITE") send(writeReply(message, 180, { contact: `<${peer.uri}>` }));
  if (message.method !== "CANCEL") return;
  send(writeReply(message, 200));
  send(writeReply(first(peer, "INVITE"), 487));
};

for (const topologyHiding of [false, true])
  withKamailio(
    `phones on connections behind one address${topologyHiding ? ", with topology hiding" : ""}`,
    async (bench) => {
      await startBoth(bench, { topologyHiding, rateLimit: true, trunks: true });
      await untilFound(bench);
    },
    (bench) => {
      beforeEach(reset);
      afterAll(() => other?.stop());

      /** addresses of the pods; with topology hiding also those of the other side */
      const nothingRevealed = (): void => {
        const seen = (peer: SipPeer): string =>
          peer.received
            .filter((message) => !registering(message))
            .map(({ text }) => text)
            .join("\n");
        const own = [bench.host(1), bench.host(2)];
        const registering = (message: SipMessage): boolean => header(message, "cseq").endsWith("REGISTER");
        for (const address of [...own, ...(topologyHiding ? [pbx.host] : [])])
          expect(seen(phone)).not.toContain(`${address}:`);
        for (const address of own) expect(seen(pbx)).not.toContain(`${address}:`);
        expect(seen(phone) + seen(pbx)).not.toMatch(/^(TH|P-Handed-Over):/im);
      };

      test("a call of the PBX at the other replica reaches the phone, with all that is sent within it, from both sides", async () => {
        const registered = await register(bench, phone);
        const { sent, reply, dialog } = await call(pbx, at(bench, 1), "1001", registered);
        expect([reply.status, callIdOf(reply)]).toEqual([200, sent.callId]);
        const invite = first(phone, "INVITE");
        expect([invite.uri, headers(invite, "route")]).toEqual([registered.uri, []]);
        await untilCounted(phone, "ACK", 1);
        expect([await callsAt(bench, bench.kamailio), await callsAt(bench, other)]).toEqual([0, 1]);
        let cseq = 1;
        for (const last of [1, 2, 1])
          for (const method of ["INVITE", "UPDATE", "INFO"]) {
            const one = await within(pbx, at(bench, last), dialog, method, (cseq += 1));
            expect([method, (await one.final()).status]).toEqual([method, 200]);
            if (method === "INVITE") await within(pbx, at(bench, last), dialog, "ACK", cseq, { contact: null });
          }
        const back = calleeDialog(invite);
        expect((await (await within(phone, at(bench, 2), back, "INVITE", 70)).final()).status).toBe(200);
        await within(phone, at(bench, 2), back, "ACK", 70, { contact: null });
        await untilCounted(pbx, "ACK", 1);
        await untilCounted(phone, "ACK", 4);
        // Asterisk writes the Path behind the route of the call
        const fields = [...dialog.routes.map((route): [string, string] => ["Route", route]), ...registered.fields];
        expect((await (await within(pbx, at(bench, 1), dialog, "BYE", 99, { fields })).final()).status).toBe(200);
        expect(phone.requests("BYE").map((bye) => headers(bye, "route"))).toEqual([[]]);
        expect(await callsAt(bench, other)).toBe(0);
        nothingRevealed();
      });

      test("an answer that is sent again when its transactions are over comes back", async () => {
        const { sent, reply, dialog } = await call(pbx, at(bench, 1), "1001", await register(bench, phone));
        const info = await within(pbx, at(bench, 1), dialog, "INFO", 2);
        await info.final();
        await until("a copy is no copy any more", async () => {
          await info.send();
          return phone.requests("INFO").length > 1;
        });
        const before = sent.finals.length;
        await phone.send(at(bench, 2), writeReply(first(phone, "INVITE"), 200, { contact: `<${phone.uri}>` }));
        const late = await until("it comes", () => sent.finals[before]);
        for (const name of ["via", "record-route"]) expect(headers(late, name)).toEqual(headers(reply, name));
        for (const name of ["from", "to"]) expect(tagOf(header(late, name))).toBe(tagOf(header(reply, name)));
        await within(pbx, at(bench, 1), callerDialog(late), "ACK", 1, { contact: null });
        await untilCounted(phone, "ACK", 2);
        expect((await (await within(pbx, at(bench, 1), dialog, "BYE", 3)).final()).status).toBe(200);
        nothingRevealed();
      });

      test("the phone hangs up", async () => {
        await call(pbx, at(bench, 1), "1001", await register(bench, phone));
        const back = calleeDialog(first(phone, "INVITE"));
        expect((await (await within(phone, at(bench, 2), back, "BYE", 7)).final()).status).toBe(200);
        expect(pbx.requests("BYE")).toHaveLength(1);
        expect(await callsAt(bench, other)).toBe(0);
      });

      test("in a call of the phone all that the PBX sends reaches it, wherever it comes in", async () => {
        const { reply } = await call(phone, at(bench, 2), "1000");
        expect(reply.status).toBe(200);
        const invite = first(pbx, "INVITE");
        const back = calleeDialog(invite);
        for (const [index, method] of ["INVITE", "UPDATE", "INFO", "BYE"].entries()) {
          const one = await within(pbx, at(bench, 1), back, method, 10 + index);
          const answered = await one.final();
          expect([method, answered.status, callIdOf(answered)]).toEqual([method, 200, callIdOf(invite)]);
          if (method === "INVITE") await within(pbx, at(bench, 1), back, "ACK", 10 + index, { contact: null });
        }
        expect([phone.requests("ACK").length, phone.requests("BYE").length]).toEqual([1, 1]);
        expect(await callsAt(bench, other)).toBe(0);
        nothingRevealed();
      });

      test("a refusal comes back, and a call that the PBX gives up stops ringing", async () => {
        const registered = await register(bench, phone);
        phone.behaviour = answering(486);
        expect((await call(pbx, at(bench, 1), "1001", registered)).reply.status).toBe(486);
        await untilCounted(phone, "ACK", 1);
        reset();
        phone.behaviour = ringing;
        const sent = await request(pbx, at(bench, 1), { method: "INVITE", ...registered });
        await until("it rings", () => sent.replies.some(({ status }) => status === 180));
        const { callId, branch, from } = sent.input;
        const cancel = await request(pbx, at(bench, 1), {
          method: "CANCEL",
          ...registered,
          callId,
          branch,
          from,
          contact: null,
        });
        expect((await cancel.final()).status).toBe(200);
        expect((await sent.final()).status).toBe(487);
        expect(await callsAt(bench, other)).toBe(0);
        nothingRevealed();
      });

      test("what starts no call reaches the phone, and so does what it has subscribed to", async () => {
        const registered = await register(bench, phone);
        for (const method of ["OPTIONS", "MESSAGE", "NOTIFY"]) {
          const sent = await request(pbx, at(bench, 1), { method, ...registered });
          expect([method, (await sent.final()).status]).toEqual([method, 200]);
        }
        const event: [string, string] = ["Event", "dialog"];
        const subscribed = await request(phone, at(bench, 2), {
          method: "SUBSCRIBE",
          uri: `sip:1002@${ADVERTISED}`,
          fields: [event, ["Expires", "60"]],
        });
        expect((await subscribed.final()).status).toBe(200);
        const back = calleeDialog(first(pbx, "SUBSCRIBE"));
        const fields = [...back.routes.map((route): [string, string] => ["Route", route]), event];
        const notified = await within(pbx, at(bench, 1), back, "NOTIFY", 9, { fields });
        expect((await notified.final()).status).toBe(200);
        expect(phone.requests("NOTIFY").map(callIdOf)).toContain(subscribed.callId);
      });

      test("replicas hand over as much as comes in: the rate of a source is counted once, where it comes in", async () => {
        const registered = await register(bench, phone);
        const many = Array.from({ length: 150 }, async () => {
          const sent = await request(pbx, at(bench, 1), { method: "MESSAGE", ...registered });
          return (await sent.final()).status;
        });
        expect(new Set(await Promise.all(many))).toEqual(new Set([200]));
      });

      test("a PBX on a connection of its own reaches the phone, too", async () => {
        const registered = await register(bench, phone, "2001");
        const { reply, dialog } = await call(pbxTcp, at(bench, 1), "2001", registered);
        expect(reply.status).toBe(200);
        await untilCounted(phone, "ACK", 1);
        expect((await (await within(pbxTcp, at(bench, 1), dialog, "BYE", 2)).final()).status).toBe(200);
        expect([phone.requests("BYE").length, await callsAt(bench, other)]).toEqual([1, 0]);
      });

      test("a phone has the name that it likes in its Contact, also one that replicas use among themselves", async () => {
        const registered = await register(bench, phone, "1001", "htable");
        const { reply, dialog } = await call(pbx, at(bench, 1), "1001", registered);
        expect(reply.status).toBe(200);
        expect((await (await within(pbx, at(bench, 1), dialog, "BYE", 2)).final()).status).toBe(200);
      });

      test("a phone on UDP is reached from the replica that the call comes in at", async () => {
        const registered = await register(bench, phoneUdp);
        const { reply, dialog } = await call(pbx, at(bench, 1), "1001", registered);
        expect(reply.status).toBe(200);
        expect(await callsAt(bench, bench.kamailio)).toBe(1);
        expect((await (await within(pbx, at(bench, 1), dialog, "BYE", 2)).final()).status).toBe(200);
      });

      test("nobody but a backend is handed over, whatever he writes", async () => {
        const registered = await register(bench, phone);
        const [, route = ""] = registered.fields[0] ?? [];
        reset();
        const sent = await request(stranger, at(bench, 1), { method: "INVITE", ...registered });
        expect((await sent.final()).status).toBe(200);
        expect(pbx.requests("INVITE")).toHaveLength(1);
        const strange = { callId: "strange", local: "<sip:x@x>;tag=1", remote: "<sip:y@x>;tag=2", target: phone.uri };
        for (const last of [1, 2]) {
          const one = await within(stranger, at(bench, last), { ...strange, routes: [route] }, "BYE", 2);
          expect((await one.final()).status).toBe(481);
        }
        expect(phone.received).toEqual([]);
      });

      test("who speaks as a replica without the key is not heard", async () => {
        const registered = await register(bench, phone);
        const [, route = ""] = registered.fields[0] ?? [];
        reset();
        const told = `udp|5060|udp:${pbx.host}:5060`;
        const fields = (method: string, proof: string): [string, string][] => [
          ["Via", `SIP/2.0/UDP ${stranger.host}:5060;branch=z9hG4bK${method}${proof}`],
          ["Max-Forwards", "70"],
          ["From", "<sip:x@x>;tag=1"],
          ["To", "<sip:1001@x>"],
          ["Call-ID", `${method}-${proof}`],
          ["CSeq", `1 ${method}`],
          ["Contact", `<sip:x@${stranger.host}>`],
          ["Route", route],
          ["P-Handed-Over", `${proof}|${told}`],
        ];
        for (const method of ["INVITE", "OPTIONS", "BYE", "REGISTER", "CANCEL", "ACK"])
          for (const proof of ["", "0".repeat(32), "SIPR_PEER_KEY"])
            await stranger.send(
              { host: bench.host(2), port: PEER_PORT },
              writeMessage({ first: `${method} ${registered.uri} SIP/2.0`, fields: fields(method, proof) }),
            );
        // at the port for everybody the header says nothing
        const more: [string, string][] = [...registered.fields, ["P-Handed-Over", `${"0".repeat(32)}|${told}`]];
        const sent = await request(stranger, at(bench, 2), { method: "INVITE", uri: registered.uri, fields: more });
        expect((await sent.final()).status).toBe(200);
        // what is sent afterwards arrives: all before it was read
        expect((await call(pbx, at(bench, 1), "1001", registered)).reply.status).toBe(200);
        expect(phone.requests("INVITE")).toHaveLength(1);
        for (const method of ["OPTIONS", "BYE", "CANCEL"]) expect(phone.requests(method)).toEqual([]);
        expect(stranger.received.filter(({ method }) => method !== undefined)).toEqual([]);
        await (
          await within(pbx, at(bench, 2), (await call(pbx, at(bench, 1), "1001", registered)).dialog, "BYE", 2)
        ).final();
      });
    },
  );

withKamailio(
  "phones on connections behind one address, whose replica ends",
  async (bench) => {
    await startBoth(bench);
    await untilFound(bench);
  },
  (bench) => {
    beforeEach(reset);
    afterAll(() => other?.stop());

    test("one that drains is handed calls for its phones; one that is gone is nobody's owner, and the next one is", async () => {
      const registered = await register(bench, phone);
      const onUdp = await register(bench, phoneUdp, "1002");
      const { dialog } = await call(pbx, at(bench, 1), "1001", registered);
      const drained = other?.drain();
      await until("it drains", async () => (await callOnce(phoneUdp, at(bench, 2), "1000")).status === 503);
      const second = await call(pbx, at(bench, 1), "1001", registered);
      expect(second.reply.status).toBe(200);
      for (const each of [dialog, second.dialog])
        expect((await (await within(pbx, at(bench, 1), each, "BYE", 2)).final()).status).toBe(200);
      expect(await drained).toBe(0);

      await other?.kill();
      expect((await call(pbx, at(bench, 1), "1001", registered)).reply.status).toBe(408);
      expect((await call(pbx, at(bench, 1), "1002", onUdp)).reply.status).toBe(200);
      other = await startReplica(bench, plan());
      await untilFound(bench);
      expect((await call(pbx, at(bench, 1), "1001", await register(bench, phone))).reply.status).toBe(200);
    });
  },
);
