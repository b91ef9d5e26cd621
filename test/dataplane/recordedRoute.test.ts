/** The way back to who began a dialog: what he writes of it leads to nobody else, and a proxy in front of the router stays in the path. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { calleeDialog, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, headers } from "../support/sip/message.ts";
import { type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer, proxy: SipPeer, victim: SipPeer, trusted: SipPeer;
let other: LocalKamailio | undefined;
let guarded: LocalKamailio | undefined;
const PHONE_BEHIND = "<sip:caller@192.168.77.7:5060>";

const plan = (more: Parameters<typeof routerPlan>[0]["structure"] = {}, allow: readonly string[] = []): RouterPlan =>
  routerPlan({
    structure: { advertise: "192.0.2.9", ...more },
    sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
    routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
    data: { access: { allow: [...allow], deny: [] } },
  });

withKamailio(
  "recorded route",
  async (bench) => {
    [pbx, phone, proxy, victim, trusted] = await Promise.all([
      bench.peer(11),
      bench.peer(20, 5070),
      bench.peer(20, 5062),
      bench.peer(66),
      bench.peer(30, 5070),
    ]);
    await bench.start(plan());
    other = await LocalKamailio.start(bench.program, plan(), bench.host(2));
    guarded = await LocalKamailio.start(bench.program, plan({ accessControl: true }, [trusted.host]), bench.host(3));
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, phone, proxy, victim, trusted]) peer.received.length = 0;
    });
    afterAll(async () => {
      await other?.stop();
      await guarded?.stop();
    });
    const at = (last: number) => ({ host: bench.host(last), port: 5060 });

    /** How the PBX knows the dialog that a request with these headers begins. */
    async function begun(
      from: SipPeer,
      method: string,
      input: { readonly recorded?: readonly string[]; readonly contact?: string },
      last = 1,
    ): Promise<Dialog> {
      const fields = (input.recorded ?? []).map((route): [string, string] => ["Record-Route", route]);
      const { contact } = input;
      const sent = await request(from, at(last), {
        method,
        uri: `sip:1000@${bench.host(last)}`,
        fields: [...fields, ["Event", "dialog"], ["Refer-To", "<sip:1001@x>"]],
        ...(contact === undefined ? {} : { contact }),
      });
      expect((await sent.final()).status).toBe(200);
      const arrived = pbx.requests(method).find((message) => callIdOf(message) === sent.callId);
      if (arrived === undefined) throw new Error(`the ${method} did not arrive`);
      return calleeDialog(arrived);
    }
    const methods = [
      ["INVITE", "INFO"],
      ["INVITE", "BYE"],
      ["SUBSCRIBE", "NOTIFY"],
      ["REFER", "NOTIFY"],
    ] as const;

    test.each([1, 2])(
      "what a PBX sends to a stranger reaches him and nobody whom he names, at replica %s",
      async (replica) => {
        const forged = [
          { recorded: [`<sip:${victim.host};lr>`] },
          { recorded: [`<sip:localhost:5060;lr>`] },
          { recorded: [`<sip:${victim.host};lr>`], contact: PHONE_BEHIND },
          { recorded: [`<sip:${bench.host(1)};lr;v=0>`, `<sip:${victim.host};lr>`], contact: PHONE_BEHIND },
          { contact: `<sip:caller@${phone.host}:${phone.port};alias=${victim.host}~5060~1>` },
          { contact: `<sip:caller@${victim.host}:5060>` },
          {
            contact: `<sip:caller@${victim.host}:5060;alias=${victim.host}~5060~1>`,
            recorded: [`<sip:${victim.host};lr>`],
          },
        ];
        for (const [first, later] of methods)
          for (const input of forged) {
            const back = await begun(phone, first, input);
            const sent = await within(pbx, at(replica), back, later, 100);
            expect((await sent.final()).status, `${first}, ${JSON.stringify(input)}`).toBe(200);
            expect(phone.requests(later).map(callIdOf)).toContain(back.callId);
          }
        expect(victim.received).toEqual([]);
      },
    );

    test.each([1, 2])(
      "a proxy in front of the router stays in the path, by address or by name, at replica %s",
      async (replica) => {
        const { host } = proxy;
        for (const [first, later] of methods)
          for (const [from, whom, recorded] of [
            [phone, proxy, [`<sip:${host}:${proxy.port};lr>`, "<sip:192.168.77.8;lr>"]],
            [proxy, proxy, ["<sip:proxy.example;lr>"]],
          ] as const) {
            const back = await begun(from, first, { recorded, contact: PHONE_BEHIND });
            const sent = await within(pbx, at(replica), back, later, 100);
            expect((await sent.final()).status).toBe(200);
            const arrived = await whom.waitFor(later, (one) => one.method === later && callIdOf(one) === back.callId);
            expect(headers(arrived, "route")).toEqual(recorded);
          }
      },
    );

    test.each([1, 2])(
      "a proxy that records its route in every request is served within dialogs, too, at replica %s",
      async (replica) => {
        const recorded: [string, string] = ["Record-Route", `<sip:${proxy.host}:${proxy.port};lr>`];
        for (const [first, ...later] of [
          ["INVITE", "UPDATE", "INFO", "INVITE", "BYE"],
          ["SUBSCRIBE", "NOTIFY", "SUBSCRIBE"],
        ] as const) {
          const sent = await request(proxy, at(1), {
            method: first,
            uri: `sip:1000@${bench.host(1)}`,
            fields: [recorded, ["Event", "dialog"]],
          });
          const whole = callerDialog(await sent.final());
          // it follows its own route, and takes it off
          const routes = whole.routes.slice(1).map((route): [string, string] => ["Route", route]);
          for (const [index, method] of later.entries()) {
            const next = await within(proxy, at(replica), whole, method, sent.input.cseq + 1 + index, {
              fields: [recorded, ...routes, ["Event", "dialog"]],
            });
            expect((await next.final()).status, `${first}, ${method}`).toBe(200);
          }
        }
      },
    );

    test("a source of the access list records the route that it wants", async () => {
      for (const [first, later] of methods) {
        const recorded = [`<sip:${proxy.host}:${proxy.port};lr>`];
        const back = await begun(trusted, first, { recorded, contact: PHONE_BEHIND }, 3);
        const sent = await within(pbx, at(3), back, later, 100);
        expect((await sent.final()).status).toBe(200);
        expect(proxy.requests(later).map(callIdOf)).toContain(back.callId);
      }
    });
  },
);
