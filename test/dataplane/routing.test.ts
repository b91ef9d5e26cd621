import { expect, test } from "vitest";
import { callOnce, request } from "../support/sip/caller.ts";
import { callIdOf, header, headers } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let freepbx1: SipPeer, freepbx2: SipPeer, special: SipPeer, trunk1: SipPeer, trunk2: SipPeer, tenant: SipPeer;
let phone: SipPeer;

withKamailio(
  "routing",
  async (bench) => {
    [freepbx1, freepbx2, special, trunk1, trunk2, tenant, phone] = await Promise.all([
      bench.peer(11, 5061),
      bench.peer(12, 5062),
      bench.peer(13, 5065),
      bench.peer(14),
      bench.peer(15),
      bench.peer(16),
      bench.peer(20, 5070),
    ]);
    await bench.start(
      routerPlan({
        sets: [
          { name: "freepbx", id: 1, destinations: [freepbx1, { ...at(freepbx2), priority: 1 }] },
          { name: "special", id: 3, destinations: [special, { ...at(tenant), disabled: true }] },
          { name: "trunks", id: 4, destinations: [trunk1, trunk2] },
          { name: "tenant-b", id: 5, destinations: [tenant] },
          { name: "drained", id: 6, destinations: [{ ...at(tenant), priority: 99 }] },
        ],
        routes: [
          { name: "company-a", set: "freepbx", digits: "1", length: 4 },
          { name: "special", set: "special", digits: "3", length: 4 },
          { name: "star", set: "special", digits: "*99", length: 3 },
          { name: "one", set: "special", digits: "1500", length: 4 },
          { name: "uk", set: "special", digits: "+44", callers: "Anyone" },
          { name: "out", set: "trunks", digits: "0", callers: "Trusted", strip: 1, prefix: "+49" },
          { name: "drained", set: "drained", digits: "77" },
          { name: "tenant-b", set: "tenant-b", digits: "1", length: 4, tenant: 1 },
          { name: "external", set: "trunks", digits: "", callers: "Trusted" },
        ],
        domains: [{ domain: "b.example.com", tenant: 1 }],
      }),
    );
  },
  (bench) => {
    const status = async (number: string, from: SipPeer = phone): Promise<number> =>
      (await callOnce(from, bench.router, number)).status;
    const reached = async (peer: SipPeer, number: string, from: SipPeer = phone, uri?: string): Promise<void> => {
      const call = await callOnce(from, bench.router, number, uri === undefined ? {} : { uri });
      expect(call.status).toBe(200);
      expect(peer.calls).toContain(call.callId);
    };

    test("a range, an exact extension within it, a star code and a prefix go to their sets", async () => {
      await reached(freepbx1, "1234");
      await reached(special, "1500");
      await reached(special, "3999");
      await reached(special, "*99");
      await reached(special, "+441234567890");
      expect(freepbx2.calls).toEqual([]);
    });

    test("a range holds decimal numbers of its length only", async () => {
      expect(await status("15000")).toBe(403);
      expect(await status("1*34")).toBe(403);
      expect(await status("123")).toBe(403);
    });

    test("what nobody claims goes to external: for backends, not for anyone", async () => {
      expect(await status("555")).toBe(403);
      const { status: answer, callId } = await callOnce(freepbx1, bench.router, "555");
      expect(answer).toBe(200);
      expect([...trunk1.calls, ...trunk2.calls]).toEqual([callId]);
      expect([...trunk1.requests("INVITE"), ...trunk2.requests("INVITE")].map((invite) => invite.uri)).toEqual(
        expect.arrayContaining([expect.stringMatching(/^sip:555@[0-9.]+\.1[45]:5060;transport=udp$/)]),
      );
    });

    test("a backend is known by its address, whatever its port", async () => {
      const other = await bench.peer(11, 45_000);
      expect(await status("0301234", phone)).toBe(403);
      expect(await status("0301234", other)).toBe(200);
      const invite = [...trunk1.requests("INVITE"), ...trunk2.requests("INVITE")].find(({ uri }) =>
        uri?.includes("301234"),
      );
      expect(invite?.uri).toMatch(/^sip:\+49301234@/);
    });

    test("equal destinations share calls one by one", async () => {
      const before = [trunk1.calls.length, trunk2.calls.length];
      for (let index = 0; index < 10; index += 1) expect(await status("555", freepbx1)).toBe(200);
      expect([trunk1.calls.length - (before[0] ?? 0), trunk2.calls.length - (before[1] ?? 0)]).toEqual([5, 5]);
    });

    test("the domain decides before the number, and a domain keeps to its tenant", async () => {
      await reached(tenant, "1234", phone, "sip:1234@b.example.com");
      await reached(tenant, "1234", phone, "sip:1234@B.Example.COM");
      expect(freepbx1.calls).not.toContain(tenant.calls.at(-1));
    });

    test("a foreign domain is not relayed to: the number decides, the destination replaces the host", async () => {
      const victim = await bench.peer(66);
      expect((await callOnce(phone, bench.router, "", { uri: `sip:1234@${victim.host}:5060` })).status).toBe(200);
      expect(freepbx1.requests("INVITE").at(-1)?.uri).toBe(`sip:1234@${freepbx1.host}:5061;transport=udp`);
      expect((await callOnce(phone, bench.router, "", { uri: `sip:nobody@${victim.host}` })).status).toBe(404);
      expect((await callOnce(phone, bench.router, "", { uri: `sip:${victim.host}` })).status).toBe(404);
      const routed = await request(phone, bench.router, {
        method: "INVITE",
        uri: `sip:555@${victim.host}`,
        fields: [["Route", `<sip:${victim.host};lr>`]],
      });
      expect((await routed.final()).status).toBe(403);
      expect(victim.received).toEqual([]);
    });

    test.each([
      "sip:1234%00@x",
      "sip:12%2034@x",
      "sip:1234;phone-context=+1@x",
      "sip:$(var(found))@x",
      `sip:${"1".repeat(400)}@x`,
      "sip:*:generation@x",
      "sip:1234|A@x",
    ])("a hostile called number is nobody's: %s", async (uri) => {
      const sent = await request(phone, bench.router, { method: "INVITE", uri });
      expect((await sent.final()).status).toSatisfy((code: number) => code === 403 || code === 404 || code === 400);
    });

    test("without any free destination: one 503 with Retry-After", async () => {
      const sent = await request(phone, bench.router, { method: "INVITE", uri: `sip:771@${bench.router.host}` });
      const reply = await sent.final();
      expect(reply.status).toBe(503);
      expect(header(reply, "retry-after")).toMatch(/^[0-9]+$/);
    });

    test("a disabled destination gets no call and no OPTIONS", async () => {
      for (let index = 0; index < 4; index += 1) await reached(special, "3000");
      expect(await bench.read().then(({ destinations }) => destinations.filter(({ setId }) => setId === 300))).toEqual([
        expect.objectContaining({ uri: special.uri, state: "Active" }),
        expect.objectContaining({ uri: tenant.uri, state: "Disabled" }),
      ]);
    });

    test("OPTIONS to the router, methods that are not served, too many hops", async () => {
      const options = await request(phone, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` });
      expect((await options.final()).status).toBe(200);
      const foreign = await request(phone, bench.router, { method: "FOO", uri: `sip:1234@${bench.router.host}` });
      const refused = await foreign.final();
      expect([refused.status, header(refused, "allow")]).toEqual([405, expect.stringContaining("INVITE")]);
      const looping = await request(phone, bench.router, { method: "INVITE", uri: "sip:1234@x", maxForwards: 0 });
      expect((await looping.final()).status).toBe(483);
    });

    test("a retransmitted INVITE is one call", async () => {
      freepbx1.behaviour = () => {};
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1777@x" });
      await sent.send();
      await sent.send();
      await freepbx1.waitFor("the call", (message) => callIdOf(message) === sent.callId);
      freepbx1.behaviour = answering(486);
      expect((await sent.final()).status).toBe(486);
      const branches = freepbx1.requests("INVITE").filter((one) => callIdOf(one) === sent.callId);
      expect(new Set(branches.map((one) => headers(one, "via")[0])).size).toBe(1);
      freepbx1.behaviour = answering(200);
    });

    test("the calls that run are counted, with their route", async () => {
      await callOnce(phone, bench.router, "1000");
      expect((await bench.read()).calls).toBeTypeOf("number");
    });

    test("errors are logged, calls are not", () => {
      const bad = bench.kamailio.log.split("\n").filter((line) => /CRITICAL|BUG|WARNING/.test(line));
      // 5.6 says this of a request that comes while the BYE before it ends the dialog's timer
      expect(bad.filter((line) => !line.includes("update_dlg_timer(): Trying to update a bogus dlg"))).toEqual([]);
    });
  },
);

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});
