import { afterAll, expect, test } from "vitest";
import { decidePod, executeAction } from "../../src/reload/index.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { placeCalls, startAnswering } from "../support/sip/sipp.ts";
import { withKamailio } from "./fixture.ts";

withKamailio(
  "calls while data change",
  async (bench) => {
    await bench.start(
      routerPlan({
        structure: { healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 } },
        sets: [
          {
            name: "pbx",
            id: 1,
            destinations: [11, 12].map((last) => ({ host: bench.host(last), port: 5060 })),
          },
        ],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    const running = [11, 12, 13].map((last) => startAnswering(bench.host(last), 5060, `pbx-${last}`));
    afterAll(() => Promise.all(running.map((one) => one.stop())));

    test("every call is answered once, through additions, removals, changed states and reloaded tables", async () => {
      const uri = (last: number): string => `sip:${bench.host(last)}:5060;transport=udp`;
      const calls = placeCalls({
        from: bench.host(30),
        router: bench.router,
        number: "1000",
        calls: 300,
        callsPerSecond: 100,
        holdMs: 200,
      });
      const over = calls.then(() => true);
      let rounds = 0;
      while (!(await Promise.race([over, Promise.resolve(false)]))) {
        await bench.call("dispatcher.add", 100, uri(13), 0, 0);
        await bench.call("dispatcher.set_state", "d", 100, uri(12));
        await bench.call("mtree.reload", "ext");
        await bench.call("dispatcher.set_state", "ap", 100, uri(12));
        await bench.call("htable.reload", "domains");
        await bench.call("dispatcher.remove", 100, uri(13));
        rounds += 1;
      }
      const { entries, failed } = await calls;
      expect(rounds).toBeGreaterThan(10);
      expect([entries.length, failed]).toEqual([300, 0]);
      expect(new Set(entries.map(({ status }) => status))).toEqual(new Set([200]));
      expect(new Set(entries.map(({ callId }) => callId)).size).toBe(300);
      // each change of the list begins round robin anew: the first may get them all, but nobody else gets a call
      const who = new Set(entries.map((entry) => entry.who));
      expect([...who].filter((one) => !["pbx-11", "pbx-12", "pbx-13"].includes(one))).toEqual([]);
      expect((await bench.read()).calls).toBe(0);
    });
  },
);

withKamailio(
  "calls while the attributes of their only destination change",
  async (bench) => {
    const destinations = [{ host: bench.host(21), port: 5060, weight: 10 }];
    await bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, algorithm: "Weighted", destinations }],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
      }),
    );
  },
  (bench) => {
    const pbx = startAnswering(bench.host(21), 5060, "pbx-21");
    afterAll(() => pbx.stop());

    test("every call finds it, and it is a backend all the time", async () => {
      const calls = placeCalls({
        from: bench.host(30),
        router: bench.router,
        number: "1000",
        calls: 400,
        callsPerSecond: 200,
        holdMs: 50,
      });
      const over = calls.then(() => true);
      const { desired } = bench.kamailio.files;
      let rounds = 0;
      while (!(await Promise.race([over, Promise.resolve(false)]))) {
        rounds += 1;
        const dispatcher = desired.dispatcher.map((entry) => ({ ...entry, attrs: `rweight=${10 + (rounds % 2)}` }));
        const wanted = { ...desired, dispatcher };
        for (const action of decidePod(wanted, await bench.read()).actions)
          await executeAction(bench.control, bench.kamailio.control, action, wanted.tables);
        const { destinations } = await bench.read();
        expect(destinations.map(({ uri, attrs }) => [uri, attrs])).toEqual(
          dispatcher.map(({ uri, attrs }) => [uri, attrs]),
        );
      }
      const { entries, failed } = await calls;
      expect(rounds).toBeGreaterThan(10);
      expect([entries.length, failed]).toEqual([400, 0]);
      expect(new Set(entries.map(({ status, who }) => `${status} ${who}`))).toEqual(new Set(["200 pbx-21"]));
    });
  },
);
