/** Who a caller is: what it may say of itself, and where its calls may go. */
import { beforeEach, expect, test } from "vitest";
import { callOnce } from "../support/sip/caller.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

let pbx: SipPeer, trunk: SipPeer, standby: SipPeer, draining: SipPeer, neighbour: SipPeer;

withKamailio(
  "calls of backends",
  async (bench) => {
    [pbx, trunk, standby, draining, neighbour] = await Promise.all([
      bench.peer(11),
      bench.peer(12),
      bench.peer(13),
      bench.peer(14),
      bench.peer(12, 5070),
    ]);
    await bench.start(
      routerPlan({
        sets: [
          { name: "pbx", id: 1, destinations: [pbx, neighbour] },
          {
            name: "trunk",
            id: 2,
            destinations: [trunk, { ...at(standby), priority: 1 }, { ...at(draining), priority: 99 }],
          },
        ],
        routes: [
          { name: "phones", set: "pbx", digits: "1", length: 4 },
          { name: "external", set: "trunk", digits: "", callers: "Trusted" },
        ],
      }),
    );
  },
  (bench) => {
    beforeEach(() => {
      for (const peer of [pbx, trunk, standby, draining, neighbour]) peer.received.length = 0;
    });
    const status = async (from: SipPeer, number: string): Promise<number> =>
      (await callOnce(from, bench.router, number)).status;
    const calls = (): readonly string[] => [trunk, standby, draining].flatMap((peer) => peer.calls);

    test("a trunk's call to a number of nobody does not go back to the telephone network", async () => {
      for (const from of [trunk, standby, draining]) expect(await status(from, "0301234")).toBe(404);
      expect(calls()).toEqual([]);
    });

    test("a trunk calls an extension", async () => {
      expect(await status(trunk, "1000")).toBe(200);
    });

    test("a PBX calls the telephone network, and extensions of its own", async () => {
      expect(await status(pbx, "0301234")).toBe(200);
      expect(calls()).toHaveLength(1);
      expect(await status(pbx, "1000")).toBe(200);
    });

    test("a PBX that shares the address of a trunk calls the telephone network", async () => {
      expect(await status(neighbour, "0301234")).toBe(200);
      expect(calls()).toHaveLength(1);
    });
  },
);

const at = ({ host, port }: SipPeer): { host: string; port: number } => ({ host, port });
