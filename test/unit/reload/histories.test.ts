/** One pod that is given one list after the other, each perhaps cut short: it ends at what is wanted, whatever was left. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { OperatorError } from "../../../src/errors.ts";
import type { Control } from "../../../src/kamailio/types.ts";
import { syncPod, type SyncInput, type SyncResult } from "../../../src/reload/index.ts";
import type { DesiredData, DispatcherEntry } from "../../../src/render/types.ts";
import { createFakeKamailios } from "../../support/fakeKamailio.ts";

const HOST = "127.70.0.1";
const TRIES = 4;
const uri = (host: number): string => `sip:192.0.2.${host}:5060;transport=udp`;
const destination = fc
  .record({
    setId: fc.constantFrom(100, 200),
    host: fc.integer({ min: 1, max: 4 }),
    flags: fc.constantFrom(0, 4),
    attrs: fc.constantFrom("", "rweight=5"),
  })
  .map(({ host, ...rest }): DispatcherEntry => ({ ...rest, uri: uri(host), priority: 0 }));
const list = fc.uniqueArray(destination, {
  minLength: 1,
  maxLength: 5,
  selector: (one) => `${one.setId} ${one.uri}`,
});
const turn = fc.record({
  wanted: list,
  /** what happens to which request of this turn; `deaf`: it says Ok and does nothing */
  fault: fc.constantFrom("none", "none", "unreachable", "lostReply", "deaf"),
  faultAt: fc.nat(12),
  /** the pod before this one did not come out right */
  held: fc.boolean(),
  silent: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }),
});
type Turn = typeof turn extends fc.Arbitrary<infer One> ? One : never;

test("a pod ends at the list that it was given last, whatever came before and wherever that was cut off", async () => {
  await fc.assert(
    fc.asyncProperty(list, fc.array(turn, { minLength: 1, maxLength: 4 }), async (start, turns) => {
      const pod = podWith(start);
      for (const one of turns) await pod.take(one).catch(() => undefined);
      const last = turns.at(-1)?.wanted ?? [];
      const outcomes: string[] = [];
      while (outcomes.length < TRIES && outcomes.at(-1) !== "inSync") outcomes.push((await pod.sync(last)).outcome);
      expect([outcomes.at(-1), pod.shown()]).toEqual([
        "inSync",
        last.map((one) => `${one.setId} ${one.uri} ${one.flags === 4 ? "Disabled" : "on"} ${one.attrs}`).toSorted(),
      ]);
    }),
    { numRuns: 1500 },
  );
});

function podWith(start: readonly DispatcherEntry[]) {
  const kamailios = createFakeKamailios();
  const kamailio = kamailios.start(HOST, { dispatcher: start, tables: {} }, 1);
  kamailio.seeded = true;
  let requests = 0;
  let now: Pick<Turn, "fault" | "faultAt"> = { fault: "none", faultAt: 0 };
  const unreachable = new OperatorError("SIPR_RPC_UNREACHABLE", "the pod does not answer", { remedy: "Look at it." });
  const control: Control = {
    call: async (address, method, params) => {
      const fault = requests++ === now.faultAt ? now.fault : "none";
      if (fault === "deaf") return "Ok";
      if (fault === "unreachable") throw unreachable;
      const answer = await kamailios.call(address, method, params);
      if (fault === "lostReply") throw unreachable;
      return answer;
    },
  };
  const sync = (dispatcher: readonly DispatcherEntry[], more: Partial<SyncInput> = {}): Promise<SyncResult> => {
    const desired: DesiredData = { revision: "r", dispatcher, tables: [] };
    const address = { host: HOST, port: 9060, token: "t" };
    return syncPod({
      control,
      address,
      desired,
      read: () => kamailios.read(address, desired),
      filesSent: false,
      ...more,
    });
  };
  return {
    sync,
    async take({ wanted, held, silent, ...fault }: Turn): Promise<void> {
      [requests, now] = [0, fault];
      const goOn = held ? { goOn: Promise.resolve(false) } : {};
      try {
        await sync(wanted, { hints: { inactive: new Set(silent.map(uri)) }, ...goOn });
      } finally {
        now = { fault: "none", faultAt: 0 };
      }
    },
    shown: (): readonly string[] =>
      kamailio.destinations
        .map((one) => `${one.setId} ${one.uri} ${one.state === "Disabled" ? one.state : "on"} ${one.attrs}`)
        .toSorted(),
  };
}
