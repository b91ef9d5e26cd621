/** Tenants who share extensions and register with the router: whom a user may call, and tenants that come and go. */
import { describe, expect, test } from "vitest";
import { call, calleeDialog, callerDialog, request, within } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../support/sip/digestLogin.ts";
import { callIdOf, header } from "../support/sip/message.ts";
import {
  A,
  B,
  C,
  asUser,
  dial,
  other,
  passwordOf,
  pbxA,
  phoneA,
  phoneB,
  planOf,
  register,
  registerBoth,
  ring,
  secondA,
  withTenants,
} from "./tenants.ts";

withTenants(
  "calls of tenants",
  () => planOf([A, B]),
  (bench, second) => {
    test("a user calls users and numbers of his tenant, and what is no tenant's", async () => {
      await registerBoth(bench);
      expect(await register(bench, secondA, { user: "1002" })).toBe(200);
      expect(await dial(bench, phoneA, `sip:1002@${A}`)).toEqual([200, "secondA"]);
      expect(await dial(bench, phoneA, `sip:1003@${A}`)).toEqual([200, "pbxA"]);
      expect(await dial(bench, phoneA, `sip:1777@${A}`)).toEqual([200, "pbxA"]);
      expect(await dial(bench, phoneA, `sip:00441@${bench.host(1)}`)).toEqual([200, "trunk"]);
      expect(await dial(bench, phoneA, `sip:00441@${A}`)).toEqual([200, "trunk"]);
      expect(await dial(bench, phoneA, "tel:1002")).toEqual([200, "secondA"]);
      // without a domain of its own a number is nobody's
      expect(await dial(bench, phoneA, `sip:1002@${bench.host(1)}`)).toEqual([404]);
    });

    test("a user does not call another tenant, neither its users nor its routes", async () => {
      await registerBoth(bench);
      for (const uri of [
        `sip:1001@${B}`,
        "sip:1001@B.EXAMPLE.com",
        `sip:1001@${B}:5060`,
        `sips:1001@${B}`,
        `sip:1777@${B}`,
        `sip:0123@${B}`,
        `sip:1777@${C}`,
      ])
        expect(await dial(bench, phoneA, uri), uri).toEqual([403]);
      for (const uri of [`sip:1001%40${B}@${A}`, `sip:1001%40${B}@${bench.host(1)}`])
        expect((await dial(bench, phoneA, uri)).slice(1), uri).not.toContain("phoneB");
      const message = { method: "MESSAGE", uri: `sip:1001@${B}`, from: `<sip:1001@${A}>;tag=1` };
      const login = { user: "1001", password: passwordOf("1001", A) };
      expect((await asUser(phoneA, bench.router, login, message)).status).toBe(403);
      expect(phoneB.requests("MESSAGE")).toEqual([]);
    });

    test.each([
      ["another tenant", `sip:1001@${B}`, 407],
      ["another user", `sip:1002@${A}`, 403],
      ["a domain of nobody", "sip:1001@x.example.com", 403],
      ["a domain of routes", `sip:1001@${C}`, 403],
      ["no user", `sip:${A}`, 403],
      ["another name with a domain", `sip:1001%40${A}@${B}`, 407],
      ["a number", "tel:1001", 403],
    ])("nobody calls as %s", async (_, caller, status) => {
      const uri = caller.endsWith(B) ? `sip:1777@${B}` : `sip:1777@${A}`;
      expect(await dial(bench, phoneA, uri, { caller })).toEqual([status]);
    });

    test("who hides his name is of the tenant that he calls", async () => {
      await registerBoth(bench);
      const caller = "sip:anonymous@anonymous.invalid";
      expect(await dial(bench, phoneA, `sip:1777@${A}`, { caller })).toEqual([200, "pbxA"]);
      expect(await dial(bench, phoneA, `sip:1777@${A}`, { caller: `sip:anonymous@${A}` })).toEqual([200, "pbxA"]);
      expect(await dial(bench, phoneA, `sip:1777@${B}`, { caller })).toEqual([407]);
      expect(await dial(bench, phoneA, `sip:1777@${B}`, { caller: `sip:anonymous@${A}` })).toEqual([403]);
      for (const uri of [`sip:00441@${bench.host(1)}`, `sip:1777@${C}`, "tel:1777"])
        expect(await dial(bench, phoneA, uri, { caller }), uri).toEqual([403]);
    });

    test("a call between phones goes on within its dialog", async () => {
      await registerBoth(bench);
      expect(await register(bench, secondA, { user: "1002" })).toBe(200);
      const login = { user: "1001", password: passwordOf("1001", A) };
      const input = { method: "INVITE", uri: `sip:1002@${A}`, from: `<sip:1001@${A}>;tag=1`, callId: "within" };
      const refused = await (await request(phoneA, bench.router, input)).final();
      const fields = [credentialsFor(407, challengeIn(refused), login, "INVITE", input.uri)];
      const reply = await (await request(phoneA, bench.router, { ...input, cseq: 2, fields })).final();
      expect(reply.status).toBe(200);
      const dialog = callerDialog(reply);
      await within(phoneA, bench.router, dialog, "ACK", 2, { contact: null });
      expect((await (await within(phoneA, bench.router, dialog, "INVITE", 3)).final()).status).toBe(200);
      await within(phoneA, bench.router, dialog, "ACK", 3, { contact: null });
      expect((await (await within(phoneA, bench.router, dialog, "BYE", 4)).final()).status).toBe(200);
      expect(secondA.requests("BYE").map(callIdOf)).toEqual(["within"]);
    });

    test("a called phone that goes on at another replica is asked in its own domain", async () => {
      expect(await register(bench, phoneA)).toBe(200);
      const { reply } = await call(pbxA, bench.router, "1001", { uri: `sip:1001@${A}` });
      expect(reply.status).toBe(200);
      const invite = phoneA.requests("INVITE").find((one) => callIdOf(one) === callIdOf(reply));
      if (invite === undefined) throw new Error("the phone was not called");
      const dialog = { ...calleeDialog(invite), local: header(reply, "to") };
      const again = await within(phoneA, { host: bench.host(2), port: 5060 }, dialog, "INVITE", 2);
      const refused = await again.final();
      expect([refused.status, challengeIn(refused).realm]).toEqual([407, A]);
    });

    describe("as data", () => {
      const bring = async (...domains: readonly string[]): Promise<void> => {
        for (const kamailio of [bench.kamailio, second.kamailio]) {
          const files = await kamailio.writeData(planOf(domains));
          await bench.control.call(kamailio.control, "htable.reload", ["tenants"]);
          expect(files.structureHash).toBe(bench.kamailio.files.structureHash);
        }
      };
      const D = "d.example.com";

      test("a tenant comes, and another goes: his phones are called no more, and he calls nobody", async () => {
        await registerBoth(bench);
        expect(await register(bench, other, { domain: D })).toBe(403);
        await bring(A, D);
        expect(await register(bench, other, { domain: D })).toBe(200);
        expect(await ring(bench, pbxA, `sip:1001@${D}`)).toEqual([200, "other"]);
        // a tenant without routes is one, too
        expect(await dial(bench, phoneA, `sip:1001@${D}`)).toEqual([403]);
        expect(await ring(bench, pbxA, `sip:1001@${A}`)).toEqual([200, "phoneA"]);
        expect((await ring(bench, pbxA, `sip:1001@${B}`)).slice(1)).toEqual(["pbxB"]);
        expect(await dial(bench, phoneB, `sip:1777@${B}`, { domain: B })).toEqual([403]);
        expect(await register(bench, phoneB, { domain: B })).toBe(403);
        await bring(A, B);
        expect(await register(bench, phoneB, { domain: B })).toBe(200);
        expect((await ring(bench, pbxA, `sip:1001@${D}`))[0]).toBe(404);
      });
    });

    test("nothing went wrong", () => {
      const faults = bench.kamailio.log
        .split("\n")
        // of itself it says that it is no other replica
        .filter((line) => /CRITICAL|BUG|ERROR/.test(line) && !/: dialog \[|adding notification node/.test(line));
      expect(faults).toEqual([]);
    });
  },
);
