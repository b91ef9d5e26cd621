/** PBXes of tenants: those that register with the router beside the tenants' users, and those that are the registrars themselves. */
import { beforeEach, expect, test } from "vitest";
import { readContacts } from "../../src/kamailio/registrations.ts";
import { renderFiles } from "../../src/render/index.ts";
import { challengeIn, ha1Of } from "../support/sip/digestLogin.ts";
import { header } from "../support/sip/message.ts";
import { type SipPeer } from "../support/sip/peer.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";
import {
  A,
  B,
  dial,
  forgetReceived,
  other,
  passwordOf,
  PBX_REALM,
  pbxA,
  pbxB,
  peersOf,
  phoneA,
  phoneB,
  planOf,
  register,
  registering,
  ring,
  type Asked,
  type Registering,
  withTenants,
} from "./tenants.ts";

const users = ["pbx-1", "1001"].map((user) => ({
  user,
  ha1: ha1Of(user, PBX_REALM, passwordOf(user, PBX_REALM)),
  backend: `default/${user}`,
}));

withTenants(
  "tenants, and PBXes that register",
  () => planOf([A, B], { registrants: { realm: PBX_REALM } }, { registrants: { salt: "1", users } }),
  (bench, second) => {
    const names = () =>
      renderFiles(planOf([A], { registrants: { realm: PBX_REALM } }, pbxes)).desired.registrants ?? [];
    const pbxes = {
      registrants: { salt: "1", users: ["pbx-1", "1001"].map((user) => ({ user, ha1: "0".repeat(32), backend: "b" })) },
    };
    const contacts = async (kamailio = bench.kamailio) => {
      const found = (await readContacts(bench.control, kamailio.control, names())) ?? {};
      return Object.entries(found)
        .map(([user, all]) => [user, ...all.map(({ contact }) => contact)])
        .toSorted();
    };
    const asPbx = (peer: SipPeer, user: string, more: Registering = {}): Promise<Asked> => {
      const domain = more.domain ?? bench.host(1);
      const own = `sip:${user}@${domain}`;
      return registering(bench, peer, {
        user,
        uri: `sip:${bench.host(1)}`,
        from: own,
        to: own,
        domain: PBX_REALM,
        ...more,
      });
    };

    test("a PBX registers with the router's address, beside a user of the same name", async () => {
      expect((await asPbx(other, "pbx-1")).status).toBe(200);
      expect((await asPbx(other, "1001")).status).toBe(200);
      expect(await register(bench, phoneA)).toBe(200);
      const wanted = ["1001", "pbx-1"].map((user) => [user, `sip:${user}@${other.host}:${other.port}`]);
      expect(await contacts()).toEqual(wanted);
      await until(
        "the other replica knows",
        async () => JSON.stringify(await contacts(second.kamailio)) === JSON.stringify(wanted),
      );
      expect(await ring(bench, pbxA, `sip:1001@${A}`)).toEqual([200, "phoneA"]);
      for (const host of [bench.host(1), "pbx.invalid", A])
        expect((await ring(bench, pbxA, `sip:pbx-1@${host}`)).slice(1)).toEqual([]);
    });

    test("while a router gets its domains, what runs without them is asked by the same names, and keeps what it knows", async () => {
      // such a name as of a router without domains is no answer here: that nobody is registered
      expect(await readContacts(bench.control, bench.kamailio.control, ["pbx-1"])).toBeUndefined();
    });

    test("no stranger learns which PBXes there are, or registers as one", async () => {
      for (const user of ["pbx-1", "pbx-2", "1001"]) {
        const { first, status } = await asPbx(other, user, { password: "guess" });
        expect([first.status, challengeIn(first).realm, status], user).toEqual([401, PBX_REALM, 401]);
        const own = await registering(bench, other, { user, password: "guess" });
        expect([own.first.status, challengeIn(own.first).realm, own.status], user).toEqual([401, A, 401]);
      }
      // a tenant's user with his own password, and a PBX with its own in a tenant's domain
      const guess = await asPbx(other, "1001", { password: passwordOf("1001", A) });
      expect(guess.status).toBe(401);
      const own = `sip:pbx-1@${A}`;
      expect(
        await register(bench, other, { user: "pbx-1", domain: PBX_REALM, uri: `sip:${A}`, from: own, to: own }),
      ).toBe(401);
      expect((await asPbx(other, "pbx-1", { to: `sip:1001@${bench.host(1)}` })).status).toBe(403);
    });

    test("from the address of a backend likewise", async () => {
      expect((await asPbx(pbxA, "pbx-1")).status).toBe(200);
      const stays = await contacts();
      expect((await asPbx(pbxA, "pbx-1", { password: "guess" })).status).toBe(401);
      expect((await asPbx(pbxA, "pbx-2", { password: "guess" })).status).toBe(401);
      expect(await register(bench, pbxA, { user: "1002", password: "guess" })).toBe(401);
      expect(await contacts()).toEqual(stays);
    });
  },
);

withKamailio(
  "tenants whose PBXes are their registrars",
  async (bench) => {
    await peersOf(bench);
    await bench.start(planOf([A, B], { registration: { mode: "Forward", maxExpiresSeconds: 300 } }));
  },
  (bench) => {
    beforeEach(forgetReceived);
    test("each phone is asked in its own domain, and reaches no other tenant's PBX", async () => {
      expect(await register(bench, phoneA)).toBe(200);
      expect(pbxA.requests("REGISTER").map((one) => header(one, "to"))).toEqual([`<sip:1001@${A}>`]);
      expect(await register(bench, phoneB, { domain: B })).toBe(200);
      expect(pbxB.requests("REGISTER")).toHaveLength(1);
      expect(await register(bench, phoneA, { uri: `sip:${B}` })).toBe(403);
      expect(await dial(bench, phoneA, `sip:1777@${A}`)).toEqual([200, "pbxA"]);
      expect(await dial(bench, phoneA, `sip:1777@${B}`)).toEqual([403]);
    });
  },
);
