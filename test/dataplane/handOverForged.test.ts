/** The port of the replicas, and a caller who is to take what he can read for the proof of a replica. */
import { expect, test } from "vitest";
import { call, request } from "../support/sip/caller.ts";
import { headers } from "../support/sip/message.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";
import { PEER_PORT, at, behindOneAddress } from "./replicas.ts";

let pbx: SipPeer, trunk: SipPeer, stranger: SipPeer;

withKamailio(
  "forged hand-over",
  async (bench) => {
    [pbx, trunk, stranger] = await Promise.all([bench.peer(11), bench.peer(12), bench.peer(66)]);
    await bench.start(
      routerPlan({
        structure: behindOneAddress,
        sets: [
          { name: "pbx", id: 1, destinations: [pbx] },
          { name: "trunk", id: 2, destinations: [trunk] },
        ],
        routes: [
          { name: "phones", set: "pbx", digits: "1", length: 4 },
          { name: "external", set: "trunk", digits: "", callers: "Trusted" },
        ],
      }),
    );
  },
  (bench) => {
    test("the key's word in Record-Route, of a Call-ID that somebody chose for it, makes nobody a backend", async () => {
      for (const [index, more] of ["|x", "", "|"].entries()) {
        const told = `udp|5060|udp:${pbx.host}:5060${more}`;
        const { reply } = await call(stranger, at(bench, 1), "1000", { callId: `forged-${index} ${told}` });
        const [, group, word] = /;k=([0-9]+)-([0-9a-f]{32})/.exec(headers(reply, "record-route").join()) ?? [];
        expect([reply.status, group]).toEqual([200, "100"]);
        await request(
          stranger,
          { host: bench.host(1), port: PEER_PORT },
          {
            method: "INVITE",
            uri: `sip:0900123@${bench.host(1)}`,
            callId: `forged-${index}`,
            fields: [["P-Handed-Over", `${word}|${told} ${group}`]],
          },
        );
      }
      // each worker has read what was sent before
      for (let index = 0; index < 4; index += 1) await call(stranger, at(bench, 1), "1000");
      expect(trunk.requests("INVITE")).toEqual([]);
      expect(stranger.received.filter(({ text }) => /\r\nCall-ID: forged-[0-9]\r\n/.test(text))).toEqual([]);
    });
  },
);
