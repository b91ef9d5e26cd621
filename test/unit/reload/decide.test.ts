import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DestinationState, ObservedDestination, PodReading } from "../../../src/kamailio/types.ts";
import { decidePod, executeAction } from "../../../src/reload/index.ts";
import type { DataTable, DesiredData, DispatcherEntry } from "../../../src/render/types.ts";
import { createFakeKamailios } from "../../support/fakeKamailio.ts";

const uri = (host: number): string => `sip:192.0.2.${host}:5060;transport=udp`;
const entry = (setId: number, host: number, more: Partial<DispatcherEntry> = {}): DispatcherEntry => ({
  setId,
  uri: uri(host),
  flags: 0,
  priority: 0,
  attrs: "",
  ...more,
});
const seen = (setId: number, host: number, state: DestinationState = "Active", attrs = ""): ObservedDestination => ({
  setId,
  uri: uri(host),
  state,
  flags: "AP",
  priority: 0,
  attrs,
});
const ext: DataTable = { name: "ext", kind: "mtree", file: "ext", generation: "g2" };
const domains: DataTable = { name: "domains", kind: "htable", file: "domains", generation: "g2" };
const want = (dispatcher: DispatcherEntry[], tables: DataTable[] = []): DesiredData => ({
  revision: "r",
  dispatcher,
  tables,
});
const runs = (destinations: ObservedDestination[], tables: Record<string, string> = {}): PodReading => ({
  destinations,
  tables,
  draining: false,
});
/** as `dispatcher.add` takes them; 9: inactive and probed, 10: trying and probed */
const FLAGS: Readonly<Record<number, string>> = { 0: "", 4: " disabled", 9: " inactive", 10: " trying" };
const short = (desired: DesiredData, reading: PodReading, inactive: string[] = []): string[] =>
  decidePod(desired, reading, { inactive: new Set(inactive) }).actions.map((action) => {
    const host = (one: string): string => `${one.slice(12, 13)}${one.endsWith("=UDP") ? "'" : ""}`;
    if (action.kind === "addDestination")
      return `add ${action.entry.setId} ${host(action.entry.uri)}${FLAGS[action.entry.flags]}`;
    if (action.kind === "reloadTable" || action.kind === "awaitFile") return `${action.kind} ${action.table}`;
    if (action.kind === "markSeeded") return action.kind;
    const what = `${action.setId} ${host(action.uri)}`;
    return action.kind === "setState" ? `state ${action.state} ${what}` : `remove ${what}`;
  });

describe("a pod that was just started", () => {
  const fresh = (destinations: ObservedDestination[], tables: Record<string, string> = {}): PodReading => ({
    ...runs(destinations, tables),
    fresh: true,
  });
  test("is told what the other pods know not to answer, and marked when it is right", () => {
    const reading = fresh([seen(100, 1), seen(100, 2), seen(200, 1, "Inactive")], { ext: "g1" });
    expect(short(want([entry(100, 1), entry(100, 2), entry(200, 1)], [ext]), reading, [uri(1)])).toEqual([
      "state ip 100 1",
      "awaitFile ext",
      "reloadTable ext",
      "markSeeded",
    ]);
  });
  test("that has asked by itself is believed from then on", () => {
    expect(short(want([entry(100, 1)]), runs([seen(100, 1)]), [uri(1)])).toEqual([]);
  });
});

describe("what a pod needs", () => {
  test("nothing when it runs what it must, whatever the run-time states", () => {
    const reading = runs([seen(100, 1, "Inactive"), seen(100, 2, "Probing")], { ext: "g2" });
    expect(decidePod(want([entry(100, 1), entry(100, 2)], [ext]), reading)).toEqual({ inSync: true, actions: [] });
  });

  test("additions come first, removals that empty a tier only after the tables that no longer name it", () => {
    const reading = runs([seen(100, 1), seen(200, 2), seen(200, 3)], { ext: "g1", domains: "g1" });
    expect(short(want([entry(101, 1), entry(200, 3)], [ext, domains]), reading)).toEqual([
      "add 101 1",
      "remove 200 2",
      "awaitFile domains",
      "reloadTable domains",
      "awaitFile ext",
      "reloadTable ext",
      "remove 100 1",
    ]);
  });

  test("one that is listed twice is put right alone and keeps its state; a set that nobody knows goes", () => {
    const reading = runs([seen(100, 1, "Inactive"), seen(100, 1), seen(100, 2), seen(700, 7)]);
    expect(short(want([entry(100, 1), entry(100, 2)]), reading)).toEqual([
      "add 100 1' inactive",
      "remove 100 1",
      "add 100 1 inactive",
      "remove 100 1'",
      "remove 700 7",
    ]);
  });

  test("a changed weight touches that destination only, for which its other spelling stands in", () => {
    const reading = runs([seen(100, 1, "Inactive", "rweight=10"), seen(100, 2, "Active", "rweight=10")]);
    const desired = want([entry(100, 1, { attrs: "rweight=90" }), entry(100, 2, { attrs: "rweight=10" })]);
    const change = ["remove 100 1", "add 100 1 inactive"];
    expect(short(desired, reading)).toEqual(["add 100 1' inactive", ...change, "remove 100 1'"]);
    const standIn = { ...seen(100, 1, "Inactive"), uri: uri(1).replace("udp", "UDP") };
    const interrupted = runs([...reading.destinations, standIn]);
    expect(short(desired, interrupted)).toEqual([...change, "remove 100 1'"]);
    expect(short(desired, runs([...reading.destinations.slice(1), standIn]))).toEqual([
      "add 100 1 inactive",
      "remove 100 1'",
    ]);
    const trying = runs([seen(100, 1, "Probing", "rweight=10")]);
    expect(short(want([entry(100, 1, { attrs: "rweight=90" })]), trying)).toEqual([
      "add 100 1' trying",
      "remove 100 1",
      "add 100 1 trying",
      "remove 100 1'",
    ]);
  });

  test("disabled and enabled again by a change of state, without taking it out of the list", () => {
    expect(short(want([entry(100, 1, { flags: 4 })]), runs([seen(100, 1, "Inactive")]))).toEqual(["state d 100 1"]);
    expect(short(want([entry(100, 1)]), runs([seen(100, 1, "Disabled")]))).toEqual(["state ap 100 1"]);
  });

  test("enabled again, a destination that is known not to answer is not woken", () => {
    expect(short(want([entry(100, 1)]), runs([seen(100, 1, "Disabled")]), [uri(1)])).toEqual(["state ip 100 1"]);
    const elsewhere = runs([seen(100, 1, "Disabled"), seen(200, 1, "Inactive")]);
    expect(short(want([entry(100, 1), entry(200, 1)]), elsewhere)).toEqual(["state ip 100 1"]);
  });

  test("enabled again with another weight, it is not woken either", () => {
    const weighted = want([entry(100, 1, { attrs: "rweight=50" })]);
    const added = ["add 100 1' inactive", "remove 100 1", "add 100 1 inactive", "remove 100 1'"];
    expect(short(weighted, runs([seen(100, 1, "Disabled")]), [uri(1)])).toEqual(added);
    expect(short(weighted, runs([seen(100, 1, "Disabled")]))).toEqual(added.map((one) => one.replace(" inactive", "")));
  });

  test("what was left standing in for a destination goes before that destination is given a state", () => {
    const standIn = { ...seen(100, 1), uri: uri(1).replace("udp", "UDP") };
    expect(short(want([entry(100, 1, { flags: 4 })]), runs([standIn, seen(100, 1)]))).toEqual([
      "remove 100 1'",
      "state d 100 1",
    ]);
  });

  test("a destination that is known not to answer is not added as if it did", () => {
    expect(short(want([entry(100, 1), entry(100, 2)]), runs([seen(100, 1)]), [uri(2)])).toEqual(["add 100 2 inactive"]);
    expect(short(want([entry(199, 1)]), runs([seen(100, 1, "Inactive")]))).toEqual([
      "add 199 1 inactive",
      "remove 100 1",
    ]);
  });

  test("one that was added before it was known not to answer is told so, unless it has asked by itself", () => {
    expect(short(want([entry(199, 1)]), runs([{ ...seen(199, 1), flags: "AX" }]), [uri(1)])).toEqual([
      "state ip 199 1",
    ]);
    expect(short(want([entry(199, 1)]), runs([seen(199, 1)]), [uri(1)])).toEqual([]);
  });

  test("nor is one that moves to another tier woken when it falls silent while it moves", () => {
    const unasked = { ...seen(101, 1), flags: "AX" };
    const drained = want([entry(101, 1), entry(100, 2)]);
    expect(short(drained, runs([seen(100, 1, "Inactive"), unasked, seen(100, 2)]))).toEqual([
      "state ip 101 1",
      "remove 100 1",
    ]);
    expect(short(drained, runs([seen(100, 1, "Inactive"), seen(101, 1), seen(100, 2)]))).toEqual(["remove 100 1"]);
    expect(short(drained, runs([seen(100, 1), unasked, seen(100, 2)]))).toEqual(["remove 100 1"]);
  });

  test("an empty list removes nothing", () => {
    expect(short(want([]), runs([seen(100, 1)]))).toEqual([]);
  });

  test("from any reading the actions lead to what is wanted, and nothing that was down is woken", async () => {
    const state = fc.constantFrom<DestinationState>("Active", "Inactive", "Probing", "Disabled");
    const attrs = fc.constantFrom("", "rweight=5");
    const observed = fc.record({
      setId: fc.constantFrom(100, 101, 200),
      host: fc.integer({ min: 1, max: 4 }),
      state,
      attrs,
    });
    const entries = fc.record({
      setId: fc.constantFrom(100, 101, 200),
      host: fc.integer({ min: 1, max: 4 }),
      attrs,
      flags: fc.constantFrom(0, 0, 4),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(observed, { maxLength: 10 }),
        fc.uniqueArray(entries, { minLength: 1, maxLength: 8, selector: (one) => `${one.setId} ${one.host}` }),
        async (now, wanted) => {
          const desired = want(wanted.map((one) => entry(one.setId, one.host, { attrs: one.attrs, flags: one.flags })));
          const kamailios = createFakeKamailios();
          const address = { host: "127.70.0.1", port: 9060, token: "t" };
          const kamailio = kamailios.start(address.host, { dispatcher: [], tables: {} }, 0);
          kamailio.seeded = true;
          kamailio.destinations = now.map((one) => seen(one.setId, one.host, one.state, one.attrs));
          const before = runs(kamailio.destinations);
          const stay = before.destinations.filter((one) =>
            desired.dispatcher.some(({ setId, uri: wantedUri }) => setId === one.setId && wantedUri === one.uri),
          );
          for (const action of decidePod(desired, before).actions) {
            await executeAction(kamailios, address, action, []);
            const listed = new Set(kamailio.destinations.map((one) => `${one.setId} ${one.uri.toLowerCase()}`));
            for (const one of stay) expect(listed).toContain(`${one.setId} ${one.uri.toLowerCase()}`);
          }
          const after = await kamailios.read(address, desired);
          expect(decidePod(desired, after).inSync).toBe(true);
          const single = before.destinations.filter(
            (one) =>
              before.destinations.filter((other) => other.uri === one.uri && other.setId === one.setId).length === 1,
          );
          const down = new Set(
            single.filter((one) => one.state === "Inactive").map((one) => `${one.setId} ${one.uri}`),
          );
          const woken = after.destinations.filter(
            (one) => down.has(`${one.setId} ${one.uri}`) && one.state !== "Inactive" && one.state !== "Disabled",
          );
          expect(woken).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});
