/** Several replicas behind one advertised address: what one of them knows ends with a BYE that came in at another. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan, StructurePlan } from "../../src/ir/index.ts";
import { call, calleeDialog, callerDialog, callOnce, request, within, type Dialog } from "../support/sip/caller.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, writeMessage, writeReply } from "../support/sip/message.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";
import { ADVERTISED, PEER_PORT, at, behindOneAddress, startReplica } from "./replicas.ts";

let pbx: SipPeer, backup: SipPeer, phone: SipPeer, stranger: SipPeer;
let other: LocalKamailio | undefined;

/** the PBX takes one call at a time */
const plan = (structure: Partial<StructurePlan> = {}): RouterPlan =>
  routerPlan({
    structure: {
      ...behindOneAddress,
      maxCalls: true,
      ...structure,
    },
    sets: [
      {
        name: "pbx",
        id: 1,
        destinations: [
          { host: pbx.host, port: pbx.port },
          { host: backup.host, port: backup.port, priority: 1 },
        ],
      },
    ],
    routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
    data: { caps: [pbx, backup].map(({ uri }) => ({ uri, backend: "pbx", limit: 1 })) },
  });

const startBoth = async (bench: Bench, structure?: Partial<StructurePlan>): Promise<void> => {
  [pbx, backup, phone, stranger] = await Promise.all([
    bench.peer(11),
    bench.peer(12),
    bench.peer(20, 5070),
    bench.peer(66),
  ]);
  await bench.start(plan(structure));
  other = await startReplica(bench, plan(structure));
};

/** the PBX's side of a call that it got */
const answered = (callId: string): Dialog => {
  const invite = pbx.requests("INVITE").find((message) => callIdOf(message) === callId);
  if (invite === undefined) throw new Error("the call did not arrive");
  return calleeDialog(invite);
};

const reset = (): void => {
  for (const peer of [pbx, backup, phone, stranger]) {
    peer.behaviour = answering(200);
    peer.received.length = 0;
  }
};

/** unlike `answering`, a BYE too */
const refusing =
  (status: number): Behaviour =>
  (message, send) => {
    if (message.method !== "ACK") send(writeReply(message, status));
  };

/** calls that ran out, as the metric and the log tell of them */
const ranOut = async (bench: Bench): Promise<unknown> => {
  const counted = await metricOf(bench.host(1), "dialog_expired_dialogs");
  return [counted, bench.kamailio.log.includes("dlg timeout")];
};

const callsOf = async (bench: Bench): Promise<number> => (await bench.read()).calls ?? -1;
const noneLeft = (bench: Bench): Promise<unknown> =>
  until("the first replica has no call", async () => (await callsOf(bench)) === 0);
const byesOf = (peer: SipPeer): readonly string[] => peer.requests("BYE").map(callIdOf);

/** Replicas find each other within ten seconds: until then an end is told to nobody. */
const untilTold = (bench: Bench): Promise<unknown> =>
  until(
    "the replicas know each other",
    async () => {
      const { dialog, reply } = await call(phone, at(bench, 1), "1000");
      if (reply.status !== 200) return false;
      await (await within(phone, at(bench, 2), dialog, "BYE", 2)).final();
      const told = await until("told", async () => (await callsOf(bench)) === 0, 4000).catch(() => false);
      if (told === false) await (await within(phone, at(bench, 1), dialog, "BYE", 3)).final();
      return told !== false;
    },
    40_000,
  );

withKamailio(
  "one address of several replicas",
  (bench) => startBoth(bench),
  (bench) => {
    beforeEach(reset);
    afterAll(() => other?.stop());

    test("a call ends with a BYE at the other replica, of its caller and of the PBX; its place is free again, and nobody hears of it twice", async () => {
      await untilTold(bench);
      reset();
      const first = await call(phone, at(bench, 1), "1000");
      expect((await callOnce(phone, at(bench, 1), "1000")).status).toBe(503);
      expect((await (await within(phone, at(bench, 2), first.dialog, "BYE", 2)).final()).status).toBe(200);
      await noneLeft(bench);

      const second = await call(phone, at(bench, 1), "1000");
      expect(second.reply.status).toBe(200);
      const back = await within(pbx, at(bench, 2), answered(second.sent.callId), "BYE", 7);
      expect((await back.final()).status).toBe(200);
      await noneLeft(bench);

      expect((await callOnce(phone, at(bench, 1), "1000")).status).toBe(200);
      await noneLeft(bench);
      expect(await ranOut(bench)).toEqual([0, false]);
      expect(byesOf(pbx).filter((callId) => callId === first.sent.callId)).toHaveLength(1);
      expect(byesOf(pbx)).not.toContain(second.sent.callId);
      expect(byesOf(phone)).toEqual([second.sent.callId]);
    });

    test("a call ends whose ACK and BYE come in at the other replica", async () => {
      const uri = `sip:1000@${bench.host(1)}`;
      const dialog = callerDialog(await (await request(phone, at(bench, 1), { method: "INVITE", uri })).final());
      await within(phone, at(bench, 2), dialog, "ACK", 1, { contact: null });
      await pbx.waitFor("ACK", ({ method }) => method === "ACK");
      expect(await callsOf(bench)).toBe(1);
      expect((await (await within(phone, at(bench, 2), dialog, "BYE", 2)).final()).status).toBe(200);
      await noneLeft(bench);
      expect(await ranOut(bench)).toEqual([0, false]);
    });

    test("a call of the PBX to a phone ends with a BYE of the phone at the other replica", async () => {
      const invite = await request(pbx, at(bench, 1), {
        method: "INVITE",
        uri: `sip:1001@${phone.host}:${phone.port}`,
        fields: [["Route", `<sip:path@${ADVERTISED};lr;received=sip:${phone.host}:${phone.port}>`]],
      });
      const reply = await invite.final();
      expect(reply.status).toBe(200);
      await within(pbx, at(bench, 1), callerDialog(reply), "ACK", 1, { contact: null });
      expect(await callsOf(bench)).toBe(1);
      const [arrived] = phone.requests("INVITE");
      if (arrived === undefined) throw new Error("the call did not arrive");
      expect((await (await within(phone, at(bench, 2), calleeDialog(arrived), "BYE", 7)).final()).status).toBe(200);
      await noneLeft(bench);
      expect(byesOf(pbx)).toEqual([invite.callId]);
    });

    /** the calls that are left when a further one has ended at the other replica: what was sent before has been heard by then */
    const leftAfterAnother = async (): Promise<string> => {
      const invite = await request(pbx, at(bench, 1), {
        method: "INVITE",
        uri: `sip:1001@${phone.host}:${phone.port}`,
        fields: [["Route", `<sip:path@${ADVERTISED};lr;received=sip:${phone.host}:${phone.port}>`]],
      });
      const reply = await invite.final();
      const dialog = callerDialog(reply);
      await within(pbx, at(bench, 1), dialog, "ACK", 1, { contact: null });
      expect(await callsOf(bench)).toBe(2);
      expect((await (await within(pbx, at(bench, 2), dialog, "BYE", 2)).final()).status).toBe(200);
      await until("the later call has ended", async () => (await callsOf(bench)) <= 1);
      return JSON.stringify(await bench.call("dlg.briefing", "cFIs"));
    };

    test("a BYE that no replica has proved ends no count: without a key, with that of another call, from a stranger", async () => {
      const { dialog, sent } = await call(phone, at(bench, 1), "1000");
      const routes = dialog.routes.map((route) => route.replace(/;k=[^;>]+/, ""));
      const wrong = dialog.routes.map((route) => route.replace(/;k=[^;>]+/, `;k=100-${"0".repeat(32)}`));
      const back = answered(sent.callId);
      await (await within(phone, at(bench, 2), { ...dialog, routes }, "BYE", 10)).final();
      await (await within(stranger, at(bench, 2), { ...dialog, routes: wrong }, "BYE", 11)).final();
      await (await within(pbx, at(bench, 2), { ...back, routes: wrong }, "BYE", 12)).final();
      await (await within(stranger, at(bench, 2), { ...dialog, target: stranger.uri }, "BYE", 13)).final();
      expect(await leftAfterAnother()).toContain(sent.callId);
      await (await within(phone, at(bench, 1), dialog, "BYE", 20)).final();
      await noneLeft(bench);
    });

    test("a BYE that the PBX refuses ends no count, nor does one that another PBX of the set refuses", async () => {
      const { dialog, sent } = await call(phone, at(bench, 1), "1000");
      for (const [index, status] of [401, 403, 407, 500].entries()) {
        pbx.behaviour = refusing(status);
        const bye = await within(phone, at(bench, 2), dialog, "BYE", 10 + index);
        expect((await bye.final()).status).toBe(status);
      }
      backup.behaviour = refusing(481);
      const elsewhere = await within(phone, at(bench, 2), { ...dialog, target: backup.uri }, "BYE", 20);
      expect((await elsewhere.final()).status).toBe(481);
      expect(byesOf(backup)).toEqual([sent.callId]);
      pbx.behaviour = answering(200);
      expect(await leftAfterAnother()).toContain(sent.callId);
      pbx.behaviour = refusing(481);
      expect((await (await within(phone, at(bench, 2), dialog, "BYE", 30)).final()).status).toBe(481);
      await noneLeft(bench);
    });

    test("a stranger who speaks as a replica is not heard", async () => {
      const { dialog, sent } = await call(phone, at(bench, 1), "1000");
      const tags = [dialog.local, dialog.remote].map((text) => text.split("tag=")[1] ?? "");
      const body = [sent.callId, ...tags].map((text) => Buffer.from(text).toString("base64")).join(".");
      for (const channel of ["SIPR_PEER_KEY.ended", ".ended", "ended", "x.ended", "notification_peer"])
        for (const port of [PEER_PORT, 5060])
          await stranger.send(
            { host: bench.host(1), port },
            writeMessage({
              first: `KDMQ sip:${channel}@${bench.host(1)}:${port} SIP/2.0`,
              fields: [
                ["Via", `SIP/2.0/UDP ${stranger.host}:5060;branch=z9hG4bK${channel}${port}`],
                ["To", `<sip:${channel}@${bench.host(1)}:${port}>`],
                ["From", `<sip:${channel}@${stranger.host}:5060>;tag=1`],
                ["CSeq", "10 KDMQ"],
                ["Call-ID", `stranger-${channel}-${port}`],
                ["Max-Forwards", "1"],
                ["Content-Type", "text/plain"],
              ],
              body,
            }),
          );
      expect(await leftAfterAnother()).toContain(sent.callId);
      expect(stranger.received).toEqual([]);
      await (await within(phone, at(bench, 1), dialog, "BYE", 20)).final();
      await noneLeft(bench);
    });

    test("a replica that is gone is waited for by no BYE; the next one is told of calls again", async () => {
      const third = await LocalKamailio.start(bench.program, plan(), bench.host(3), {}, bench.host(1));
      await third.kill();
      const { dialog } = await call(phone, at(bench, 1), "1000");
      expect((await (await within(phone, at(bench, 2), dialog, "BYE", 2)).final()).status).toBe(200);
      await noneLeft(bench);
      await other?.stop();
      other = await startReplica(bench, plan());
      await untilTold(bench);
    });

    test("a replica that drains ends when its last call has ended at another one", async () => {
      const { dialog } = await call(phone, at(bench, 1), "1000");
      const drained = bench.kamailio.drain();
      await until("it drains", async () => (await callOnce(phone, at(bench, 1), "1000")).status === 503);
      expect((await (await within(phone, at(bench, 2), dialog, "BYE", 2)).final()).status).toBe(200);
      expect(await drained).toBe(0);
      expect(await callsOf(bench)).toBe(0);
    });
  },
);

withKamailio(
  "one address of several replicas, with topology hiding",
  (bench) => startBoth(bench, { topologyHiding: true }),
  (bench) => {
    beforeEach(reset);
    afterAll(() => other?.stop());

    test("a call ends with a BYE at the other replica, of its caller and of the PBX", async () => {
      await untilTold(bench);
      const { dialog } = await call(phone, at(bench, 1), "1000");
      expect((await (await within(phone, at(bench, 2), dialog, "BYE", 2)).final()).status).toBe(200);
      await noneLeft(bench);
      reset();
      expect((await call(phone, at(bench, 1), "1000")).reply.status).toBe(200);
      const [invite] = pbx.requests("INVITE");
      if (invite === undefined) throw new Error("the call did not arrive");
      expect((await (await within(pbx, at(bench, 2), calleeDialog(invite), "BYE", 7)).final()).status).toBe(200);
      await noneLeft(bench);
      expect(await ranOut(bench)).toEqual([0, false]);
    });
  },
);
