/** Connections on which nobody says anything. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, expect, test } from "vitest";
import { callOnce } from "../support/sip/caller.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

/** Kamailio takes 2,048 unless it is told otherwise, those of its control port included. */
const SILENT = 2200;
const AT_ONCE = 100;

let pbx: SipPeer, phone: SipPeer;

withKamailio(
  "connections",
  async (bench) => {
    [pbx, phone] = await Promise.all([bench.peer(11, 5060, "TCP"), bench.peer(20, 5070, "TCP")]);
    await bench.start(
      routerPlan({
        structure: { shmMemoryMiB: 256 },
        sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
        routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    const silent: Socket[] = [];
    afterAll(() => silent.forEach((socket) => socket.destroy()));

    test(`${SILENT} silent ones: the pod is healthy, and calls over TCP go on`, async () => {
      while (silent.length < SILENT) {
        const batch = Array.from({ length: AT_ONCE }, (_, index) =>
          connect({ ...bench.router, localAddress: bench.host(100 + (index % 50)) }),
        );
        await Promise.all(batch.map((socket) => once(socket, "connect")));
        silent.push(...batch);
      }
      const health = await fetch(`http://${bench.router.host}:9060/healthz`);
      expect(health.status).toBe(200);
      expect((await callOnce(phone, bench.router, "1000")).status).toBe(200);
      expect(silent.filter(({ destroyed }) => destroyed)).toEqual([]);
    });
  },
);
