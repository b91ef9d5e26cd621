/** What a user of one tenant, or a PBX that registers, writes to get his calls sent to somebody else. */
import { beforeEach, expect, test } from "vitest";
import { readContacts, readRegistrations } from "../../src/kamailio/registrations.ts";
import { callerDialog, request, within } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor, ha1Of, type Login } from "../support/sip/digestLogin.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { withKamailio } from "./fixture.ts";
import {
  A,
  asUser,
  B,
  called,
  dial,
  forgetReceived,
  other,
  passwordOf,
  PBX_REALM,
  pbxA,
  pbxB,
  peersOf,
  phoneB,
  planOf,
  ring,
  secondA,
  trunk,
} from "./tenants.ts";

const PBX = { user: "pbx-1", ha1: ha1Of("pbx-1", PBX_REALM, passwordOf("pbx-1", PBX_REALM)), backend: "default/pbx-1" };

const from = ({ host, port }: SipPeer): string => `sip:${host}:${port}`;

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
      const all = {
        ...input,
        contact,
        fields: fields.some(([name]) => name === "Expires") ? fields : [["Expires", "60"] as const, ...fields],
      };
      return (await asUser(peer, bench.router, login, all)).status;
    };
    const login = { user: "1001", password: passwordOf("1001", A) };

    test.each([
      ["another tenant's PBX", () => `<sip:${pbxB.host}:${pbxB.port};lr>`],
      ["a trunk", () => `<sip:${trunk.host}:${trunk.port};lr>`],
      ["a trunk behind it", () => `<sip:x;lr;received=${from(trunk)}>`],
    ])("a Path of a phone is not followed: %s", async (_, path) => {
      const contact = `<sip:0999@${trunk.host}:${trunk.port}>`;
      const more = [
        ["Path", path()],
        ["Supported", "path"],
      ] as const;
      expect(await registerAt(other, `sip:1001@${A}`, login, contact, more)).toBe(200);
      const [found] = await readRegistrations(bench.control, bench.kamailio.control, `1001@${A}`);
      expect(found).toMatchObject({ connected: false, received: from(other) });
      expect(await ring(bench, pbxA, `sip:1001@${A}`)).toEqual([200, "other"]);
      expect(await dial(bench, other, `sip:1001@${A}`)).toEqual([200, "other"]);
    });

    test("a phone's Contacts lead to where it registered from, whatever addresses they name", async () => {
      const contact = `<sip:1002@${pbxB.host}>, <sip:0999@${trunk.host}:${trunk.port};transport=tcp>`;
      const own = { user: "1002", password: passwordOf("1002", A) };
      expect(await registerAt(other, `sip:1002@${A}`, own, contact)).toBe(200);
      expect(await ring(bench, pbxA, `sip:1002@${A}`)).toEqual([200, "other"]);
    });

    test.each([
      ["a parameter", (at: string) => `;received="${at}"`],
      ["a parameter without quotes, in capitals", (at: string) => `;expires=60;RECEIVED = ${at}`],
      ["an empty parameter", () => ";received"],
      ["a parameter on a line of its own", (at: string) => `;\r\n received="${at}"`],
      ["a parameter between others", (at: string) => `;re;received="${at}"ceived="${at}"`],
      ["behind a NUL", (at: string) => `;x="\0";received="${at}"`],
      ["far behind", (at: string) => `;x="${"x".repeat(10_000)}";received="${at}"`],
      ["two parameters", (at: string) => `;received;received="${at}"`],
      ["another contact", (at: string) => `;expires=0, <sip:0998@${trunk.host}>;received="${at}"`],
    ])("a Contact does not say where its REGISTER came from: %s", async (_, parameter) => {
      const own = `sip:1004@${A}`;
      const contact = `<sip:0999@${trunk.host}:${trunk.port}>${parameter(from(trunk))}`;
      await registerAt(other, own, { user: "1004", password: passwordOf("1004", A) }, contact);
      const found = await readRegistrations(bench.control, bench.kamailio.control, `1004@${A}`);
      expect(new Set([...found.map(({ received }) => received), from(other)])).toEqual(new Set([from(other)]));
      expect((await ring(bench, pbxA, `sip:1004@${A}`)).slice(1)).not.toContain("trunk");
      await registerAt(other, own, { user: "1004", password: passwordOf("1004", A) }, "*", [["Expires", "0"]]);
    });

    test.each<[string, (contact: string) => readonly (readonly [string, string])[]]>([
      ["in the compact form", (contact) => [["m", contact]]],
      [
        "beside a Contact without it",
        (contact) => [
          ["Contact", `<sip:1@${other.host}>`],
          ["m", contact],
        ],
      ],
      ["in other letters", (contact) => [["cOnTaCt ", contact]]],
    ])("nor does a Contact that is written otherwise: %s", async (_, written) => {
      const own = `sip:1004@${A}`;
      const login4 = { user: "1004", password: passwordOf("1004", A) };
      const contact = `<sip:0999@${trunk.host}:${trunk.port}>;received="${from(trunk)}"`;
      const fields = [["Expires", "60"] as const, ...written(contact)];
      const input = { method: "REGISTER", uri: `sip:${bench.host(1)}`, from: `<${own}>;tag=1`, to: `<${own}>` };
      const { status } = await asUser(other, bench.router, login4, { ...input, contact: null, fields });
      const found = await readRegistrations(bench.control, bench.kamailio.control, `1004@${A}`);
      expect([status, new Set(found.map(({ received }) => received))]).toEqual([200, new Set([from(other)])]);
      expect(await ring(bench, pbxA, `sip:1004@${A}`)).toEqual([200, "other"]);
      await registerAt(other, own, login4, "*", [["Expires", "0"]]);
    });

    test("an answer in another realm, in front of it or in the other header, is not for whom somebody is", async () => {
      const uri = `sip:1777@${A}`;
      const own = { user: "1002", ha1: ha1Of("1002", A, passwordOf("1002", A)) };
      const elsewhere = { realm: "x.example.com", nonce: "x", qop: undefined };
      for (const [method, status, refusals] of [
        ["REGISTER", 401, [401, 403]],
        ["INVITE", 407, [403, 407]],
      ] as const)
        for (const [first, second] of [
          [own, { ...own, user: "1001" }],
          [{ ...own, user: "1001" }, own],
        ] as const) {
          const [, value] = credentialsFor(status, elsewhere, first, method, uri);
          for (const name of ["Authorization", "Proxy-Authorization"]) {
            const identity = { from: `<sip:1001@${A}>;tag=1`, to: `<sip:1001@${A}>` };
            const contact = `<sip:1001@${secondA.host}:${secondA.port}>`;
            const input = { method, uri, ...identity, contact, more: [[name, value]] as const };
            expect(refusals, `${method}, ${name}: ${first.user}`).toContain(
              (await asUser(secondA, bench.router, second, input)).status,
            );
          }
        }
      const found = await readRegistrations(bench.control, bench.kamailio.control, `1001@${A}`);
      expect(found.filter(({ contact }) => contact.includes(secondA.host))).toEqual([]);
      expect(called()).toEqual([]);
    });

    test("within his own call a user reaches nobody but the other side of it", async () => {
      const input = { method: "INVITE", uri: `sip:1777@${A}`, from: `<sip:1001@${A}>;tag=1`, callId: "own call" };
      const refused = await (await request(other, bench.router, input)).final();
      const fields = [credentialsFor(407, challengeIn(refused), login, "INVITE", input.uri)];
      const reply = await (await request(other, bench.router, { ...input, cseq: 2, fields })).final();
      expect(reply.status).toBe(200);
      const dialog = callerDialog(reply);
      await within(other, bench.router, dialog, "ACK", 2, { contact: null });
      const [recorded = ""] = dialog.routes;
      let cseq = 3;
      for (const method of ["INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE"])
        for (const uri of [`sip:1001@${B}`, from(phoneB), from(pbxB), from(trunk)])
          for (const routes of [
            [recorded],
            [recorded, `<${from(phoneB)};lr>`],
            [recorded, `<sip:${bench.host(1)};lr>`, `<sip:1001@${B};lr>`],
            [recorded.replace(/;k=100/, ";k=200")],
          ]) {
            const more = { uri, fields: routes.map((route) => ["Route", route] as const) };
            const answer = await (await within(other, bench.router, dialog, method, cseq++, more)).final();
            expect(answer.status, `${method} ${uri} ${routes.join(", ")}`).toBeGreaterThanOrEqual(400);
          }
      for (const peer of [phoneB, pbxB, trunk]) expect(peer.received).toEqual([]);
    });

    test("a PBX is where its REGISTER came from, not where it says", async () => {
      const own = `sip:pbx-1@${bench.host(1)}`;
      const contact = `<sip:pbx-1@${other.host}:${other.port}>`;
      for (const [parameter, more] of [
        ["", [["Path", `<sip:x;lr;received=${from(trunk)}>`]]],
        [`;received="${from(trunk)}"`, []],
      ] as const) {
        expect(await registerAt(other, own, PBX, `${contact}${parameter}`, more)).toBe(200);
        const found = await readContacts(bench.control, bench.kamailio.control, ["pbx-1@pbx.invalid"]);
        expect(found?.["pbx-1"]).toMatchObject([{ connected: false, received: from(other) }]);
      }
    });
  },
);
