import { expect, test } from "vitest";
import { lookupRoute, type RouterPlan } from "../../src/ir/index.ts";
import { callOnce, call, request, within } from "../support/sip/caller.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const ROUTES = 10_000;

let peers: Readonly<Record<"emergency" | "short" | "star" | "plus" | "many" | "a" | "b" | "external", SipPeer>>;
let phone: SipPeer;
let plan: RouterPlan;

withKamailio(
  "matching",
  async (bench) => {
    const names = ["emergency", "short", "star", "plus", "many", "a", "b", "external"] as const;
    const made = await Promise.all(names.map(async (name, at) => [name, await bench.peer(11 + at)] as const));
    peers = Object.fromEntries(made) as typeof peers;
    phone = await bench.peer(30, 5070);
    plan = routerPlan({
      sets: names.map((name, at) => ({ name, id: at + 1, destinations: [addressOf(peers[name])] })),
      routes: [
        { name: "emergency", set: "emergency", digits: "112", length: 3 },
        { name: "emergency-911", set: "emergency", digits: "911", length: 3 },
        { name: "short", set: "short", digits: "1", length: 1 },
        { name: "voicemail", set: "star", digits: "*97", length: 3 },
        { name: "codes", set: "star", digits: "*" },
        { name: "hash", set: "star", digits: "#31#" },
        { name: "international", set: "plus", digits: "+" },
        { name: "uk", set: "many", digits: "+44" },
        ...Array.from({ length: ROUTES }, (_, at) => ({
          name: `many-${at}`,
          set: "many",
          digits: String(500_000 + at),
          length: 6,
        })),
        { name: "a", set: "a", digits: "2", length: 4, tenant: 1 },
        { name: "a-only", set: "a", digits: "77", tenant: 1 },
        { name: "b", set: "b", digits: "2", length: 4, tenant: 2 },
        { name: "b-only", set: "b", digits: "88", tenant: 2 },
        { name: "external", set: "external", digits: "", callers: "Trusted" },
      ],
      domains: [
        { domain: "a.example.com", tenant: 1 },
        { domain: "b.example.com", tenant: 2 },
      ],
    });
    await bench.start(plan);
  },
  (bench) => {
    /** where a number goes: the name of the peer, or the status */
    const reached = async (number: string, domain = bench.router.host, from = phone): Promise<string | number> => {
      const { status, callId } = await callOnce(from, bench.router, number, { uri: `sip:${number}@${domain}` });
      const taker = Object.entries(peers).find(([, peer]) => peer.calls.includes(callId))?.[0];
      return status === 200 && taker !== undefined ? taker : status;
    };

    test.each([
      ["112", "emergency"],
      ["911", "emergency"],
      ["1", "short"],
      ["*97", "star"],
      ["*21*4711#", "star"],
      ["#31#4711", "star"],
      ["+1", "plus"],
      ["+4930123456", "plus"],
      ["+442071234567", "many"],
      ["500000", "many"],
      [String(500_000 + ROUTES - 1), "many"],
      ["504711", "many"],
    ])("%s goes to %s, as the plan says", async (number, name) => {
      expect(await reached(number)).toBe(name);
      expect(lookupRoute(plan.data, number)?.set).toBe(name);
    });

    test.each([
      ["a hash as RFC 3261 has it written", "%2331%234711", "#31#4711", "star"],
      ["a code that ends with a hash", "*21*4711%23", "*21*4711#", "star"],
      ["a ported number", "+442071234567;npdi;rn=+441", "+442071234567", "many"],
    ])("%s: %s is %s", async (_, written, number, name) => {
      expect(await reached(written)).toBe(name);
      expect(lookupRoute(plan.data, number)?.set).toBe(name);
    });

    test.each(["1121", "11", String(500_000 + ROUTES), "5047110", "1234567890123456789012345678901"])(
      "%s is only external's",
      async (number) => {
        expect(await reached(number)).toBe(403);
        expect(await reached(number, undefined, peers.a)).toBe("external");
        expect(lookupRoute(plan.data, number)?.route).toBe("external");
      },
    );

    test.each(["alice", "12a4", "1".repeat(33), "1%2012", "1-2", "*97%", "1;phone-context=+49"])(
      "%s cannot be dialled: nobody's, not even for a trusted caller",
      async (number) => {
        expect(await reached(number, undefined, peers.a)).toBe(404);
        expect(lookupRoute(plan.data, number.replace("%20", " "))).toBeUndefined();
      },
    );

    test("the same extension in two tenants goes to two PBXs, and no route of one is reachable in the domain of the other", async () => {
      expect(await reached("2000", "a.example.com")).toBe("a");
      expect(await reached("2000", "b.example.com")).toBe("b");
      expect(await reached("7712", "a.example.com")).toBe("a");
      expect(await reached("8812", "b.example.com")).toBe("b");
      for (const [number, domain] of [
        ["7712", "b.example.com"],
        ["8812", "a.example.com"],
        ["7712", "elsewhere.example.com"],
        ["2000", bench.router.host],
        ["2000", "elsewhere.example.com"],
        ["2000", "a.example.com.b.example.com"],
      ] as const) {
        expect([number, domain, await reached(number, domain)]).toEqual([number, domain, 403]);
        expect(lookupRoute(plan.data, number, domain)?.route).toBe("external");
      }
      const before = [peers.a.calls.length, peers.b.calls.length];
      // neither another header nor a parameter chooses the tenant
      for (const more of [
        { uri: "sip:7712@b.example.com;maddr=a.example.com" },
        { uri: "sip:7712@b.example.com", to: "<sip:7712@a.example.com>", from: "<sip:x@a.example.com>;tag=1" },
        {
          uri: "sip:7712@b.example.com",
          fields: [["P-Asserted-Identity", "<sip:x@a.example.com>"]] as [string, string][],
        },
      ])
        expect((await callOnce(phone, bench.router, "", more)).status).toBe(403);
      expect([peers.a.calls.length, peers.b.calls.length]).toEqual(before);
    });
  },
);

let drained: SipPeer, other: SipPeer;

withKamailio(
  "a backend that drains",
  async (bench) => {
    [drained, other, phone] = await Promise.all([bench.peer(41), bench.peer(42), bench.peer(50, 5070)]);
    await bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, destinations: [addressOf(drained), addressOf(other)] }],
        routes: [{ name: "all", set: "pbx", digits: "1" }],
      }),
    );
  },
  (bench) => {
    test("gets no new call and no failover; its calls go on in both directions, and it is still known as a backend", async () => {
      let held = await call(phone, bench.router, "1000");
      while (!drained.calls.includes(held.sent.callId)) {
        await (await within(phone, bench.router, held.dialog, "BYE", 2)).final();
        held = await call(phone, bench.router, "1000");
      }
      // what the operator does: into tier 99, out of its own
      await bench.call("dispatcher.add", 199, drained.uri, 0, 0);
      await bench.call("dispatcher.remove", 100, drained.uri);
      const before = drained.calls.length;
      for (let index = 0; index < 4; index += 1) expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      other.behaviour = answering(503);
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(503);
      other.behaviour = answering(200);
      expect(drained.calls.length).toBe(before);
      const again = await within(phone, bench.router, held.dialog, "INVITE", 3);
      expect((await again.final()).status).toBe(200);
      await within(phone, bench.router, held.dialog, "ACK", 3, { contact: null });
      // not challenged, not refused: the PBX may end its calls and place some, too
      const own = await callOnce(drained, bench.router, "1000");
      expect(own.status).toBe(200);
      const bye = await within(phone, bench.router, held.dialog, "BYE", 4);
      expect((await bye.final()).status).toBe(200);
      const probes = drained.requests("OPTIONS").length;
      await until("it is still probed", () => drained.requests("OPTIONS").length > probes);
    });

    test("refused, when nobody else is there", async () => {
      await bench.call("dispatcher.remove", 100, other.uri);
      const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:1000@x" });
      expect((await sent.final()).status).toBe(503);
    });
  },
);

const addressOf = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});
