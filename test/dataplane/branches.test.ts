/** More phones of one user, and more attempts of one call, than Kamailio has branches for by itself (12). */
import { expect, test } from "vitest";
import { callOnce, request, type RequestInput } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import { callIdOf, header, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const REALM = "example.com";
const PHONES = 20;
const healthCheck = { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 };

let pbx: SipPeer, phone: SipPeer;

withKamailio(
  "many phones of one user",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11), bench.peer(20, 5070)]);
    await bench.start(
      routerPlan({
        structure: {
          registration: { mode: "Registrar", maxExpiresSeconds: 300, maxContacts: PHONES },
          authentication: { realm: REALM },
          healthCheck,
        },
        sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
        data: { credentials: { salt: "1", users: [{ user: "1001", ha1: ha1Of("1001", REALM, "secret") }] } },
      }),
    );
  },
  (bench) => {
    const register = async (contact: string): Promise<SipMessage> => {
      const input: RequestInput = {
        method: "REGISTER",
        uri: `sip:${bench.router.host}`,
        from: `<sip:1001@${REALM}>;tag=1`,
        to: `<sip:1001@${REALM}>`,
        callId: contact,
        contact: `<${contact}>`,
      };
      const refused = await (await request(phone, bench.router, input)).final();
      const login = { user: "1001", password: "secret" };
      const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, "REGISTER", input.uri);
      return (await request(phone, bench.router, { ...input, cseq: 2, fields: [answer] })).final();
    };

    test("all of them ring", async () => {
      const contacts = Array.from({ length: PHONES }, (_, index) => `sip:phone${index}@${phone.host}:${phone.port}`);
      for (const contact of contacts) expect((await register(contact)).status).toBe(200);
      phone.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 180));
      };
      const sent = await request(pbx, bench.router, { method: "INVITE", uri: "sip:1001@x" });
      const called = (): string[] => [
        ...new Set(
          phone
            .requests("INVITE")
            .filter((one) => callIdOf(one) === sent.callId)
            .map(({ uri = "" }) => /phone[0-9]+/.exec(uri)?.[0] ?? uri),
        ),
      ];
      await until("all are called", () => called().length >= PHONES);
      expect(bench.kamailio.log).not.toMatch(/ERROR: (?!dmq)/);
    });
  },
);

let destinations: SipPeer[];

withKamailio(
  "many attempts of one call",
  async (bench) => {
    destinations = await Promise.all(Array.from({ length: 16 }, (_, index) => bench.peer(11, 5061 + index)));
    phone = await bench.peer(20, 5070);
    await bench.start(
      routerPlan({
        structure: { healthCheck, failover: { timeoutSeconds: 1, replies: ["5xx"], maxAttempts: 16 } },
        sets: [
          {
            name: "pbx",
            id: 1,
            destinations: destinations.map(({ host, port }, priority) => ({ host, port, priority })),
          },
        ],
        routes: [{ name: "pbx", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    test("the sixteenth destination is tried, and then the caller is refused as always", async () => {
      for (const peer of destinations) peer.behaviour = answering(503);
      const last = destinations.at(-1) as SipPeer;
      const { status, reply, callId } = await callOnce(phone, bench.router, "1000");
      expect(status).toBe(503);
      expect(header(reply, "retry-after")).toMatch(/^[0-9]+$/);
      expect(destinations.filter((peer) => peer.calls.includes(callId))).toHaveLength(16);
      last.behaviour = answering(200);
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
    });
  },
);
