import { setTimeout as wait } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import { call, callOnce, request, within } from "../support/sip/caller.ts";
import { callIdOf, header, writeReply, type SipMessage } from "../support/sip/message.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { answering, silent, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let first: SipPeer, second: SipPeer, backup: SipPeer, only: SipPeer, tcp: SipPeer, behindTcp: SipPeer, phone: SipPeer;

withKamailio(
  "failover",
  async (bench) => {
    [first, second, backup, only, tcp, behindTcp, phone] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13),
      bench.peer(14),
      bench.peer(15, 5060, "TCP"),
      bench.peer(16),
      bench.peer(20, 5070),
    ]);
    await bench.start(
      routerPlan({
        // nothing is found dead by OPTIONS while these tests run
        structure: {
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
          failover: { timeoutSeconds: 1, replies: ["408", "480", "5xx"], maxAttempts: 3 },
        },
        sets: [
          { name: "freepbx", id: 1, destinations: [first, { ...at(backup), priority: 1 }] },
          { name: "pair", id: 2, destinations: [first, second] },
          { name: "only", id: 3, destinations: [only] },
          { name: "tcp", id: 4, destinations: [tcp, { ...at(behindTcp), priority: 1 }] },
          {
            name: "many",
            id: 5,
            destinations: [first, second, backup, only].map((peer, index) => ({ ...at(peer), priority: index })),
          },
        ],
        routes: [
          { name: "freepbx", set: "freepbx", digits: "1" },
          { name: "pair", set: "pair", digits: "2" },
          { name: "only", set: "only", digits: "3" },
          { name: "tcp", set: "tcp", digits: "4" },
          { name: "many", set: "many", digits: "5" },
        ],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [first, second, backup, only, tcp, behindTcp]) peer.behaviour = answering(200);
    });

    test("who asked for credentials gets the answer; when it has died since, the other one does", async () => {
      const credentials = [
        ["Proxy-Authorization", 'Digest username="1", realm="r", nonce="1", uri="sip:r", response="0"'],
      ] as const;
      for (const asks of [first, second, first, second]) {
        const other = asks === first ? second : first;
        asks.behaviour = answering(407, { fields: [["Proxy-Authenticate", 'Digest realm="r", nonce="1"']] });
        other.behaviour = answering(503);
        const refused = await callOnce(phone, bench.router, "2000");
        expect(refused.status).toBe(407);
        // both would take it now
        for (const peer of [first, second]) peer.behaviour = answering(200);
        const answered = { callId: refused.callId, cseq: 2, fields: credentials };
        const before = other.requests("INVITE").length;
        expect((await callOnce(phone, bench.router, "2000", answered)).status).toBe(200);
        expect(other.requests("INVITE")).toHaveLength(before);
        asks.behaviour = silent;
        expect((await callOnce(phone, bench.router, "2000", answered)).status).toBe(200);
        expect(other.requests("INVITE")).toHaveLength(before + 1);
      }
    });

    test.each([500, 503, 504, 480, 408])("a %i goes to the backup", async (code) => {
      first.behaviour = answering(code);
      const { status, callId } = await callOnce(phone, bench.router, "1000");
      expect(status).toBe(200);
      expect(first.calls).toContain(callId);
      expect(backup.calls).toContain(callId);
    });

    test("no answer within the timeout goes to the backup, and a late answer is not a second call", async () => {
      first.behaviour = silent;
      const { sent, reply, dialog } = await call(phone, bench.router, "1000");
      expect(reply.status).toBe(200);
      expect(backup.calls).toContain(sent.callId);
      const invite = first.requests("INVITE").find((message) => callIdOf(message) === sent.callId);
      if (invite === undefined) throw new Error("the call did not reach the first destination");
      await first.send(bench.router, writeReply(invite, 480));
      await (await within(phone, bench.router, dialog, "BYE", 2)).final();
      expect(sent.finals.map(({ status }) => status)).toEqual([200]);
    });

    test("a refused TCP connection goes to the backup", async () => {
      await tcp.close();
      const { status, callId } = await callOnce(phone, bench.router, "4000");
      expect(status).toBe(200);
      expect(behindTcp.calls).toContain(callId);
      await tcp.open();
      const again = await callOnce(phone, bench.router, "4000");
      expect(tcp.calls).toContain(again.callId);
    });

    test("within a tier the next one is tried", async () => {
      first.behaviour = answering(503);
      const calls = [await callOnce(phone, bench.router, "2000"), await callOnce(phone, bench.router, "2000")];
      expect(calls.map(({ status }) => status)).toEqual([200, 200]);
      expect(second.calls).toEqual(expect.arrayContaining(calls.map(({ callId }) => callId)));
    });

    test.each([486, 603, 404, 488])("a %i is the callee's answer and passes", async (code) => {
      first.behaviour = answering(code);
      const { status, callId } = await callOnce(phone, bench.router, "1000");
      expect(status).toBe(code);
      expect(backup.calls).not.toContain(callId);
    });

    test.each([401, 407] as const)(
      "a %i passes, and the answer to it goes to the destination that asked",
      async (code) => {
        const asks = code === 401 ? "WWW-Authenticate" : "Proxy-Authenticate";
        const answers = code === 401 ? "Authorization" : "Proxy-Authorization";
        for (const peer of [first, second])
          peer.behaviour = (message, send, self) =>
            answering(header(message, answers) === "" ? code : 200, {
              fields: [[asks, `Digest realm="a", nonce="${self.host}"`]],
            })(message, send, self);
        for (let index = 0; index < 4; index += 1) {
          const { status, reply, callId } = await callOnce(phone, bench.router, "2000");
          expect(status).toBe(code);
          const nonce = /nonce="([^"]+)"/.exec(header(reply, asks))?.[1];
          const again = await callOnce(phone, bench.router, "2000", {
            callId,
            cseq: 2,
            fields: [[answers, `Digest nonce="${nonce}"`]],
          });
          expect(again.status).toBe(200);
          const reached = [first, second].filter((peer) =>
            peer.requests("INVITE").some((message) => callIdOf(message) === callId),
          );
          expect(reached.map(({ host }) => host)).toEqual([nonce]);
        }
      },
    );

    test("when all fail, the caller gets exactly one 503 with Retry-After", async () => {
      for (const peer of [first, backup]) peer.behaviour = answering(500);
      const sent = await request(phone, bench.router, { method: "INVITE", uri: `sip:1000@${bench.router.host}` });
      const reply = await sent.final();
      expect(reply.status).toBe(503);
      expect(header(reply, "retry-after")).toMatch(/^[0-9]+$/);
      only.behaviour = silent;
      const timeout = await request(phone, bench.router, { method: "INVITE", uri: `sip:3000@${bench.router.host}` });
      expect((await timeout.final()).status).toBe(503);
      expect(sent.finals.length).toBe(1);
    });

    test("one that rang before it refused keeps nobody from being tried after one that is dead", async () => {
      first.behaviour = (message, send, peer) => {
        answering(180)(message, send, peer);
        answering(503)(message, send, peer);
      };
      second.behaviour = silent;
      const { status, callId } = await callOnce(phone, bench.router, "5000");
      expect(status).toBe(200);
      expect([first, second, backup].map((peer) => peer.calls.includes(callId))).toEqual([true, true, true]);
    });

    test("not more destinations are tried than maxAttempts", async () => {
      for (const peer of [first, second, backup, only]) peer.behaviour = answering(503);
      const { status, callId } = await callOnce(phone, bench.router, "5000");
      expect(status).toBe(503);
      expect([first, second, backup, only].map((peer) => peer.calls.includes(callId))).toEqual([
        true,
        true,
        true,
        false,
      ]);
    });

    test("CANCEL while the backup rings ends the call there, and nobody else is tried", async () => {
      first.behaviour = answering(503);
      backup.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 180));
        if (message.method === "CANCEL") {
          const invite = backup.requests("INVITE").find((one) => callIdOf(one) === callIdOf(message));
          send(writeReply(message, 200));
          if (invite !== undefined) send(writeReply(invite, 487));
        }
      };
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      await phone.waitFor("ringing", (message) => message.status === 180 && callIdOf(message) === sent.callId);
      const { callId, branch, cseq, from } = sent.input;
      await request(phone, bench.router, {
        method: "CANCEL",
        uri: "sip:1000@x",
        callId,
        branch,
        cseq,
        from,
        contact: null,
      });
      expect((await sent.final()).status).toBe(487);
      expect(backup.requests("CANCEL").some((one) => callIdOf(one) === callId)).toBe(true);
    });

    test("CANCEL before the first has answered: nobody else is tried", async () => {
      first.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 100));
        if (message.method === "CANCEL") send(writeReply(message, 200));
      };
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      const { callId, branch, cseq, from } = sent.input;
      await first.waitFor("the call", (message) => message.method === "INVITE" && callIdOf(message) === callId);
      const cancel = { method: "CANCEL", uri: "sip:1000@x", callId, branch, cseq, from, contact: null };
      await (await request(phone, bench.router, cancel)).final();
      const invite = await first.waitFor("CANCEL", (one) => one.method === "CANCEL" && callIdOf(one) === callId);
      // what it answers to the INVITE then would be a reason to try the next one
      await first.send(bench.router, writeReply({ ...invite, fields: withMethod(invite, "INVITE") }, 503));
      expect((await sent.final()).status).toBeGreaterThanOrEqual(400);
      expect(backup.calls).not.toContain(callId);
    });

    test("after a 2xx nothing makes a second branch", async () => {
      first.behaviour = (message, send, peer) => {
        answering(200)(message, send, peer);
        // at the same moment another worker of the router may read it first
        if (message.method === "INVITE") setTimeout(() => send(writeReply(message, 503)), 100);
      };
      const { status, callId } = await callOnce(phone, bench.router, "1000");
      expect(status).toBe(200);
      await wait(300);
      expect(backup.calls).not.toContain(callId);
    });

    test("a request other than INVITE fails over too", async () => {
      first.behaviour = answering(503);
      const sent = await request(phone, bench.router, { method: "MESSAGE", uri: "sip:1000@x", body: "hello" });
      expect((await sent.final()).status).toBe(200);
      expect(backup.requests("MESSAGE").map(({ body }) => body)).toEqual(["hello"]);
    });
  },
);

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});

const withMethod = (message: SipMessage, method: string): SipMessage["fields"] =>
  message.fields.map(([name, value]) => [name, name === "cseq" ? value.replace(/[A-Z]+$/, method) : value]);

withKamailio(
  "a callee who does not answer",
  async (bench) => {
    [first, backup, phone] = await Promise.all([bench.peer(11), bench.peer(13), bench.peer(20, 5070)]);
  },
  (bench) => {
    test("is not called elsewhere, and the caller hears 408; a PBX that says no more than 100 is followed by the next", async () => {
      const plan = routerPlan({
        sets: [{ name: "freepbx", id: 1, destinations: [first, { ...at(backup), priority: 1 }] }],
        routes: [{ name: "freepbx", set: "freepbx", digits: "1" }],
      });
      const router = { host: bench.host(1), port: 5060 };
      // three minutes, after which RFC 3261 lets a proxy give up
      const shorter = (text: string): string => text.replace('"fr_inv_timer", 185000', '"fr_inv_timer", 1500');
      const kamailio = await LocalKamailio.start(bench.program, plan, router.host, {}, router.host, shorter);
      try {
        const saying =
          (status: number): Behaviour =>
          (message, send, peer) => {
            if (message.method === "INVITE") send(writeReply(message, status, { contact: `<${peer.uri}>` }));
            else if (message.method === "CANCEL") send(writeReply(message, 200));
          };
        first.behaviour = saying(180);
        const rang = await callOnce(phone, router, "1000");
        expect(rang.status).toBe(408);
        expect(backup.calls).toEqual([]);
        first.behaviour = saying(100);
        const trying = await callOnce(phone, router, "1000");
        expect(trying.status).toBe(200);
        expect(backup.calls).toEqual([trying.callId]);
      } finally {
        await kamailio.stop();
      }
    });
  },
);
