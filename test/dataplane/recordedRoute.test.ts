/** The way back to who began a dialog: what he writes of it leads to nobody else, and a proxy in front of the router stays in the path. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, calleeDialog, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, headers, uriIn, writeReply } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, trunk: SipPeer, phone: SipPeer, proxy: SipPeer, victim: SipPeer, trusted: SipPeer;
let other: LocalKamailio | undefined;
let guarded: LocalKamailio | undefined;
const PHONE_BEHIND = "<sip:caller@192.168.77.7:5060>";

const plan = (more: Parameters<typeof routerPlan>[0]["structure"] = {}, allow: readonly string[] = []): RouterPlan =>
  routerPlan({
    structure: { advertise: "192.0.2.9", ...more },
    sets: [
      { name: "pbx", id: 1, destinations: [pbx] },
      { name: "trunk", id: 2, destinations: [trunk] },
    ],
    routes: [
      { name: "phones", set: "pbx", digits: "1", length: 4 },
      { name: "out", set: "trunk", digits: "0", callers: "Trusted" },
    ],
    data: { access: { allow: [...allow], deny: [] } },
  });

withKamailio(
  "recorded route",
  async (bench) => {
    [pbx, trunk, phone, proxy, victim, trusted] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
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
      for (const peer of [pbx, trunk, phone, proxy, victim, trusted]) {
        peer.received.length = 0;
        peer.behaviour = answering(200);
      }
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

    /** The PBX calls a phone that registered through `from`, whose answer has the Record-Route that `recorded` makes of its own. */
    async function answered(
      from: SipPeer,
      method: string,
      recorded: (own: readonly string[]) => readonly string[],
      contact = PHONE_BEHIND,
    ): Promise<Dialog> {
      const own = `<sip:1000@${bench.host(1)}>`;
      const sent = await request(from, at(1), {
        ...{ method: "REGISTER", uri: `sip:${bench.host(1)}`, from: `${own};tag=1`, to: own, contact: PHONE_BEHIND },
      });
      expect((await sent.final()).status).toBe(200);
      const registered = pbx.requests("REGISTER").find((message) => callIdOf(message) === sent.callId);
      if (registered === undefined) throw new Error("the REGISTER did not arrive");
      from.behaviour = (message, send) => {
        if (message.method === "ACK") return;
        const routes = recorded(headers(message, "record-route")).map((route) => ["record-route", route] as const);
        const fields = [...routes, ...message.fields.filter(([name]) => name !== "record-route")];
        send(writeReply({ ...message, fields }, 200, { contact }));
      };
      const input = {
        uri: uriIn(PHONE_BEHIND),
        fields: [
          ...headers(registered, "path").map((route): [string, string] => ["Route", route]),
          ["Event", "dialog"] as [string, string],
        ],
      };
      if (method === "INVITE") return (await call(pbx, at(1), "1000", input)).dialog;
      return callerDialog(await (await request(pbx, at(1), { method, ...input })).final());
    }
    const later = [
      ["INVITE", "INFO"],
      ["INVITE", "INVITE"],
      ["INVITE", "BYE"],
      ["SUBSCRIBE", "SUBSCRIBE"],
    ] as const;

    test.each([1, 2])(
      "what a PBX sends to a phone that it called reaches the phone, at replica %s",
      async (replica) => {
        const led = `<sip:${victim.host};lr>`;
        for (const [first, next] of later)
          for (const recorded of [
            (own: readonly string[]) => [led, ...own],
            (own: readonly string[]) => [led, ...own.map((route) => route.replace(/;v=[^;>]*/g, ""))],
            (own: readonly string[]) => [led, ...own.map((route) => route.replace(/;[kv]=[^;>]*/g, ""))],
            (own: readonly string[]) => [led, ...own.map((route) => route.replace(/;k=[^;>-]*/g, ";k=100"))],
            (own: readonly string[]) => ["<sip:localhost:5060;lr>", ...own],
          ])
            for (const contact of [PHONE_BEHIND, `<sip:1000@${victim.host};alias=${victim.host}~5060~1>`]) {
              const dialog = await answered(phone, first, recorded, contact);
              const sent = await within(pbx, at(replica), dialog, next, 100);
              expect((await sent.final()).status, `${first}, ${next}, ${String(recorded)}`).toBe(200);
              const arrived = phone.requests(next).map(callIdOf);
              expect(arrived.filter((callId) => callId === dialog.callId)).toHaveLength(first === next ? 2 : 1);
            }
        expect(victim.received).toEqual([]);
      },
    );

    test("a phone that was called reaches its PBX at each replica, and one of an older version reads its key", async () => {
      const { callId } = await answered(phone, "INVITE", (own) => own);
      const invite = phone.requests("INVITE").find((message) => callIdOf(message) === callId);
      if (invite === undefined) throw new Error("the INVITE did not arrive");
      const back = calleeDialog(invite);
      // a number, in front of the digest
      expect(back.routes[0]).toMatch(/;k=[0-9]+-[0-9a-f]{32}[;>]/);
      for (const last of [1, 2])
        for (const method of ["INFO", "INVITE"])
          expect((await (await within(phone, at(last), back, method, 10 + last)).final()).status).toBe(200);
      expect(pbx.requests("INFO").map(callIdOf)).toEqual([callId, callId]);
    });

    test.each([1, 2])("a trunk that is called records the route that it wants, at replica %s", async (replica) => {
      const route = `<sip:${proxy.host}:${proxy.port};lr>`;
      trunk.behaviour = (message, send, peer) => {
        const fields = [["record-route", route] as const, ...message.fields];
        if (message.method !== "ACK") send(writeReply({ ...message, fields }, 200, { contact: `<${peer.uri}>` }));
      };
      const { dialog } = await call(pbx, at(1), "0123");
      for (const [cseq, method] of (["INFO", "INVITE", "BYE"] as const).entries()) {
        const sent = await within(pbx, at(replica), dialog, method, 100 + cseq);
        expect((await sent.final()).status).toBe(200);
        expect(proxy.requests(method).map(callIdOf)).toContain(dialog.callId);
      }
    });

    test.each([1, 2])(
      "a proxy in front of a phone that is called stays in the path, at replica %s",
      async (replica) => {
        for (const [first, next] of later)
          for (const [from, whom, route] of [
            [phone, proxy, `<sip:${proxy.host}:${proxy.port};lr>`],
            [proxy, proxy, "<sip:proxy.example;lr>"],
          ] as const) {
            const dialog = await answered(from, first, (own) => [route, ...own]);
            whom.received.length = 0;
            const sent = await within(pbx, at(replica), dialog, next, 100);
            expect((await sent.final()).status).toBe(200);
            const arrived = await whom.waitFor(next, (one) => one.method === next && callIdOf(one) === dialog.callId);
            expect(headers(arrived, "route")).toEqual([route]);
          }
      },
    );
  },
);
