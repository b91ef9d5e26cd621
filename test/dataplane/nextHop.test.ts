/** Requests within a dialog go to the other side of it, whoever sends them and whatever they name. */
import { afterAll, beforeEach, expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, calleeDialog, callerDialog, request, within, type Dialog } from "../support/sip/caller.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import { callIdOf, header, uriIn, writeReply } from "../support/sip/message.ts";
import { answering, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

/** of `elsewhere` */
const ATTEMPTS = 6;
const ADVERTISED = "192.0.2.9";

let pbx: SipPeer, trunk: SipPeer, carrier: SipPeer, phone: SipPeer, victim: SipPeer, manager: SipPeer;
let other: LocalKamailio | undefined;

const plan = (): RouterPlan =>
  routerPlan({
    structure: { advertise: ADVERTISED },
    sets: [
      { name: "pbx", id: 1, destinations: [pbx, { ...backup, priority: 3 }] },
      { name: "trunk", id: 2, destinations: [trunk, pbx] },
    ],
    routes: [
      { name: "phones", set: "pbx", digits: "1", length: 4 },
      { name: "external", set: "trunk", digits: "", callers: "Trusted" },
    ],
  });
const backup = { host: "192.0.2.1", port: 5060 };

withKamailio(
  "next hop",
  async (bench) => {
    [pbx, trunk, carrier, phone, victim, manager] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13),
      bench.peer(20, 5070),
      bench.peer(66),
      bench.peer(11, 5038, "TCP"),
    ]);
    await bench.start(plan());
    other = await LocalKamailio.start(bench.program, plan(), bench.host(2));
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, trunk, carrier]) peer.behaviour = answering(200);
      for (const peer of [pbx, trunk, carrier, phone, victim, manager]) peer.received.length = 0;
    });
    afterAll(() => other?.stop());

    const at = (last: number) => ({ host: bench.host(last), port: 5060 });
    const reached = (peer: SipPeer): readonly string[] =>
      peer.received.flatMap(({ method = "" }) => (method === "" || method === "OPTIONS" ? [] : [method]));
    const invited = (peer: SipPeer, callId: string): Dialog => {
      const invite = peer.requests("INVITE").find((message) => callIdOf(message) === callId);
      if (invite === undefined) throw new Error("the call did not arrive");
      return calleeDialog(invite);
    };
    const ended = (callId: string) =>
      until("the PBX hears of the end", () => pbx.requests("BYE").find((message) => callIdOf(message) === callId));

    /** what each call tries, and whom it must not reach */
    const elsewhere = ({ target, routes }: Dialog): readonly (readonly [string, SipPeer, Partial<Dialog>])[] => [
      ["the URI of another", victim, { target: victim.uri }],
      ["a further Route", victim, { routes: [...routes, `<sip:${victim.host};lr>`] }],
      ["an alias", victim, { target: `${target};alias=${victim.host}~5060~1` }],
      ["a name", victim, { target: "sip:x@localhost" }],
      ["a trunk", trunk, { target: `sip:0900@${trunk.host}:5060` }],
      ["another port of the PBX", manager, { target: `sip:x@${pbx.host}:5038;transport=tcp` }],
    ];

    test("a call that nobody made reaches nobody", async () => {
      const forged: Dialog = {
        callId: "forged",
        local: "<sip:a@x>;tag=1",
        remote: "<sip:b@x>;tag=2",
        target: pbx.uri,
        routes: [`<sip:${ADVERTISED};lr>`],
      };
      const key = "100-0123456789abcdef0123456789abcdef";
      const keyed = { ...forged, routes: [`<sip:${ADVERTISED};lr;k=${key}>`] };
      for (const dialog of [forged, keyed, { ...forged, target: trunk.uri }, { ...keyed, target: trunk.uri }])
        for (const method of ["INVITE", "MESSAGE", "REFER", "SUBSCRIBE", "INFO", "X-ANY"])
          expect((await (await within(victim, at(1), dialog, method, 1)).final()).status).toBe(481);
      for (const [what, , more] of elsewhere(forged)) {
        if (what === "a trunk") continue;
        const bye = await within(victim, at(1), { ...forged, ...more }, "BYE", 1);
        expect((await bye.final()).status, what).toBe(481);
      }
      for (const peer of [pbx, trunk, manager]) expect(reached(peer)).toEqual([]);
    });

    test("in a call its caller reaches the other side and nobody else, on each replica", async () => {
      for (const replica of [1, 2]) {
        const { dialog, sent } = await call(phone, at(1), "1000");
        let cseq = sent.input.cseq;
        for (const [what, whom, more] of elsewhere(dialog)) {
          for (const method of ["INVITE", "MESSAGE", "INFO"]) {
            const tried = await within(phone, at(replica), { ...dialog, ...more }, method, (cseq += 1));
            expect((await tried.final()).status, `${what}, ${method}`).toBe(481);
          }
          await within(phone, at(replica), { ...dialog, ...more }, "ACK", cseq, { contact: null });
          expect(reached(whom), what).toEqual([]);
        }
        const again = await within(phone, at(replica), dialog, "INVITE", (cseq += 1));
        expect((await again.final()).status).toBe(200);
        await within(phone, at(replica), dialog, "ACK", cseq, { contact: null });
        expect((await (await within(phone, at(replica), dialog, "INFO", (cseq += 1))).final()).status).toBe(200);
        expect((await (await within(phone, at(1), dialog, "BYE", (cseq += 1))).final()).status).toBe(200);
        await ended(sent.callId);
      }
    });

    test("the key of one call is good for no other, and for no other set", async () => {
      const { dialog, sent } = await call(phone, at(1), "1000");
      const route = dialog.routes[0] ?? "";
      expect(route).toMatch(/;k=100-[0-9a-f]{32}/);
      const attempts = [
        { ...dialog, callId: "another" },
        { ...dialog, target: trunk.uri, routes: [route.replace("k=100-", "k=200-")] },
      ];
      for (const attempt of attempts)
        expect((await (await within(phone, at(2), attempt, "INVITE", 9)).final()).status).toBe(481);
      await (await within(phone, at(1), dialog, "BYE", sent.input.cseq + 1)).final();
      expect(reached(trunk)).toEqual([]);
    });

    test("a call from before Record-Route had a key ends as it should on a replica that does not know it", async () => {
      const keyless = (routes: readonly string[]) => routes.map((route) => route.replace(/;k=[^;>]+/, ""));
      for (const target of [pbx.uri, `sip:1000@${pbx.host}`]) {
        const { dialog, sent } = await call(phone, at(1), "1000");
        const before = { ...dialog, target, routes: keyless(dialog.routes) };
        expect(before.routes).not.toEqual(dialog.routes);
        await within(phone, at(2), before, "ACK", sent.input.cseq, { contact: null });
        await until("ACK", () => pbx.requests("ACK").filter((message) => callIdOf(message) === sent.callId)[1]);
        // from the PBX anything goes on, from the caller the end
        const back = invited(pbx, sent.callId);
        const held = await within(pbx, at(2), { ...back, routes: keyless(back.routes) }, "INVITE", 7);
        expect((await held.final()).status).toBe(200);
        expect((await (await within(phone, at(2), before, "INVITE", 8)).final()).status).toBe(481);
        expect((await (await within(phone, at(2), before, "BYE", 9)).final()).status).toBe(200);
        await ended(sent.callId);
      }
    });

    test("a BYE that names somebody else ends the call, and reaches him not", async () => {
      for (let index = 0; index < ATTEMPTS; index += 1) {
        const { dialog, sent } = await call(phone, at(1), "1000");
        const [what, whom, more] = elsewhere(dialog)[index] ?? ["", victim, {}];
        const bye = await within(phone, at(1), { ...dialog, ...more }, "BYE", sent.input.cseq + 1);
        expect((await bye.final()).status, what).toBe(200);
        await ended(sent.callId);
        expect(reached(whom), what).toEqual([]);
      }
    });

    test("who speaks for the other side moves the call to nobody", async () => {
      const { dialog, sent } = await call(phone, at(1), "1000", { contact: `<sip:caller@${victim.host}:5060>` });
      const swapped = { ...dialog, local: dialog.remote, remote: dialog.local };
      const contact = `<${victim.uri}>`;
      for (const target of [victim.uri, `sip:caller@${victim.host}:5060`])
        for (const method of ["INVITE", "UPDATE"]) {
          const tried = await within(phone, at(1), { ...swapped, target }, method, 50, { contact });
          expect((await tried.final()).status).toBe(481);
          const next = await within(phone, at(1), { ...dialog, target }, method, 60, { contact });
          expect((await next.final()).status).toBe(481);
        }
      expect((await (await within(phone, at(1), dialog, "BYE", 70)).final()).status).toBe(200);
      await ended(sent.callId);
      expect(reached(victim)).toEqual([]);
    });

    test("a backend that answers from elsewhere, or behind a proxy, is followed", async () => {
      pbx.behaviour = answering(200, { contact: `<${carrier.uri}>` });
      const acknowledged = ({ callId }: { callId: string }) =>
        until("the ACK is there", () => carrier.requests("ACK").find((message) => callIdOf(message) === callId));
      const first = await call(phone, at(1), "1000");
      await acknowledged(first.sent);
      expect((await (await within(phone, at(1), first.dialog, "INFO", 2)).final()).status).toBe(200);
      expect((await (await within(phone, at(1), first.dialog, "BYE", 3)).final()).status).toBe(200);
      // the nearest proxy is the last to come before the router
      const proxies = ["deep.invalid", "second.invalid", `${carrier.host}:5060`]
        .map((host) => `Record-Route: <sip:${host};lr>\r\n`)
        .join("");
      pbx.behaviour = (message, send) => {
        const reply = writeReply(message, 200, { contact: "<sip:deep@pbx.invalid>" });
        if (message.method !== "ACK") send(reply.replace("Record-Route: ", `${proxies}Record-Route: `));
      };
      const { dialog, sent } = await call(phone, at(1), "1000");
      await acknowledged(sent);
      expect((await (await within(phone, at(1), dialog, "BYE", 3)).final()).status).toBe(200);
      expect(reached(carrier)).toEqual(["ACK", "INFO", "BYE", "ACK", "BYE"]);
    });

    test("a backend that answers from elsewhere is followed before it has answered, too", async () => {
      const fields: [string, string][] = [
        ["Require", "100rel"],
        ["RSeq", "1"],
      ];
      pbx.behaviour = (message, send) => {
        if (message.method === "INVITE") send(writeReply(message, 183, { contact: `<${carrier.uri}>`, fields }));
        else if (message.method === "CANCEL") send(writeReply(message, 200));
      };
      const sent = await request(phone, at(1), { method: "INVITE", uri: `sip:1000@${ADVERTISED}` });
      const early = await until("183", () => sent.replies.find(({ status }) => status === 183));
      const dialog = callerDialog(early);
      expect((await (await within(phone, at(1), dialog, "PRACK", 2)).final()).status).toBe(200);
      expect((await (await within(phone, at(1), { ...dialog, target: victim.uri }, "PRACK", 3)).final()).status).toBe(
        481,
      );
      expect(reached(carrier)).toEqual(["PRACK"]);
      const { uri, method: _, ...input } = { ...sent.input };
      await request(phone, at(1), { ...input, uri, method: "CANCEL" });
      await pbx.waitFor("CANCEL", ({ method }) => method === "CANCEL");
    });

    test("a caller that has moved is reached where it is now", async () => {
      const { dialog, sent } = await call(phone, at(1), "1000");
      const moved = await bench.peer(21, 5070);
      try {
        const again = await within(moved, at(1), dialog, "INVITE", 2);
        expect((await again.final()).status).toBe(200);
        await within(moved, at(1), dialog, "ACK", 2, { contact: null });
        const target = uriIn(header(pbx.requests("INVITE").at(-1) ?? (await again.final()), "contact"));
        const back = { ...invited(pbx, sent.callId), target };
        expect((await (await within(pbx, at(1), back, "BYE", 9)).final()).status).toBe(200);
        // on a busy machine it is sent twice
        expect([...new Set(reached(moved))]).toEqual(["BYE"]);
      } finally {
        await moved.close();
      }
    });

    test("a subscription is refreshed and notified, on each replica", async () => {
      const fields: [string, string][] = [["Event", "dialog"]];
      const uri = `sip:1000@${ADVERTISED}`;
      const sent = await request(phone, at(1), { method: "SUBSCRIBE", uri, fields });
      const reply = await sent.final();
      const routes = [header(reply, "record-route")];
      const dialog: Dialog = {
        callId: sent.callId,
        local: header(reply, "from"),
        remote: header(reply, "to"),
        target: uriIn(header(reply, "contact")),
        routes,
      };
      const subscribe = pbx.requests("SUBSCRIBE")[0] ?? reply;
      for (const replica of [1, 2]) {
        const event = {
          fields: [
            ["Event", "dialog"],
            ["Route", routes[0] ?? ""],
          ] as const,
        };
        const refreshed = await within(phone, at(replica), dialog, "SUBSCRIBE", 2 + replica, event);
        expect((await refreshed.final()).status).toBe(200);
        const portless = { ...dialog, target: `sip:1000@${pbx.host}` };
        expect(
          (await (await within(phone, at(replica), portless, "SUBSCRIBE", 5 + replica, event)).final()).status,
        ).toBe(200);
        expect(header(await refreshed.final(), "record-route")).toContain(";k=100-");
        const told = await within(pbx, at(replica), calleeDialog(subscribe), "NOTIFY", replica, event);
        expect((await told.final()).status).toBe(200);
        const away = await within(
          phone,
          at(replica),
          { ...dialog, target: trunk.uri },
          "SUBSCRIBE",
          9 + replica,
          event,
        );
        expect((await away.final()).status).toBe(481);
      }
      expect(reached(phone)).toEqual(["NOTIFY", "NOTIFY"]);
      expect(reached(trunk)).toEqual([]);
    });
  },
);
