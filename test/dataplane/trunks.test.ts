import { beforeEach, expect, test } from "vitest";
import { call, callOnce, request, within, type Dialog } from "../support/sip/caller.ts";
import { challenging, type Account, type Challenger } from "../support/sip/challenger.ts";
import { callIdOf, header, headers, tagOf, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const first: Account = { realm: "one.example", username: "acme@one", password: 'p:a\\s"s $wörd!' };
const second: Account = { realm: "two.example", username: "acme-2", password: "other" };
const strange: Account = { realm: "three.example", username: "nobody", password: "unknown" };

let phone: SipPeer, one: SipPeer, two: SipPeer, plain: SipPeer, foreign: SipPeer;
let atOne: Challenger, atTwo: Challenger;

const login = (setId: number, { uri }: SipPeer, { username, password }: Account) => ({
  setId,
  uri,
  username,
  password: Buffer.from(password, "utf8").toString("latin1"),
});
const heard = (account: Account): Account => ({
  ...account,
  password: Buffer.from(account.password, "utf8").toString("latin1"),
});
/** rings and leaves the call open */
const ringing: Behaviour = (message, send, peer) => {
  if (message.method === "INVITE") send(writeReply(message, 180, { contact: `<${peer.uri}>` }));
  else if (message.method === "CANCEL") send(writeReply(message, 200));
};

withKamailio(
  "trunks",
  async (bench) => {
    [phone, one, two, plain, foreign] = await Promise.all([
      bench.peer(20, 5070),
      bench.peer(11),
      bench.peer(12, 5062),
      bench.peer(13),
      bench.peer(14),
    ]);
    await bench.start(
      routerPlan({
        structure: {
          trunks: true,
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [
          {
            name: "trunks",
            id: 1,
            destinations: [one, { host: two.host, port: two.port, priority: 1 }],
          },
          { name: "plain", id: 2, destinations: [one, { host: plain.host, port: plain.port, priority: 1 }] },
          { name: "lone", id: 3, destinations: [foreign] },
        ],
        routes: [
          { name: "out", set: "trunks", digits: "0", strip: 1, prefix: "+44" },
          { name: "plain", set: "plain", digits: "1" },
          { name: "lone", set: "lone", digits: "2" },
        ],
        data: {
          trunks: {
            salt: "1",
            logins: [login(100, one, first), login(101, two, second), login(300, foreign, second)],
          },
        },
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [one, two, plain, foreign]) peer.received.length = 0;
      atOne = challenging(heard(first), answering(200));
      atTwo = challenging(heard(second), answering(200), { status: 401 });
      one.behaviour = atOne.behaviour;
      two.behaviour = atTwo.behaviour;
      plain.behaviour = answering(200);
    });
    const numberOf = (message: SipMessage | undefined): string =>
      message === undefined ? "" : header(message, "cseq");

    test("a challenge is answered by the router; the caller sees none; the call ends as it began", async () => {
      const { reply, sent, dialog } = await call(phone, bench.router, "0123");
      expect(reply.status).toBe(200);
      expect(header(reply, "cseq")).toBe("1 INVITE");
      expect(sent.replies.map(({ status }) => status)).not.toContain(407);
      const [invite] = atOne.accepted;
      expect(invite?.uri).toMatch(/^sip:\+44123@/);
      expect(numberOf(invite)).toBe("2 INVITE");
      const ack = await one.waitFor("ACK of the answer", (message) => numberOf(message) === "2 ACK");
      expect(tagOf(header(ack, "to"))).toBe("callee");
      const bye = await (await within(phone, bench.router, dialog, "BYE", 2)).final();
      expect([bye.status, header(bye, "cseq")]).toEqual([200, "2 BYE"]);
      expect(atOne.accepted.map(numberOf)).toEqual(["2 INVITE", expect.stringMatching(/^[345] BYE$/)]);
      expect(atOne.rejected).toEqual([]);
    });

    test("requests within the call: their numbers go up, and a challenge of each is answered", async () => {
      const { dialog } = await call(phone, bench.router, "0123");
      const again = await (await within(phone, bench.router, dialog, "INVITE", 2)).final();
      expect([again.status, header(again, "cseq")]).toEqual([200, "2 INVITE"]);
      await within(phone, bench.router, dialog, "ACK", 2, { contact: null });
      const accepted = atOne.accepted.at(-1);
      const number = numberOf(accepted).split(" ")[0];
      await one.waitFor("ACK of the second answer", (message) => numberOf(message) === `${number} ACK`);
      expect((await (await within(phone, bench.router, dialog, "BYE", 3)).final()).status).toBe(200);
      const numbers = atOne.accepted.map((message) => Number(numberOf(message).split(" ")[0]));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(new Set(numbers).size).toBe(3);
    });

    test("an answer that is sent again when its transaction is over has the caller's number", async () => {
      const { sent, dialog } = await call(phone, bench.router, "0123");
      const info = await within(phone, bench.router, dialog, "INFO", 2);
      await info.final();
      const answered = (): number => atOne.accepted.filter(({ method }) => method === "INFO").length;
      await until("a copy is no copy any more", async () => {
        await info.send();
        return answered() > 1;
      });
      const copies = sent.finals.length;
      await one.send(bench.router, writeReply(atOne.accepted[0] as SipMessage, 200, { contact: `<${one.uri}>` }));
      await until("it arrives", () => sent.finals.length > copies);
      await within(phone, bench.router, dialog, "ACK", 1, { contact: null });
      await until("acknowledged", () => one.requests("ACK").filter((ack) => numberOf(ack) === "2 ACK").length > 1);
    });

    test("a call that the router ends has a number that the trunk has not heard", async () => {
      const { sent } = await call(phone, bench.router, "0123");
      one.behaviour = answering(200);
      await one.waitFor("ACK of the answer", (message) => numberOf(message) === "2 ACK");
      const calls = (await bench.call("dlg.briefing")) as { h_entry: number; h_id: number; call_id?: string }[];
      for (const { h_entry, h_id } of calls) await bench.call("dlg.end_dlg", h_entry, h_id);
      const bye = await one.waitFor("BYE", (message) => message.method === "BYE" && callIdOf(message) === sent.callId);
      expect(Number(numberOf(bye).split(" ")[0])).toBeGreaterThan(2);
      await until("no call is left", async () => (await bench.read()).calls === 0);
    });

    test("the trunk ends the call", async () => {
      const { sent, dialog } = await call(phone, bench.router, "0123");
      const invite = atOne.accepted[0] as SipMessage;
      const callee: Dialog = {
        callId: sent.callId,
        local: `${header(invite, "to")};tag=callee`,
        remote: header(invite, "from"),
        target: /<([^>]+)>/.exec(header(invite, "contact"))?.[1] ?? "",
        routes: headers(invite, "record-route"),
      };
      expect(dialog.callId).toBe(callee.callId);
      const bye = await within(one, bench.router, callee, "BYE", 7);
      const arrived = await phone.waitFor(
        "BYE",
        (message) => message.method === "BYE" && callIdOf(message) === sent.callId,
      );
      expect(header(arrived, "cseq")).toBe("7 BYE");
      expect((await bye.final()).status).toBe(200);
    });

    test("a call that rings after its challenge can be cancelled", async () => {
      atOne = challenging(heard(first), ringing);
      one.behaviour = atOne.behaviour;
      const sent = await request(phone, bench.router, { method: "INVITE", uri: `sip:0123@${bench.router.host}` });
      await phone.waitFor("ringing", (message) => message.status === 180 && callIdOf(message) === sent.callId);
      await request(phone, bench.router, {
        method: "CANCEL",
        uri: sent.input.uri,
        callId: sent.callId,
        from: sent.input.from,
        branch: sent.input.branch,
        contact: null,
      });
      const cancel = await one.waitFor("CANCEL", ({ method }) => method === "CANCEL");
      const [invite] = atOne.accepted;
      expect(numberOf(cancel)).toBe(numberOf(invite).replace("INVITE", "CANCEL"));
      expect(headers(cancel, "via")[0]).toBe(headers(invite as SipMessage, "via")[0]);
    });

    test("a refusal after the challenge is acknowledged in its own transaction", async () => {
      atOne = challenging(heard(first), answering(486));
      one.behaviour = atOne.behaviour;
      expect((await callOnce(phone, bench.router, "0123")).status).toBe(486);
      const [invite] = atOne.accepted as [SipMessage];
      const ack = await one.waitFor(
        "ACK",
        (message) => message.method === "ACK" && headers(message, "via")[0] === headers(invite, "via")[0],
      );
      expect(numberOf(ack)).toBe("2 ACK");
    });

    test("a trunk that takes no credentials is followed by the next, which gets its own", async () => {
      one.behaviour = challenging({ ...heard(first), password: "changed" }, answering(200)).behaviour;
      const { status, callId } = await callOnce(phone, bench.router, "0123");
      expect(status).toBe(200);
      expect(atTwo.accepted.map(callIdOf)).toEqual([callId, callId]);
      expect(atTwo.rejected).toEqual([]);
      for (const message of two.received) expect(headers(message, "proxy-authorization")).toEqual([]);
      for (const message of [...two.requests("INVITE")])
        expect(headers(message, "authorization").join()).not.toContain(first.username);
      await until("ACK at the second", () => two.requests("ACK").length > 0);
    });

    /** as some providers do: asks, and refuses the answer for good; `rings` before that */
    const forbidding =
      (rings: boolean): Behaviour =>
      (message, send, peer) => {
        if (message.method === "ACK") return;
        const asked = headers(message, "proxy-authorization").length === 0;
        const fields = [["Proxy-Authenticate", 'Digest realm="one.example", nonce="1"']] as const;
        const refuse = (): void => send(writeReply(message, asked ? 407 : 403, asked ? { fields } : {}));
        if (asked || !rings) return refuse();
        send(writeReply(message, 180, { contact: `<${peer.uri}>` }));
        const rang = (reply: SipMessage): boolean => reply.status === 180 && callIdOf(reply) === callIdOf(message);
        void phone.waitFor("ringing", rang).then(refuse);
      };
    const refusals = async ({ uri }: SipPeer): Promise<number> => {
      const text = await (await fetch(`http://${bench.router.host}:9060/metrics`)).text();
      const line = text
        .split("\n")
        .find((each) => each.startsWith("kamailio_sipr_trunk_refused") && each.includes(uri));
      return Number(/} ([0-9]+)/.exec(line ?? "} 0")?.[1]);
    };

    test("a trunk that says 403 to the answer of its challenge is followed by the next, and counted", async () => {
      one.behaviour = forbidding(false);
      const before = await refusals(one);
      const { status, callId } = await callOnce(phone, bench.router, "0123");
      expect(status).toBe(200);
      expect(one.requests("INVITE")).toHaveLength(2);
      expect(atTwo.accepted.map(callIdOf)).toEqual([callId, callId]);
      expect((await refusals(one)) - before).toBe(1);
      foreign.behaviour = forbidding(false);
      expect((await callOnce(phone, bench.router, "2123")).status).toBe(503);
    });

    test("a 403 that is about something else is the caller's: without a challenge, or when it has rung", async () => {
      for (const behaviour of [answering(403), forbidding(true)]) {
        one.behaviour = behaviour;
        expect((await callOnce(phone, bench.router, "0123")).status).toBe(403);
      }
      expect(two.requests("INVITE")).toEqual([]);
    });

    test("a trunk that fails after its challenge is followed by one that asks nothing", async () => {
      one.behaviour = (message, send) => {
        if (message.method === "ACK") return;
        const asked = headers(message, "proxy-authorization").length === 0;
        const fields = [["Proxy-Authenticate", 'Digest realm="one.example", nonce="1"']] as const;
        send(writeReply(message, asked ? 407 : 503, asked ? { fields } : {}));
      };
      two.behaviour = answering(200);
      const { reply, dialog, sent } = await call(phone, bench.router, "0123");
      expect(reply.status).toBe(200);
      const [invite] = two.requests("INVITE") as [SipMessage];
      expect([numberOf(invite), headers(invite, "proxy-authorization")]).toEqual(["1 INVITE", []]);
      await two.waitFor("ACK", (message) => numberOf(message) === "1 ACK" && callIdOf(message) === sent.callId);
      expect((await (await within(phone, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
      expect(numberOf(two.requests("BYE")[0])).toBe("2 BYE");
    });

    test("no destination takes its credentials: 503, and no challenge for the caller", async () => {
      foreign.behaviour = challenging(strange, answering(200)).behaviour;
      const { status, reply } = await callOnce(phone, bench.router, "2123");
      expect(status).toBe(503);
      expect(headers(reply, "proxy-authenticate")).toEqual([]);
      expect(foreign.requests("INVITE")).toHaveLength(2);
    });

    test("credentials are of a destination in its set: the same address in another set gets none", async () => {
      const { status, reply } = await callOnce(phone, bench.router, "1123");
      expect(status).toBe(407);
      expect(header(reply, "proxy-authenticate")).toContain('realm="one.example"');
      expect(atOne.accepted).toEqual([]);
      expect(one.requests("INVITE").flatMap((message) => headers(message, "proxy-authorization"))).toEqual([]);
    });

    const sha256 = 'Digest realm="one.example", nonce="9", algorithm=SHA-256, qop="auth"';
    test.each([401, 407] as const)(
      "a trunk that would rather be answered otherwise than by MD5 (%i)",
      async (status) => {
        const before = [sha256, 'Digest algorithm="SHA-512-256", realm="one.example", nonce="8"', 'Basic realm="one"'];
        atOne = challenging(heard(first), answering(200), { status, before });
        one.behaviour = atOne.behaviour;
        const { reply, dialog } = await call(phone, bench.router, "0123");
        expect(reply.status).toBe(200);
        expect((await (await within(phone, bench.router, dialog, "BYE", 2)).final()).status).toBe(200);
        expect([atOne.accepted.map(({ method }) => method), atOne.rejected]).toEqual([["INVITE", "BYE"], []]);
      },
    );

    test("a trunk that takes no MD5 is passed over; what a PBX asks of the caller is left as it is", async () => {
      const fields: [string, string][] = [1, 2].map(() => ["Proxy-Authenticate", sha256]);
      one.behaviour = answering(407, { fields });
      expect((await callOnce(phone, bench.router, "0123")).status).toBe(200);
      expect([one.requests("INVITE").length, atTwo.accepted.length]).toEqual([1, 2]);
      one.behaviour = challenging(heard(first), answering(200), { before: [sha256] }).behaviour;
      const { status, reply } = await callOnce(phone, bench.router, "1123");
      expect([status, headers(reply, "proxy-authenticate").length]).toEqual([407, 2]);
    });

    test("a challenge of MESSAGE, which begins no dialog, is answered with the number that it has", async () => {
      const { behaviour, accepted } = challenging(heard(second), answering(200), { sameNumber: true });
      foreign.behaviour = behaviour;
      const sent = await request(phone, bench.router, { method: "MESSAGE", uri: `sip:2@${bench.router.host}` });
      expect((await sent.final()).status).toBe(200);
      expect(accepted.map(numberOf)).toEqual(["1 MESSAGE"]);
    });
  },
);

withKamailio(
  "trunks of a router that hides topology",
  async (bench) => {
    [phone, one] = await Promise.all([bench.peer(20, 5070), bench.peer(11)]);
    await bench.start(
      routerPlan({
        structure: { trunks: true, topologyHiding: true },
        sets: [{ name: "trunks", id: 1, destinations: [one] }],
        routes: [{ name: "out", set: "trunks", digits: "0" }],
        data: { trunks: { salt: "1", logins: [login(100, one, first)] } },
      }),
    );
  },
  (bench) => {
    test("a challenge is answered with a new number, which every later request goes on from", async () => {
      const { behaviour, accepted, rejected } = challenging(heard(first), answering(200));
      one.behaviour = behaviour;
      const { reply, dialog } = await call(phone, bench.router, "0123");
      expect([reply.status, header(reply, "cseq")]).toEqual([200, "1 INVITE"]);
      await one.waitFor("ACK of the answer", (message) => header(message, "cseq") === "2 ACK");
      const bye = await (await within(phone, bench.router, dialog, "BYE", 2)).final();
      expect([bye.status, header(bye, "cseq")]).toEqual([200, "2 BYE"]);
      expect(accepted.map((message) => header(message, "cseq"))).toEqual([
        "2 INVITE",
        expect.stringMatching(/^[345] BYE$/),
      ]);
      expect(rejected).toEqual([]);
    });
  },
);
