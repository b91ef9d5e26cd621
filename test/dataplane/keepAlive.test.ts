/** Phones behind NAT whose registrar is the router: who keeps their way open, and for whom nobody does. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { readRegistrations } from "../../src/kamailio/registrations.ts";
import { request } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import type { LocalKamailio } from "../support/sip/kamailio.ts";
import { header } from "../support/sip/message.ts";
import { silent, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";
import { startReplica } from "./replicas.ts";

const REALM = "example.com";
const users = ["1001", "1002", "1003", "1004"];
const PRIVATE = "192.168.77.7:5060";

let phone: SipPeer, direct: SipPeer, phoneTcp: SipPeer, gone: SipPeer;
let other: LocalKamailio | undefined;

const plan = (host: string): RouterPlan =>
  routerPlan({
    structure: {
      listeners: [
        { name: "udp", transport: "UDP", port: 5060, tls: false },
        { name: "second", transport: "UDP", port: 5080, tls: false },
        { name: "tcp", transport: "TCP", port: 5060, tls: false },
      ],
      registration: { mode: "Registrar", maxExpiresSeconds: 300, natKeepAliveSeconds: 1 },
      authentication: { realm: REALM },
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
    },
    sets: [{ name: "pbx", id: 1, destinations: [{ host, port: 5060 }] }],
    routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
    data: {
      credentials: { salt: "1", users: users.map((user) => ({ user, ha1: ha1Of(user, REALM, `secret-${user}`) })) },
    },
  });

withKamailio(
  "NAT keep-alive",
  async (bench) => {
    [phone, direct, phoneTcp, gone] = await Promise.all([
      bench.peer(20, 5070),
      bench.peer(21, 5070),
      bench.peer(22, 5070, "TCP"),
      bench.peer(23, 5070, "UDP", silent),
    ]);
    await bench.start(plan(bench.host(11)));
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [phone, direct, phoneTcp, gone]) peer.received.length = 0;
    });
    afterAll(() => other?.stop());

    const startOther = async (): Promise<void> => {
      other = await startReplica(bench, plan(bench.host(11)));
    };
    const register = async (
      from: SipPeer,
      user: string,
      { last = 1, port = 5060, address = PRIVATE, expires = 60 } = {},
    ): Promise<void> => {
      const input = {
        method: "REGISTER",
        uri: `sip:${bench.host(last)}`,
        to: `<sip:${user}@${REALM}>`,
        from: `<sip:${user}@${REALM}>;tag=${user}`,
        contact: `<sip:${user}@${address};transport=${from.transport.toLowerCase()}>`,
        callId: `keep-alive-${user}`,
      };
      const router = { host: bench.host(last), port };
      const fields: [string, string][] = [["Expires", String(expires)]];
      const cseq = (sent += 2);
      const refused = await (await request(from, router, { ...input, fields, cseq })).final();
      const login = { user, password: `secret-${user}` };
      const answer = credentialsFor(refused.status ?? 0, challengeIn(refused), login, input.method, input.uri);
      const again = await request(from, router, { ...input, fields: [...fields, answer], cseq: cseq + 1 });
      expect((await again.final()).status).toBe(200);
    };
    let sent = 0;

    /** who asked, the earliest first */
    const askers = (peer: SipPeer): readonly string[] =>
      peer.requests("OPTIONS").map((message) => /UDP ([^;]+)/.exec(header(message, "via"))?.[1] ?? "?");
    const known = async (kamailio: LocalKamailio | undefined, user: string): Promise<boolean> =>
      kamailio !== undefined && (await readRegistrations(bench.control, kamailio.control, user)).length === 1;
    const lastThree = async (peer: SipPeer, asker: string): Promise<readonly string[]> => {
      await until(
        `${asker} asks`,
        () =>
          askers(peer)
            .slice(-3)
            .filter((one) => one === asker).length === 3,
      );
      return askers(peer).slice(-3);
    };

    test("a phone behind NAT is asked on and on, by the replica and from the port that it registered with; others are not", async () => {
      await register(direct, "1002", { address: `${direct.host}:${direct.port}` });
      await register(phoneTcp, "1003");
      await register(gone, "1004");
      await register(phone, "1001", { port: 5080 });
      await until("asked three times", () => askers(phone).length >= 3);
      expect(new Set(askers(phone))).toEqual(new Set([`${bench.host(1)}:5080`]));
      const [ping] = phone.requests("OPTIONS");
      expect(ping?.uri).toContain(`sip:1001@${PRIVATE}`);
      expect(askers(gone).length).toBeGreaterThan(1);
      expect([...askers(direct), ...askers(phoneTcp)]).toEqual([]);
      // whose connection is there has nothing to be kept open: no try, no failure of it
      expect(bench.kamailio.log.match(/ERROR: (?!dmq).*/g) ?? []).toEqual([]);
    });

    test("a replica that is told of the phone, at its start or later, leaves it to the one that has it", async () => {
      await register(phone, "1001");
      await startOther();
      await until("the other knows", () => known(other, "1001"), 40_000);
      await register(phone, "1001");
      await register(gone, "1004");
      phone.received.length = 0;
      await until("asked four times", () => askers(phone).length >= 4);
      expect(new Set(askers(phone))).toEqual(new Set([`${bench.host(1)}:5060`]));
    });

    test("a phone that registers with another replica is asked by that one from now on", async () => {
      await register(phone, "1001", { last: 2 });
      const second = `${bench.host(2)}:5060`;
      expect(await lastThree(phone, second)).toEqual([second, second, second]);
      await register(phone, "1001", { last: 1 });
      const first = `${bench.host(1)}:5060`;
      expect(await lastThree(phone, first)).toEqual([first, first, first]);
    });

    test("who has gone is asked no more", async () => {
      await register(phone, "1001", { expires: 0 });
      await until("the other has been told", async () => !(await known(other, "1001")));
      phone.received.length = 0;
      gone.received.length = 0;
      await until("another one is asked", () => askers(gone).length >= 3);
      expect(askers(phone)).toEqual([]);
    });
  },
);
