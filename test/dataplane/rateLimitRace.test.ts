/** Several processes of one Kamailio count the same source at the same moment: it is banned, told so and counted once. */
import { expect, test } from "vitest";
import { request } from "../support/sip/caller.ts";
import { metricOf } from "../support/sip/metrics.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio } from "./fixture.ts";

const SOURCES = 150;
const REQUESTS = 100;

withKamailio(
  "sources that flood",
  async (bench) => {
    const pbx = await bench.peer(11);
    await bench.start(
      routerPlan({
        structure: { rateLimit: true },
        sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
        routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
        data: { limits: { requestsPerSecond: 20, banSeconds: 300 } },
      }),
    );
  },
  (bench) => {
    test("each gets one 503 and is one ban, however many processes read its requests", async () => {
      const { host } = bench.router;
      const refusals: number[] = [];
      for (let source = 0; source < SOURCES; source += 1) {
        const peer = await bench.peer(30 + source);
        const dropped = await metricOf(host, "sipr_banned_dropped");
        const sent = await Promise.all(
          Array.from({ length: REQUESTS }, () =>
            request(peer, bench.router, { method: "MESSAGE", uri: `sip:1000@${host}` }),
          ),
        );
        await until("each is answered or dropped", async () => {
          const answered = sent.filter(({ finals }) => finals.length > 0).length;
          return answered + (await metricOf(host, "sipr_banned_dropped")) - dropped === REQUESTS;
        });
        refusals.push(peer.received.filter(({ status }) => status === 503).length);
      }
      expect(refusals.filter((count) => count !== 1)).toEqual([]);
      expect(await metricOf(host, "sipr_sources_banned")).toBe(SOURCES);
    });
  },
);
