/** Tenants who share extensions and register with the router: who is whose user. */
import { expect, test } from "vitest";
import { readRegistrations } from "../../src/kamailio/registrations.ts";
import { request } from "../support/sip/caller.ts";
import { challengeIn, credentialsFor } from "../support/sip/digestLogin.ts";
import { until } from "../support/until.ts";
import {
  A,
  B,
  C,
  asUser,
  other,
  passwordOf,
  pbxA,
  pbxB,
  phoneA,
  phoneB,
  planOf,
  register,
  registerBoth,
  registering,
  ring,
  called,
  withTenants,
} from "./tenants.ts";

withTenants(
  "tenants of a registrar",
  () => planOf([A, B]),
  (bench, second) => {
    test("one extension of two tenants is two users, each called in his own domain, at both replicas", async () => {
      await registerBoth(bench);
      expect(await ring(bench, pbxA, `sip:1001@${A}`)).toEqual([200, "phoneA"]);
      expect(await ring(bench, pbxA, "sip:1001@A.Example.COM:5060;transport=udp")).toEqual([200, "phoneA"]);
      expect(await ring(bench, pbxB, `sip:1001@${B}`)).toEqual([200, "phoneB"]);
      await until("the other replica knows both", async () => {
        const [ofA, ofB] = [await ring(bench, pbxA, `sip:1001@${A}`, 2), await ring(bench, pbxB, `sip:1001@${B}`, 2)];
        return ofA.join() === "200,phoneA" && ofB.join() === "200,phoneB";
      });
      expect(await register(bench, phoneA, { last: 2, expires: 0 })).toBe(200);
      await until("one of them is gone at the first", async () => {
        const [status] = await ring(bench, pbxA, `sip:1001@${A}`);
        return status === 480;
      });
      expect(await ring(bench, pbxB, `sip:1001@${B}`)).toEqual([200, "phoneB"]);
    });

    test("a replica that starts anew is told whose users they are", async () => {
      await registerBoth(bench);
      await second.restart();
      await until("it knows both", async () => {
        const [ofA, ofB] = [await ring(bench, pbxA, `sip:1001@${A}`, 2), await ring(bench, pbxB, `sip:1001@${B}`, 2)];
        return ofA.join() === "200,phoneA" && ofB.join() === "200,phoneB";
      });
    });

    test("a phone on TCP that connects anew takes the place of its own contact, and of no other tenant's", async () => {
      const contactsOf = async (domain: string): Promise<readonly string[]> =>
        (await readRegistrations(bench.control, bench.kamailio.control, `1004@${domain}`)).map(
          ({ contact }) => contact,
        );
      const over = async (port: number, domain: string, cseq: number): Promise<string> => {
        const phone = await bench.listen({ host: bench.host(30), port, transport: "TCP" });
        const own = `sip:1004@${domain}`;
        const contact = `sip:1004@${phone.host}:${port};transport=tcp`;
        const login = { user: "1004", password: passwordOf("1004", domain) };
        const input = { uri: `sip:${domain}`, from: `<${own}>;tag=1`, to: `<${own}>`, contact: `<${contact}>` };
        const callId = "one phone";
        const refused = await (
          await request(phone, bench.router, { ...input, method: "REGISTER", callId, cseq })
        ).final();
        const fields = [credentialsFor(401, challengeIn(refused), login, "REGISTER", input.uri)];
        const again = { ...input, method: "REGISTER", callId, cseq: cseq + 1, fields };
        expect((await (await request(phone, bench.router, again)).final()).status).toBe(200);
        return contact;
      };
      const ofB = await over(5071, B, 1);
      await over(5072, A, 3);
      const ofA = await over(5073, A, 5);
      expect(await contactsOf(A)).toEqual([ofA]);
      expect(await contactsOf(B)).toEqual([ofB]);
    });

    test("who is registered can be read back, with his domain", async () => {
      await registerBoth(bench);
      const all = await readRegistrations(bench.control, bench.kamailio.control);
      expect([...new Set(all.map(({ user }) => user))].slice(0, 2)).toEqual([`1001@${A}`, `1001@${B}`]);
      const users = [`1001@${B}`, `1999@${B}`];
      const found = await readRegistrations(bench.control, bench.kamailio.control, { users });
      expect(found.map(({ user, contact }) => [user, contact])).toEqual([
        [`1001@${B}`, `sip:1001@${phoneB.host}:${phoneB.port}`],
      ]);
    });

    test("neither the router's address nor a domain of nobody leads to a user", async () => {
      await registerBoth(bench);
      for (const host of [bench.host(1), "x.example.com", C, `${A}.`, "pbx.invalid"])
        expect((await ring(bench, pbxA, `sip:1001@${host}`)).slice(1), host).not.toContain("phoneA");
      expect((await ring(bench, pbxA, `sip:1001@${bench.host(1)}`))[0]).toBe(404);
    });

    test("each tenant is asked in its own domain, who is unknown as who is known", async () => {
      for (const domain of [A, B])
        for (const user of ["1001", "1003", "nobody", "@", "%23generation"]) {
          const { first } = await registering(bench, phoneA, { user, domain, password: "guess" });
          expect([first.status, challengeIn(first).realm], `${user}@${domain}`).toEqual([401, domain]);
        }
      const { first } = await registering(bench, phoneA, {
        to: "sip:1001@A.EXAMPLE.COM",
        from: "sip:1001@A.example.com:5070",
      });
      expect([first.status, challengeIn(first).realm]).toEqual([401, A]);
    });

    test("a domain that is no tenant's registers nobody", async () => {
      for (const domain of ["x.example.com", C, bench.host(1), `${A}.`, "pbx.invalid", "invalid"]) {
        const { first } = await registering(bench, phoneA, { domain, uri: `sip:${bench.host(1)}` });
        expect(first.status, domain).toBe(403);
      }
      expect(await register(bench, phoneA, { to: "sip:a.example.com", from: "sip:a.example.com" })).not.toBe(200);
    });

    test("a password is good for its own user of its own domain", async () => {
      expect(await register(bench, phoneB, { domain: B, password: passwordOf("1001", A) })).toBe(401);
      expect(await register(bench, phoneB, { password: passwordOf("1002", A) })).toBe(401);
      // the hash of one, in the name of another
      expect(await register(bench, phoneB, { user: "1002", to: `sip:1001@${A}`, from: `sip:1001@${A}` })).toBe(403);
      expect(
        await register(bench, phoneB, { user: "1002", as: "1001", to: `sip:1001@${A}`, from: `sip:1001@${A}` }),
      ).toBe(401);
      expect(await readRegistrations(bench.control, bench.kamailio.control, `1001@${A}`)).not.toContainEqual(
        expect.objectContaining({ contact: expect.stringContaining(phoneB.host) }),
      );
    });

    test.each([
      ["another tenant in the URI", { uri: `sip:${B}` }],
      ["another tenant's routes in the URI", { uri: `sip:${C}` }],
      ["another tenant in From", { from: `sip:1001@${B}` }],
      ["another domain in From", { from: "sip:1001@x.example.com" }],
      ["another tenant in To", { to: `sip:1001@${B}` }],
      ["an escaped domain in To", { to: `sip:1001%40${B}@${A}` }],
      ["an escaped number", { to: `sip:%31001@${A}` }],
      ["a name with a domain", { as: `1001@${B}`, to: `sip:1001%40${B}@${A}`, from: `sip:1001%40${B}@${A}` }],
      ["no name", { as: "", to: `sip:${A}`, from: `sip:${A}` }],
    ])("a REGISTER with %s is not taken", async (_, options) => {
      const before = await readRegistrations(bench.control, bench.kamailio.control);
      expect([401, 403]).toContain(await register(bench, other, options));
      expect((await readRegistrations(bench.control, bench.kamailio.control)).length).toBe(before.length);
    });

    test("the row of a domain is nobody's password", async () => {
      for (const ha1 of ["0".repeat(32), "domain", ""]) {
        const input = { method: "INVITE", uri: `sip:1002@${A}`, from: "<sip:anonymous@anonymous.invalid>;tag=1" };
        expect((await asUser(other, bench.router, { user: "", ha1 }, input)).status).toBe(407);
      }
      expect(called()).toEqual([]);
    });

    test("two answers to challenges: who is named in one is not let in by the other", async () => {
      const challenge = { realm: A, nonce: "x", qop: undefined };
      for (const [name, user] of [
        ["Proxy-Authorization", "1001"],
        ["Authorization", "1001"],
      ] as const) {
        const [, value] = credentialsFor(401, challenge, { user, password: "x" }, "REGISTER", `sip:${A}`);
        const status = await asUser(
          other,
          bench.router,
          { user: "1002", password: passwordOf("1002", A) },
          {
            method: "REGISTER",
            uri: `sip:${A}`,
            from: `<sip:1001@${A}>;tag=1`,
            to: `<sip:1001@${A}>`,
            contact: `<sip:1001@${other.host}:${other.port}>`,
            more: [[name, value]],
          },
        );
        expect([401, 403]).toContain(status.status);
      }
      const found = await readRegistrations(bench.control, bench.kamailio.control, `1001@${A}`);
      expect(found.filter(({ contact }) => contact.includes(other.host))).toEqual([]);
    });
  },
);
