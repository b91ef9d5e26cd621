/** A call that is ended by command: both sides get a BYE, where they really are. */
import { afterEach, expect, test } from "vitest";
import { call, request } from "../support/sip/caller.ts";
import { callIdOf, header, headers, writeReply, type SipMessage } from "../support/sip/message.ts";
import { answering, type Behaviour, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, udp: SipPeer, tcp: SipPeer;

for (const topologyHiding of [false, true])
  withKamailio(
    `calls that are ended${topologyHiding ? ", with topology hiding" : ""}`,
    async (bench) => {
      [pbx, udp, tcp] = await Promise.all([bench.peer(11), bench.peer(20, 5070), bench.peer(21, 5070, "TCP")]);
      await bench.start(
        routerPlan({
          structure: { topologyHiding },
          sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
          routes: [{ name: "all", set: "pbx", digits: "1", length: 4 }],
        }),
      );
    },
    (bench) => {
      afterEach(() => {
        for (const peer of [pbx, udp, tcp]) {
          peer.behaviour = answering(200);
          peer.received.length = 0;
        }
      });
      /** As over a network: Kamailio 5.6 sends none to the second side once the first one has answered. */
      const whenBothAreTold: Behaviour = (message, send, peer) => {
        if (message.method !== "BYE") answering(200, { contact: behind(peer) })(message, send, peer);
        else void byeAt(pbx).then(() => send(writeReply(message, 200)));
      };
      const behind = (peer: SipPeer): string =>
        `<sip:1001@192.168.77.7:5060;transport=${peer.transport.toLowerCase()}>`;

      async function end(): Promise<void> {
        const [one] = (await bench.call("dlg.briefing")) as { h_entry: number; h_id: number }[];
        await bench.call("dlg.end_dlg", one?.h_entry ?? -1, one?.h_id ?? -1);
      }
      const byeAt = (peer: SipPeer): Promise<SipMessage> =>
        peer.waitFor(`BYE at ${peer.uri}`, ({ method }) => method === "BYE");
      const untilOver = (): Promise<unknown> => until("no call is left", async () => (await bench.read()).calls === 0);

      const phones = [
        ["UDP", () => udp],
        ["TCP", () => tcp],
      ] as const;

      test.each(phones)("of a phone behind NAT on %s", async (_, which) => {
        const phone = which();
        phone.behaviour = whenBothAreTold;
        const { sent, reply } = await call(phone, bench.router, "1000", { contact: behind(phone) });
        expect(reply.status).toBe(200);
        await end();
        const bye = await byeAt(phone);
        expect(callIdOf(bye)).toBe(sent.callId);
        expect([header(bye, "from"), header(bye, "to")]).toEqual([header(reply, "to"), header(reply, "from")]);
        await untilOver();
      });

      // with topology hiding it knows the call by other names
      test.each(topologyHiding ? [] : phones)("to a phone behind NAT on %s", async (_, which) => {
        const phone = which();
        const own = `<sip:1001@${bench.host(1)}>`;
        const contact = behind(phone);
        const to = { uri: `sip:${bench.host(1)}`, from: `${own};tag=1`, to: own, contact };
        const registered = await request(phone, bench.router, { method: "REGISTER", ...to });
        expect((await registered.final()).status).toBe(200);
        const path = headers(pbx.requests("REGISTER")[0] as SipMessage, "path");
        phone.behaviour = whenBothAreTold;
        const { reply } = await call(pbx, bench.router, "1001", {
          uri: contact.slice(1, -1),
          fields: path.map((route): [string, string] => ["Route", route]),
        });
        expect(reply.status).toBe(200);
        pbx.behaviour = (message, send) => void byeAt(phone).then(() => send(writeReply(message, 200)));
        await end();
        await untilOver();
        expect(phone.requests("BYE").map(callIdOf)).toEqual([callIdOf(reply)]);
      });
    },
  );
