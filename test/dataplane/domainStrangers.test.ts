/** What a user of one tenant, or a PBX that registers, writes to get his calls sent to somebody else. */
import { beforeEach, expect, test } from "vitest";
import { readContacts, readRegistrations } from "../../src/kamailio/registrations.ts";
import { ha1Of, type Login } from "../support/sip/digestLogin.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { withKamailio } from "./fixture.ts";
import {
  A,
  asUser,
  B,
  dial,
  forgetReceived,
  other,
  passwordOf,
  PBX_REALM,
  pbxA,
  pbxB,
  peersOf,
  planOf,
  ring,
  trunk,
} from "./tenants.ts";

const PBX = { user: "pbx-1", ha1: ha1Of("pbx-1", PBX_REALM, passwordOf("pbx-1", PBX_REALM)), backend: "default/pbx-1" };

withKamailio(
  "users who name an address that is not theirs",
  async (bench) => {
    await peersOf(bench);
    const registrants = { salt: "1", users: [PBX] };
    await bench.start(planOf([A, B], { registrants: { realm: PBX_REALM } }, { registrants }));
  },
  (bench) => {
    beforeEach(forgetReceived);
    const registerAt = async (
      peer: SipPeer,
      own: string,
      login: Login,
      contact: string,
      fields: readonly (readonly [string, string])[] = [],
    ): Promise<number> => {
      const input = { method: "REGISTER", uri: `sip:${bench.host(1)}`, from: `<${own}>;tag=1`, to: `<${own}>` };
      const all = { ...input, contact, fields: [["Expires", "60"], ...fields] as const };
      return (await asUser(peer, bench.router, login, all)).status;
    };
    const login = { user: "1001", password: passwordOf("1001", A) };

    test.each([
      ["another tenant's PBX", () => `<sip:${pbxB.host}:${pbxB.port};lr>`],
      ["a trunk", () => `<sip:${trunk.host}:${trunk.port};lr>`],
      ["a trunk behind it", () => `<sip:x;lr;received=sip:${trunk.host}:${trunk.port}>`],
    ])("a Path of a phone is not followed: %s", async (_, path) => {
      const contact = `<sip:0999@${trunk.host}:${trunk.port}>`;
      const more = [
        ["Path", path()],
        ["Supported", "path"],
      ] as const;
      expect(await registerAt(other, `sip:1001@${A}`, login, contact, more)).toBe(200);
      const [found] = await readRegistrations(bench.control, bench.kamailio.control, `1001@${A}`);
      expect(found).toMatchObject({ connected: false, received: `sip:${other.host}:${other.port}` });
      expect(await ring(bench, pbxA, `sip:1001@${A}`)).toEqual([200, "other"]);
      expect(await dial(bench, other, `sip:1001@${A}`)).toEqual([200, "other"]);
    });

    test("a phone's Contacts lead to where it registered from, whatever addresses they name", async () => {
      const contact = `<sip:1002@${pbxB.host}>, <sip:0999@${trunk.host}:${trunk.port};transport=tcp>`;
      const own = { user: "1002", password: passwordOf("1002", A) };
      expect(await registerAt(other, `sip:1002@${A}`, own, contact)).toBe(200);
      expect(await ring(bench, pbxA, `sip:1002@${A}`)).toEqual([200, "other"]);
    });

    test("a PBX is where its REGISTER came from, not where a Path of it says", async () => {
      const own = `sip:pbx-1@${bench.host(1)}`;
      const contact = `<sip:pbx-1@${other.host}:${other.port}>`;
      const more = [["Path", `<sip:x;lr;received=sip:${trunk.host}:${trunk.port}>`]] as const;
      expect(await registerAt(other, own, PBX, contact, more)).toBe(200);
      const found = await readContacts(bench.control, bench.kamailio.control, ["pbx-1@pbx.invalid"]);
      expect(found?.["pbx-1"]).toMatchObject([{ connected: false, received: `sip:${other.host}:${other.port}` }]);
    });
  },
);
