/** Request-URIs other than `sip:`, and what is left of a call that could not be sent. */
import { afterAll, beforeEach, expect, test } from "vitest";
import { callOnce, request, type RequestInput, type Sent } from "../support/sip/caller.ts";
import { callIdOf, header } from "../support/sip/message.ts";
import { Rtpengine, RtpEnd } from "../support/sip/media.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, backup: SipPeer, tenant: SipPeer, phone: SipPeer;

withKamailio(
  "Request-URIs",
  async (bench) => {
    [pbx, backup, tenant, phone] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13, 5060, "TCP"),
      bench.peer(20, 5070),
    ]);
    await bench.start(
      routerPlan({
        sets: [
          { name: "pbx", id: 1, destinations: [at(pbx), { ...at(backup), priority: 1 }] },
          { name: "tenant", id: 2, destinations: [at(tenant)] },
        ],
        domains: [{ domain: "a.example.com", tenant: 1 }],
        routes: [
          { name: "all", set: "pbx", digits: "1" },
          { name: "plus", set: "pbx", digits: "+49" },
          { name: "tenant", set: "tenant", digits: "2", tenant: 1 },
        ],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, backup, tenant]) peer.behaviour = answering(200);
    });
    const dial = async (uri: string, more: Partial<RequestInput> = {}): Promise<number> =>
      (await callOnce(phone, bench.router, "", { uri, to: "<sip:x@y>", ...more })).status;
    const lastUri = (peer: SipPeer): string => peer.requests("INVITE").at(-1)?.uri ?? "";

    test.each([
      ["sips:1000@x", "sip:1000@"],
      ["SIPS:1000@x:5061;transport=tcp", "sip:1000@"],
      ["tel:1000", "sip:1000@"],
      ["tel:+49-(89).123", "sip:+4989123@"],
      ["tel:1000;npdi;rn=+1-2", "sip:1000;npdi;rn=+1-2@"],
      ["sip:1000;npdi@x;user=phone", "sip:1000;npdi@"],
    ])("%s is called as %s...", async (uri, wanted) => {
      expect(await dial(uri)).toBe(200);
      expect(lastUri(pbx)).toBe(`${wanted}${pbx.host}:${pbx.port};transport=udp`);
      pbx.behaviour = answering(503);
      expect(await dial(uri)).toBe(200);
      expect(lastUri(backup)).toBe(`${wanted}${backup.host}:${backup.port};transport=udp`);
    });

    test("a tel: URI has no domain: the caller's own is taken", async () => {
      const from = "<sip:caller@a.example.com>;tag=1";
      expect(await dial("tel:2000", { from })).toBe(200);
      expect(lastUri(tenant)).toMatch(/^sip:2000@/);
      expect(await dial("sips:2000@a.example.com")).toBe(200);
      expect(await dial("tel:2000")).toBe(404);
    });

    test.each([
      ["tel:1000;phone-context=+49", 404],
      ["tel:1000;ext=1;PHONE-CONTEXT=example.com", 404],
      ["sip:1000;phone-context=+49@x;user=phone", 404],
      ["sips:nobody@x", 404],
      ["tel:", 400],
      ["urn:service:sos", 416],
    ])("%s is answered %i, and nothing is sent", async (uri, status) => {
      const before = pbx.received.length;
      expect(await dial(uri)).toBe(status);
      expect(pbx.received.slice(before).filter(({ method }) => method === "INVITE")).toEqual([]);
    });

    test("a phone that registers with sips: is registered", async () => {
      const sent = await request(phone, bench.router, {
        method: "REGISTER",
        uri: `sips:${bench.router.host}`,
        to: `<sips:1000@${bench.router.host}>`,
        from: `<sips:1000@${bench.router.host}>;tag=1`,
      });
      expect((await sent.final()).status).toBe(200);
      expect(pbx.requests("REGISTER").map((one) => callIdOf(one))).toContain(sent.callId);
    });

    test("nothing was logged for any of them", () => {
      expect(bench.kamailio.log.split("\n").filter((line) => /ERROR|CRITICAL|BUG/.test(line))).toEqual([]);
    });
  },
);

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});

let relay: Rtpengine, caller: RtpEnd;

withKamailio(
  "a call that cannot be sent",
  async (bench) => {
    [pbx, backup, phone] = await Promise.all([bench.peer(11), bench.peer(12), bench.peer(20, 5070)]);
    const overTls = { ...at(pbx), transport: "TLS" } as const;
    caller = await RtpEnd.open(phone.host);
    relay = new Rtpengine(bench.host(41));
    await relay.start();
    await bench.start(
      routerPlan({
        structure: {
          rtpengine: [`udp:${relay.host}:${relay.port}`],
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        // nothing can be sent over TLS: there is no listener of it
        sets: [
          { name: "pbx", id: 1, destinations: [at(pbx), overTls, { ...at(backup), priority: 1 }] },
          { name: "none", id: 2, destinations: [overTls, { ...overTls, port: 5062 }] },
        ],
        routes: [
          { name: "pbx", set: "pbx", digits: "1" },
          { name: "none", set: "none", digits: "2" },
        ],
      }),
    );
  },
  (bench) => {
    afterAll(async () => {
      caller.close();
      await relay.stop();
    });
    const invite = async (from: SipPeer, uri: string, route?: string): Promise<Sent> =>
      request(from, bench.router, {
        method: "INVITE",
        uri,
        fields: [["Content-Type", "application/sdp"], ...(route === undefined ? [] : [["Route", route] as const])],
        body: caller.sdp(),
      });
    const leavesNothing = async (sent: Sent): Promise<void> => {
      expect(await relay.calls()).not.toContain(sent.callId);
      await until("no call is left", async () => (await bench.read()).calls === 0);
    };

    test("to any PBX is answered 503, and leaves no session at the media proxy", async () => {
      const sent = await invite(phone, "sip:2000@x");
      const reply = await sent.final();
      expect(reply.status).toBe(503);
      expect(header(reply, "retry-after")).toMatch(/^[0-9]+$/);
      await leavesNothing(sent);
    });

    test("to a phone leaves none either", async () => {
      const sent = await invite(
        pbx,
        "sip:1000@192.0.2.1",
        `<sip:path@${bench.router.host};lr;received=sip:[::1]:5060>`,
      );
      expect((await sent.final()).status).toBe(478);
      await leavesNothing(sent);
    });

    test("to one PBX goes to the next one, whether another one has failed or not", async () => {
      pbx.behaviour = answering(503);
      for (let index = 0; index < 4; index += 1) {
        const { status, callId } = await callOnce(phone, bench.router, "1000");
        expect(status).toBe(200);
        expect(backup.calls).toContain(callId);
      }
    });
  },
);
