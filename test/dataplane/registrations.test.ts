/** More phones than Kamailio can list in one answer. */
import { expect, test } from "vitest";
import { readRegistrations } from "../../src/kamailio/registrations.ts";
import { request } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of } from "../support/sip/digestLogin.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

const REALM = "example.com";
const PHONES = 30;
const users = Array.from({ length: 80 }, (_, index) => String(1100 + index));

let phone: SipPeer;

withKamailio(
  "many registrations",
  async (bench) => {
    phone = await bench.peer(20, 5070);
    await bench.start(
      routerPlan({
        structure: {
          registration: { mode: "Registrar", maxExpiresSeconds: 300, maxContacts: PHONES },
          authentication: { realm: REALM },
        },
        sets: [{ name: "pbx", id: 1, destinations: [{ host: bench.host(11), port: 5060 }] }],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
        data: { credentials: { salt: "1", users: users.map((user) => ({ user, ha1: ha1Of(user, REALM, "secret") })) } },
      }),
    );
  },
  (bench) => {
    const register = async (user: string): Promise<void> => {
      const contact = Array.from(
        { length: PHONES },
        (_, index) => `<sip:${user}@${phone.host}:5070;phone=${String(index).padStart(2, "0")}>`,
      ).join(", ");
      const own = `<sip:${user}@${REALM}>`;
      const input = { method: "REGISTER", uri: `sip:${bench.host(1)}`, from: `${own};tag=1`, to: own, contact };
      const refused = await (await request(phone, bench.router, { ...input, callId: user })).final();
      const login = { user, password: "secret" };
      const fields = [credentialsFor(refused.status ?? 0, challengeIn(refused), login, "REGISTER", input.uri)];
      const sent = await request(phone, bench.router, { ...input, callId: user, cseq: 2, fields });
      expect((await sent.final()).status).toBe(200);
    };

    test("all are read, or those of some users; what cannot be listed is refused, and Kamailio lives", async () => {
      const read = (wanted?: Parameters<typeof readRegistrations>[2]) =>
        readRegistrations(bench.control, bench.kamailio.control, wanted);
      const few = users.slice(0, 60);
      for (const user of few) await register(user);
      expect(await read()).toHaveLength(60 * PHONES);
      expect(await read({ prefix: "110" })).toHaveLength(10 * PHONES);

      for (const user of users.slice(60)) await register(user);
      const all = await read();
      expect(all.map(({ user, contact }) => `${user} ${contact}`)).toEqual(
        users.flatMap((user) =>
          Array.from(
            { length: PHONES },
            (_, index) => `${user} sip:${user}@${phone.host}:5070;phone=${String(index).padStart(2, "0")}`,
          ),
        ),
      );
      expect(await read({ prefix: "115" })).toHaveLength(10 * PHONES);
      expect(await read("1101")).toHaveLength(PHONES);
      for (const params of [[], ["Brief"], ["brief", "x"]])
        await expect(bench.call("ul.dump", ...params)).rejects.toThrow("more phones are registered");
      expect(await read("1101")).toHaveLength(PHONES);
    });
  },
);
