import { beforeEach, expect, test } from "vitest";
import { request, type RequestInput } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import { callIdOf, header, headers, type SipMessage } from "../support/sip/message.ts";
import { answering, silent, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const REALM = "example.com";
let one: SipPeer, two: SipPeer, backup: SipPeer, elsewhere: SipPeer, phone: SipPeer;

withKamailio(
  "registration at every destination",
  async (bench) => {
    [one, two, backup, elsewhere, phone] = await Promise.all([
      bench.peer(11),
      bench.peer(12, 5062),
      bench.peer(13, 5063, "TCP"),
      bench.peer(14),
      bench.peer(20, 5070),
    ]);
    await bench.start(
      routerPlan({
        structure: {
          registration: { mode: "ForwardAll", maxExpiresSeconds: 300 },
          authentication: { realm: REALM },
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [
          {
            name: "pbx",
            id: 1,
            destinations: [one, two, { host: backup.host, port: backup.port, transport: "TCP", priority: 1 }],
          },
          { name: "elsewhere", id: 2, destinations: [elsewhere] },
        ],
        routes: [
          { name: "pbx", set: "pbx", digits: "1", length: 4 },
          { name: "elsewhere", set: "elsewhere", digits: "2", length: 4 },
        ],
        data: {
          credentials: { salt: "1", users: [{ user: "1001", ha1: ha1Of("1001", REALM, "secret") }] },
        },
      }),
    );
  },
  (bench) => {
    const all = (): readonly SipPeer[] => [one, two, backup];
    beforeEach(() => {
      for (const peer of [...all(), elsewhere]) {
        peer.behaviour = answering(200);
        peer.received.length = 0;
      }
    });

    const register = async (
      from: SipPeer = phone,
      expires = 60,
      password = "secret",
    ): Promise<{ reply: SipMessage; callId: string; count: number }> => {
      const callId = `all-${Math.random()}`;
      const own = `<sip:1001@${REALM}>`;
      const input: RequestInput = {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        from: `${own};tag=1`,
        to: own,
        callId,
        fields: [["Expires", String(expires)]],
      };
      const refused = await (await request(from, bench.router, input)).final();
      expect(refused.status).toBe(401);
      const answer = credentialsFor(401, challengeIn(refused), { user: "1001", password }, "REGISTER", input.uri);
      const sent = await request(from, bench.router, {
        ...input,
        cseq: 2,
        fields: [["Expires", String(expires)], answer],
      });
      const reply = await sent.final();
      return { reply, callId, count: sent.finals.length };
    };
    const registered = (peer: SipPeer, callId: string): Promise<SipMessage> =>
      peer.waitFor("REGISTER", (message) => message.method === "REGISTER" && callIdOf(message) === callId);

    test("a REGISTER with the right password goes to every destination of the set, backups too, without the password", async () => {
      const { reply, callId } = await register();
      expect(reply.status).toBe(200);
      for (const peer of all()) {
        const arrived = await registered(peer, callId);
        expect(arrived.uri).toMatch(new RegExp(`^sip:${peer.host}:${peer.port}`));
        expect(headers(arrived, "authorization")).toEqual([]);
        expect(headers(arrived, "path")[0]).toContain("sip:path@");
        expect(header(arrived, "expires")).toBe("60");
      }
      expect(elsewhere.received).toEqual([]);
    });

    test("a lifetime is capped, and a removal goes to all", async () => {
      const long = await register(phone, 86_400);
      for (const peer of all()) expect(header(await registered(peer, long.callId), "expires")).toBe("300");
      const removal = await register(phone, 0);
      expect(removal.reply.status).toBe(200);
      for (const peer of all()) expect(header(await registered(peer, removal.callId), "expires")).toBe("0");
    });

    test.each(["no answer", "a refusal", "a challenge"] as const)(
      "one 200 is enough: the others give %s",
      async (what) => {
        const others = {
          "no answer": silent,
          "a refusal": answering(503),
          "a challenge": answering(401, { fields: [["WWW-Authenticate", 'Digest realm="pbx", nonce="1"']] }),
        };
        one.behaviour = others[what];
        backup.behaviour = others[what];
        const { reply, callId } = await register();
        expect(reply.status).toBe(200);
        await registered(two, callId);
      },
    );

    test("a PBX's challenge is not passed to the phone", async () => {
      for (const peer of all())
        peer.behaviour = answering(401, { fields: [["WWW-Authenticate", 'Digest realm="pbx", nonce="1"']] });
      const { reply } = await register();
      expect([reply.status, headers(reply, "www-authenticate")]).toEqual([503, []]);
      expect(header(reply, "retry-after")).not.toBe("");
    });

    test("nobody answers: 503, once", async () => {
      for (const peer of all()) peer.behaviour = silent;
      const { reply, count } = await register();
      expect([reply.status, count]).toEqual([503, 1]);
    });

    test("a wrong password registers nobody, from whatever address", async () => {
      expect((await register(phone, 60, "wrong")).reply.status).toBe(401);
      expect((await register(one, 60, "wrong")).reply.status).toBe(401);
      for (const peer of all()) expect(peer.requests("REGISTER")).toEqual([]);
    });

    test("a destination that is inactive is left out, and gets the next REGISTER when it is back", async () => {
      await bench.call("dispatcher.set_state", "ip", 100, one.uri);
      const without = await register();
      for (const peer of [two, backup]) await registered(peer, without.callId);
      expect(one.requests("REGISTER")).toEqual([]);
      await bench.call("dispatcher.set_state", "ap", 100, one.uri);
      const again = await register();
      await registered(one, again.callId);
      await until("all have it", () => all().every((peer) => peer.requests("REGISTER").length > 0));
    });
  },
);
