/** The model by which reloading is tested without Kamailio changes its list of destinations exactly as Kamailio does. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createFakeKamailios } from "../support/fakeKamailio.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { withKamailio } from "./fixture.ts";

const SETS = [100, 200] as const;
const MODEL = { host: "192.0.2.1", port: 9060, token: "" };
/** Twelve hours: no answer to OPTIONS comes between. */
const healthCheck = { intervalSeconds: 43_200, timeoutSeconds: 1, failureThreshold: 2, successThreshold: 1 };

interface Step {
  readonly method: "add" | "remove" | "set_state";
  readonly setId: (typeof SETS)[number];
  readonly which: number;
  /** in the spelling that stands in for another */
  readonly standsIn: boolean;
  readonly flags: number;
  readonly priority: number;
  readonly attrs: string;
  readonly state: string;
}
const step: fc.Arbitrary<Step> = fc.record({
  method: fc.constantFrom("add", "add", "remove", "set_state"),
  setId: fc.constantFrom(...SETS),
  which: fc.nat(2),
  standsIn: fc.boolean(),
  flags: fc.constantFrom(0, 0, 4, 9, 10),
  priority: fc.constantFrom(0, 0, 7),
  attrs: fc.constantFrom("", "rweight=5"),
  state: fc.constantFrom("ap", "ip", "tp", "d"),
});

/** set, URI, flags, attributes and priority of all, in the order of each set */
type Shown = Readonly<Record<number, readonly string[]>>;
interface Answer {
  readonly RECORDS?: readonly { SET: { ID: number; TARGETS: readonly { DEST: Fields }[] } }[];
}
interface Fields {
  readonly URI: string;
  readonly FLAGS: string;
  readonly PRIORITY: number;
  readonly ATTRS?: { readonly BODY: string };
}

withKamailio(
  "the model of a list of destinations",
  (bench) =>
    bench.start(
      routerPlan({
        sets: [{ name: "pbx", id: 1, destinations: [{ host: bench.host(11), port: 5060 }] }],
        routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
        structure: { healthCheck },
      }),
    ),
  (bench) => {
    const uriOf = ({ which, standsIn }: Pick<Step, "which" | "standsIn">): string =>
      `sip:${bench.host(30 + which)}:5060;transport=${standsIn ? "UDP" : "udp"}`;
    const listed = async (): Promise<Shown> => {
      const { RECORDS = [] } = (await bench.call("dispatcher.list")) as Answer;
      const shown = ({ URI, FLAGS, PRIORITY, ATTRS }: Fields): string =>
        [URI, FLAGS, PRIORITY, ATTRS?.BODY ?? ""].join(" ");
      return Object.fromEntries(RECORDS.map(({ SET }) => [SET.ID, SET.TARGETS.map(({ DEST }) => shown(DEST))]));
    };
    const emptied = async (): Promise<void> => {
      for (const setId of SETS)
        for (const which of [0, 1, 2])
          for (const standsIn of [false, true])
            await bench.call("dispatcher.remove", setId, uriOf({ which, standsIn }));
      await bench.call("dispatcher.remove", 100, `sip:${bench.host(11)}:5060;transport=udp`);
    };

    test("any additions, removals and changes of state leave both with the same list", async () => {
      // a list is never empty
      await bench.call("dispatcher.add", 900, uriOf({ which: 9, standsIn: false }), 4, 0);
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
          await emptied();
          const kamailios = createFakeKamailios();
          const model = kamailios.start(MODEL.host, { dispatcher: [], tables: {} }, 0);
          for (const one of steps) {
            const uri = uriOf(one);
            const params = {
              add: [one.setId, uri, one.flags, one.priority, ...(one.attrs === "" ? [] : [one.attrs])],
              remove: [one.setId, uri],
              set_state: [one.state, one.setId, uri],
            }[one.method];
            await kamailios.call(MODEL, `dispatcher.${one.method}`, params);
            // a state of what is not there is refused, and changes nothing
            const done = bench.call(`dispatcher.${one.method}`, ...params);
            await (one.method === "set_state" ? done.catch(() => undefined) : done);
          }
          const all = await listed();
          for (const setId of SETS)
            expect(
              model.destinations
                .filter((one) => one.setId === setId)
                .map(({ uri, flags, priority, attrs }) => [uri, flags, priority, attrs].join(" ")),
            ).toEqual(all[setId] ?? []);
        }),
        { numRuns: 40 },
      );
    });
  },
);
