/** How many requests a source may send, and what becomes of one that sends more. */
import { expect, test } from "vitest";
import type { RouterPlan } from "../../src/ir/index.ts";
import { call, callOnce, request, within } from "../support/sip/caller.ts";
import { header } from "../support/sip/message.ts";
import { metricOf } from "../support/sip/metrics.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";

let pbx: SipPeer, phone: SipPeer, stranger: SipPeer;

const peers = async (bench: Bench): Promise<void> => {
  [pbx, phone, stranger] = await Promise.all([bench.peer(11), bench.peer(20), bench.peer(66)]);
};

const plan = (limits: RouterPlan["data"]["limits"]): RouterPlan =>
  routerPlan({
    structure: { rateLimit: true },
    data: limits === undefined ? {} : { limits },
    sets: [{ name: "pbx", id: 1, destinations: [{ host: pbx.host, port: pbx.port }] }],
    routes: [{ name: "phones", set: "pbx", digits: "1", length: 4 }],
  });

const metric = (bench: Bench, name: string): Promise<number> => metricOf(bench.router.host, `sipr_${name}`);

const dial = async (bench: Bench, from: SipPeer, number = "1000"): Promise<number> =>
  (await callOnce(from, bench.router, number)).status;

withKamailio(
  "rate limit",
  async (bench) => {
    await peers(bench);
    await bench.start(plan({ requestsPerSecond: 20, banSeconds: 2 }));
  },
  (bench) => {
    const flood = (from: SipPeer, count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, index) =>
          request(from, bench.router, { method: "MESSAGE", uri: `sip:${1000 + index}@${bench.router.host}` }),
        ),
      );

    const unbanned = (): Promise<unknown> =>
      until("the ban is over", async () => {
        const sent = await request(stranger, bench.router, { method: "OPTIONS", uri: `sip:${bench.router.host}` });
        return sent.final(300).then(({ status }) => status === 200);
      });

    test("a source that exceeds its rate gets one 503 with Retry-After, then silence; others are served", async () => {
      await unbanned();
      stranger.received.length = 0;
      const { dialog, sent } = await call(stranger, bench.router, "1001");
      const banned = await metric(bench, "sources_banned");
      const requests = await flood(stranger, 100);
      const refused = await stranger.waitFor("503", ({ status }) => status === 503);
      expect(header(refused, "retry-after")).toBe("2");
      expect(await dial(bench, phone)).toBe(200);
      const answered = requests.filter(({ finals }) => finals.length > 0);
      expect(answered.length).toBeLessThanOrEqual(42);
      expect((await metric(bench, "sources_banned")) - banned).toBe(1);
      await until("the rest is dropped", async () => (await metric(bench, "banned_dropped")) >= 50);
      expect(stranger.received.filter(({ status }) => status === 503)).toHaveLength(1);
      // the call that runs goes on
      const bye = await within(stranger, bench.router, dialog, "BYE", sent.input.cseq + 1);
      expect((await bye.final()).status).toBe(200);
      await unbanned();
      expect(await dial(bench, stranger)).toBe(200);
    });

    test("who is banned sends within his call what he might send without a ban, and can end it", async () => {
      const { dialog, sent } = await call(stranger, bench.router, "1001");
      const first = sent.input.cseq + 1;
      const before = pbx.requests("INFO").length;
      const began = Date.now();
      for (let index = 0; index < 300; index += 1) await within(stranger, bench.router, dialog, "INFO", first + index);
      const bye = await within(stranger, bench.router, dialog, "BYE", first + 300);
      expect((await bye.final()).status).toBe(200);
      // 20 of each second that it took, the first and the last one begun, and those that made the ban
      const seconds = Math.ceil((Date.now() - began) / 1000);
      expect(pbx.requests("INFO").length - before).toBeLessThanOrEqual(20 * (seconds + 2));
      await unbanned();
    });

    test("backends have no limit", async () => {
      for (const one of await flood(pbx, 100)) expect((await one.final()).status).toBe(200);
    });

    test("limits change without a restart", async () => {
      await bench.kamailio.writeData(plan({ requestsPerSecond: 1000, banSeconds: 2 }));
      await bench.call("htable.reload", "limits");
      const wanted = bench.kamailio.files.desired.tables.find(({ name }) => name === "limits")?.generation;
      expect((await bench.read()).tables["limits"]).toBe(wanted);
      for (const one of await flood(phone, 100)) expect((await one.final()).status).toBe(200);
    });

    test("nothing went wrong", () => {
      expect(bench.faults()).toEqual([]);
    });
  },
);

const SOURCES = 150;
const REQUESTS = 100;

withKamailio(
  "sources that flood a Kamailio of several processes",
  async (bench) => {
    pbx = await bench.peer(11);
    await bench.start(plan({ requestsPerSecond: 20, banSeconds: 300 }));
  },
  (bench) => {
    test("each gets one 503 and is one ban, however many processes read its requests", async () => {
      const { host } = bench.router;
      const refusals: number[] = [];
      for (let source = 0; source < SOURCES; source += 1) {
        const peer = await bench.peer(30 + source);
        const dropped = await metric(bench, "banned_dropped");
        const sent = await Promise.all(
          Array.from({ length: REQUESTS }, () =>
            request(peer, bench.router, { method: "MESSAGE", uri: `sip:1000@${host}` }),
          ),
        );
        await until("each is answered or dropped", async () => {
          const answered = sent.filter(({ finals }) => finals.length > 0).length;
          return answered + (await metric(bench, "banned_dropped")) - dropped === REQUESTS;
        });
        refusals.push(peer.received.filter(({ status }) => status === 503).length);
      }
      expect(refusals.filter((count) => count !== 1)).toEqual([]);
      expect(await metric(bench, "sources_banned")).toBe(SOURCES);
    });
  },
);
