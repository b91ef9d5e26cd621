/** Several replicas behind one advertised address: a call of a trunk that challenges goes on at another one than its first. */
import { createHash } from "node:crypto";
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan, StructurePlan } from "../../src/ir/index.ts";
import { call, calleeDialog, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { challenging, type Account, type Challenger } from "../support/sip/challenger.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, header, headers, tagOf, writeMessage, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";
import { PEER_PORT, at, behindOneAddress, startReplica } from "./replicas.ts";

const account: Account = { realm: "one.example", username: "acme", password: "secret" };

let phone: SipPeer, pbx: SipPeer, trunk: SipPeer;
let challenger: Challenger;
let other: LocalKamailio | undefined;

const plan = (structure: Partial<StructurePlan> = {}): RouterPlan =>
  routerPlan({
    structure: {
      ...behindOneAddress,
      trunks: true,
      ...structure,
    },
    sets: [
      { name: "trunk", id: 1, destinations: [trunk] },
      { name: "pbx", id: 2, destinations: [pbx] },
    ],
    routes: [
      { name: "out", set: "trunk", digits: "0" },
      { name: "pbx", set: "pbx", digits: "1" },
    ],
    data: {
      trunks: { salt: "1", logins: [{ setId: 100, uri: trunk.uri, ...account }] },
      ...(structure.authentication === undefined ? {} : { credentials: { salt: "1", users: [] } }),
    },
  });

const startBoth = async (bench: Bench, structure?: Partial<StructurePlan>): Promise<void> => {
  [phone, pbx, trunk] = await Promise.all([bench.peer(20, 5070), bench.peer(12), bench.peer(11)]);
  reset();
  await bench.start(plan(structure), undefined, bench.host(1));
  other = await startReplica(bench, plan(structure));
  await untilShared(bench);
};

const reset = (then: Behaviour = answering(200)): void => {
  for (const peer of [phone, pbx, trunk]) {
    peer.behaviour = answering(200);
    peer.received.length = 0;
  }
  challenger = challenging(account, then);
  trunk.behaviour = challenger.behaviour;
};

interface Row {
  /** by how much the number of a call is moved, as a replica knows it */
  readonly value: string;
  /** as in 2026-11-27 10:00:00 */
  readonly expire: string;
}
const itemAt = async (bench: Bench, last: number, key: string): Promise<Row | undefined> => {
  const address = { ...bench.kamailio.control, host: bench.host(last) };
  const found = await bench.control.call(address, "htable.get", ["moved", key]).catch(() => undefined);
  return (found as { item?: Row } | undefined)?.item;
};
const rowAt = async (bench: Bench, last: number, key: string): Promise<string | undefined> =>
  (await itemAt(bench, last, key))?.value;
const keyOf = ({ callId, local }: Pick<Dialog, "callId" | "local">): string =>
  createHash("md5")
    .update(`${callId} ${tagOf(local)}`)
    .digest("hex");

/** Replicas find each other within ten seconds. */
const untilShared = (bench: Bench, first = 1, second = 2): Promise<unknown> =>
  until(
    "the replicas know each other",
    async () => {
      const { dialog } = await call(pbx, at(bench, first), "0123");
      const shared = until("shared", async () => (await rowAt(bench, second, keyOf(dialog))) !== undefined, 2000);
      const known = await shared.catch(() => false);
      await (await within(pbx, at(bench, first), dialog, "BYE", 2)).final();
      return known !== false;
    },
    40_000,
  );

/** A pod tells the others what a trunk has asked; who would ask them at once would find what was before. */
const untilTold = (bench: Bench, dialog: Dialog): Promise<unknown> =>
  until("told", async () => {
    const row = await rowAt(bench, 1, keyOf(dialog));
    return row !== undefined && row === (await rowAt(bench, 2, keyOf(dialog)));
  });

/** Of a call that has ended nothing is kept for long. */
const untilForgotten = async (bench: Bench, dialog: Dialog): Promise<void> => {
  for (const last of [1, 2])
    await until(`replica ${last} forgets the call`, async () => {
      const { expire = "" } = (await itemAt(bench, last, keyOf(dialog))) ?? {};
      return Date.parse(expire) < Date.now() + 120_000;
    });
};

const callsOf = async (bench: Bench): Promise<number> => (await bench.read()).calls ?? -1;
const numberOf = (message: SipMessage): number => Number(header(message, "cseq").split(" ")[0]);

/** of the only call */
const callIdAtTrunk = (): string => callIdOf(challenger.accepted[0] as SipMessage);

/** What the trunk has heard of one call: numbers that go up, and ACKs of INVITEs that it has answered. */
const inOrder = (callId = callIdAtTrunk()): void => {
  const all = trunk.received.filter((message) => message.method !== undefined && callIdOf(message) === callId);
  const numbers = all.filter(({ method }) => method !== "ACK").map(numberOf);
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
  expect(challenger.rejected).toEqual([]);
  const ofCall = challenger.accepted.filter((message) => callIdOf(message) === callId);
  const answered = ofCall.filter(({ method }) => method === "INVITE").map(numberOf);
  const via = (message: SipMessage): string => headers(message, "via")[0] ?? "";
  // the ACK of a challenge is of the INVITE's own transaction
  const hops = all.filter(({ method }) => method === "INVITE").map(via);
  const acks = all.filter((message) => message.method === "ACK" && !hops.includes(via(message)));
  expect(acks.map(numberOf)).toEqual(answered);
};
const untilAcknowledged = (callId = callIdAtTrunk()): Promise<unknown> =>
  until("the last INVITE is acknowledged", () => {
    const last = challenger.accepted.findLast(({ method }) => method === "INVITE");
    return trunk
      .requests("ACK")
      .some((ack) => callIdOf(ack) === callId && last !== undefined && numberOf(ack) === numberOf(last));
  });

const ack = (bench: Bench, last: number, from: SipPeer, dialog: Dialog, number: number): Promise<unknown> =>
  within(from, at(bench, last), dialog, "ACK", number, { contact: null });
/** the status of the answer, which has the number that the caller has given */
const ask = async (bench: Bench, last: number, from: SipPeer, dialog: Dialog, method: string, number: number) =>
  (await (await within(from, at(bench, last), dialog, method, number)).final()).status;

for (const topologyHiding of [false, true])
  withKamailio(
    `trunks of replicas behind one address${topologyHiding ? ", with topology hiding" : ""}`,
    (bench) => startBoth(bench, { topologyHiding }),
    (bench) => {
      beforeEach(() => reset());
      afterAll(() => other?.stop());

      /** where the INVITE comes in, and then ACK, INVITE, its ACK, INFO, INVITE, its ACK, BYE */
      test.each([
        [1, 2, 2, 2, 2, 2, 2, 2],
        [1, 2, 2, 1, 1, 2, 1, 2],
        [2, 2, 1, 2, 2, 1, 2, 1],
      ])("requests of one call come in at replicas %i %i %i %i %i %i %i %i, and are challenged", async (...hops) => {
        for (const caller of [phone, pbx]) {
          reset();
          const [first = 1, second = 1, ...rest] = hops;
          const invite = await request(caller, at(bench, first), {
            method: "INVITE",
            uri: `sip:0123@${bench.host(first)}`,
            cseq: 41,
            callId: `a-"b"\\${Math.random()}%{c}::@${caller.host}`,
          });
          const reply = await invite.final();
          expect([reply.status, header(reply, "cseq")]).toEqual([200, "41 INVITE"]);
          const dialog = callerDialog(reply);
          await untilTold(bench, dialog);
          await ack(bench, second, caller, dialog, 41);
          await untilAcknowledged();
          let number = 41;
          for (const [index, method] of ["INVITE", "ACK", "INFO", "INVITE", "ACK", "BYE"].entries()) {
            const last = rest[index] ?? 1;
            if (method === "ACK") {
              await ack(bench, last, caller, dialog, number);
              await untilAcknowledged();
            } else {
              expect([method, await ask(bench, last, caller, dialog, method, (number += 1))]).toEqual([method, 200]);
              await untilTold(bench, dialog);
            }
          }
          inOrder();
          await untilForgotten(bench, dialog);
          expect(challenger.accepted.map(({ method }) => method)).toEqual([
            "INVITE",
            "INVITE",
            "INFO",
            "INVITE",
            "BYE",
          ]);
          await until("no replica has the call", async () => (await callsOf(bench)) === 0);
        }
      });

      test("what the trunk sends has its own numbers, wherever it comes in", async () => {
        const { sent, dialog } = await call(phone, at(bench, 1), "0123");
        await untilTold(bench, dialog);
        const back = calleeDialog(challenger.accepted[0] as SipMessage);
        expect(await ask(bench, 2, trunk, back, "INVITE", 7)).toBe(200);
        await ack(bench, 2, trunk, back, 7);
        await phone.waitFor("ACK", ({ method }) => method === "ACK");
        expect(await ask(bench, 2, trunk, back, "BYE", 8)).toBe(200);
        await phone.waitFor("BYE", ({ method }) => method === "BYE");
        const heard = phone.received.filter((one) => one.method !== undefined && callIdOf(one) === sent.callId);
        expect(heard.map((one) => header(one, "cseq"))).toEqual(["7 INVITE", "7 ACK", "8 BYE"]);
        await untilForgotten(bench, dialog);
      });

      test("provisional answers are acknowledged at the other replica, and the call then has its INVITE's number", async () => {
        let answer = (): void => undefined;
        reset((message, send, peer) => {
          const contact = `<${peer.uri}>`;
          const fields: [string, string][] = [
            ["Require", "100rel"],
            ["RSeq", "7"],
          ];
          if (message.method === "INVITE") {
            answer = () => send(writeReply(message, 200, { contact }));
            send(writeReply(message, 183, { contact, fields }));
          } else if (message.method !== "ACK") send(writeReply(message, 200));
        });
        const fields: [string, string][] = [["Supported", "100rel"]];
        const uri = `sip:0123@${bench.host(1)}`;
        const sent = await request(phone, at(bench, 1), { method: "INVITE", uri, fields });
        const early = await until("183", () => sent.replies.find(({ status }) => status === 183));
        const dialog = callerDialog(early);
        await untilTold(bench, dialog);
        const routes = dialog.routes.map((route): [string, string] => ["Route", route]);
        const more = { fields: [["RAck", "7 1 INVITE"], ...routes] as [string, string][] };
        expect((await (await within(phone, at(bench, 2), dialog, "PRACK", 2, more)).final()).status).toBe(200);
        expect(header(challenger.accepted.at(-1) as SipMessage, "rack")).toBe("7 2 INVITE");
        answer();
        expect((await sent.final()).status).toBe(200);
        await ack(bench, 2, phone, dialog, 1);
        await untilAcknowledged();
        await untilTold(bench, dialog);
        expect(await ask(bench, 1, phone, dialog, "BYE", 3)).toBe(200);
        inOrder();
      });

      test("a BYE at the other replica that the trunk refuses ends no count; one that it does not know ends it", async () => {
        const { dialog } = await call(phone, at(bench, 1), "0123");
        await untilTold(bench, dialog);
        for (const [number, status] of [
          [2, 500],
          [3, 481],
        ] as const) {
          challenger = challenging(account, (message, send) => send(writeReply(message, status)));
          trunk.behaviour = challenger.behaviour;
          expect(await ask(bench, 2, phone, dialog, "BYE", number)).toBe(status);
          if (status === 500) expect(await callsOf(bench)).toBe(1);
        }
        await until("the first replica has no call", async () => (await callsOf(bench)) === 0);
      });

      test.each([
        [1, "challenges and refuses", 480],
        [1, "does not answer", undefined],
        [2, "refuses", 480],
      ])(
        "of a call whose BYE comes in at replica %i and the trunk %s nothing is kept for long",
        async (last, what, status) => {
          const bye: Behaviour = (message, send, peer) => {
            if (message.method !== "BYE") answering(200)(message, send, peer);
            else if (status !== undefined) send(writeReply(message, status));
          };
          reset(bye);
          const { dialog } = await call(phone, at(bench, 1), "0123");
          await untilTold(bench, dialog);
          if (!what.includes("challenges")) trunk.behaviour = bye;
          const sent = await within(phone, at(bench, last), dialog, "BYE", 2);
          await trunk.waitFor("BYE", ({ method }) => method === "BYE");
          if (status !== undefined) expect((await sent.final()).status).toBe(status);
          await untilForgotten(bench, dialog);
          trunk.behaviour = answering(200);
          if (last === 1) await sent.final();
          else expect(await ask(bench, 2, phone, dialog, "BYE", 3)).toBe(200);
          await until("no replica has the call", async () => (await callsOf(bench)) === 0);
        },
      );

      test("another backend that a caller sends his BYE to, and which challenges it, is told nothing of the trunk's credentials", async () => {
        const { dialog } = await call(phone, at(bench, 1), "0123");
        await untilTold(bench, dialog);
        const fields: [string, string][] = [["Proxy-Authenticate", 'Digest realm="one.example", nonce="1"']];
        pbx.behaviour = (message, send) => send(writeReply(message, 407, { fields }));
        expect(await ask(bench, 2, phone, { ...dialog, target: pbx.uri }, "BYE", 2)).toBe(407);
        expect(pbx.requests("BYE").flatMap((bye) => headers(bye, "proxy-authorization"))).toEqual([]);
        expect(await ask(bench, 2, phone, dialog, "BYE", 3)).toBe(200);
        await until("the first replica has no call", async () => (await callsOf(bench)) === 0);
      });

      test("a call that the trunk refuses leaves nothing behind", async () => {
        let refuse = (): void => undefined;
        reset((message, send) => {
          if (message.method === "INVITE") refuse = () => send(writeReply(message, 486));
        });
        const uri = `sip:0123@${bench.host(1)}`;
        const sent = await request(phone, at(bench, 1), { method: "INVITE", uri });
        const key = keyOf({ callId: sent.callId, local: sent.input.from });
        for (const last of [1, 2])
          await until(`replica ${last} knows it`, async () => (await rowAt(bench, last, key)) !== undefined);
        refuse();
        const reply = await sent.final();
        expect([reply.status, header(reply, "cseq")]).toEqual([486, "1 INVITE"]);
        for (const last of [1, 2])
          await until(`replica ${last} has no row`, async () => (await rowAt(bench, last, key)) === undefined);
      });
    },
  );

const modes: [string, Partial<StructurePlan>][] = [
  ["Forward", {}],
  [
    "Registrar",
    { registration: { mode: "Registrar", maxExpiresSeconds: 300 }, authentication: { realm: "router.example" } },
  ],
];
for (const [mode, structure] of modes)
  withKamailio(
    `trunks of replicas that die, ${mode}`,
    (bench) => startBoth(bench, structure),
    (bench) => {
      beforeEach(() => reset());
      afterAll(() => other?.stop());

      test("a call goes on when the replica that began it has died, and at the one that takes its place", async () => {
        const begun = await call(pbx, at(bench, 2), "0123");
        const later = await call(pbx, at(bench, 2), "0123");
        await until("shared", async () => (await rowAt(bench, 1, keyOf(later.dialog))) !== undefined);
        await other?.kill();
        expect(await ask(bench, 1, pbx, begun.dialog, "INVITE", 2)).toBe(200);
        await ack(bench, 1, pbx, begun.dialog, 2);
        await untilAcknowledged(begun.sent.callId);
        expect(await ask(bench, 1, pbx, begun.dialog, "BYE", 3)).toBe(200);
        inOrder(begun.sent.callId);
        other = await startReplica(bench, plan(structure));
        await until("it is told", async () => (await rowAt(bench, 2, keyOf(later.dialog))) !== undefined, 40_000);
        expect(await ask(bench, 2, pbx, later.dialog, "BYE", 2)).toBe(200);
        inOrder(later.sent.callId);
      });

      test("a replica that starts is told of all calls, however many", async () => {
        const keys = Array.from({ length: 400 }, (_, index) =>
          createHash("md5").update(`${mode} ${index}`).digest("hex"),
        );
        const untilAllTold = async (): Promise<void> => {
          for (const key of keys)
            await until(`it is told of ${key}`, async () => (await rowAt(bench, 2, key)) !== undefined, 40_000);
        };
        for (const key of keys) await bench.call("htable.sets", "moved", key, `1|1|100 ${trunk.uri}`);
        // else it is told one by one what the one before it has not heard
        await untilAllTold();
        await other?.kill();
        other = await startReplica(bench, plan(structure));
        await untilAllTold();
      });

      test("nobody writes the tables of a replica who does not know its key, also from the address of another one", async () => {
        const stranger = await bench.peer(2, 5999);
        const cell = { htname: "st", cname: "written", type: 2, strval: "yes" };
        const bodies = [{ action: 1, ...cell, mode: 1 }, { cells: [{ ...cell, expire: 2_000_000_000 }] }];
        for (const [index, body] of bodies.entries())
          for (const fields of [[], [["P-Proof", "0".repeat(32)]]] as [string, string][][])
            await stranger.send(
              { host: bench.host(1), port: PEER_PORT },
              writeMessage({
                first: `KDMQ sip:htable@${bench.host(1)}:${PEER_PORT} SIP/2.0`,
                fields: [
                  ["Via", `SIP/2.0/UDP ${stranger.host}:5999;branch=z9hG4bK${index}${fields.length}`],
                  ["To", `<sip:htable@${bench.host(1)}:${PEER_PORT}>`],
                  ["From", `<sip:htable@${bench.host(2)}:${PEER_PORT}>;tag=1`],
                  ["CSeq", "10 KDMQ"],
                  ["Call-ID", `stranger-${index}-${fields.length}`],
                  ["Max-Forwards", "1"],
                  ["Content-Type", "application/json"],
                  ...fields,
                ],
                body: JSON.stringify(body),
              }),
            );
        await untilShared(bench, 2, 1);
        const found = await bench.call("htable.get", "st", "written").catch(() => undefined);
        expect([found, stranger.received.length]).toEqual([undefined, 0]);
      });
    },
  );
