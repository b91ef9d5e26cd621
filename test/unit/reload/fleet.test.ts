import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideFleet, type FleetPod } from "../../../src/reload/index.ts";

const pod = (name: string, more: Partial<FleetPod> = {}): FleetPod => ({
  name,
  state: "Pending",
  ready: true,
  current: true,
  reachable: true,
  due: true,
  ...more,
});
const many = (count: number, from = 0): FleetPod[] =>
  Array.from({ length: count }, (_, index) => pod(`p${index + from}`));

describe("which pods may be worked on", () => {
  test("one first, then batches that grow with what is proven", () => {
    expect(decideFleet(many(9)).work).toEqual(["p0"]);
    expect(decideFleet([pod("a", { state: "InSync" }), ...many(9)]).work).toEqual(["p0", "p1"]);
    expect(decideFleet([pod("a", { state: "InSync" }), pod("b", { state: "InSync" }), ...many(9)]).work).toHaveLength(
      4,
    );
  });

  test("a pod that ended at the change and runs it since its start proves nothing", () => {
    expect(decideFleet([pod("a", { state: "InSync", ended: true }), ...many(9)]).work).toEqual(["p0"]);
  });

  test("the others wait while the first waits for its files", () => {
    expect(decideFleet([pod("b"), pod("c", { state: "Stale", due: false })])).toEqual({ work: [], apart: [] });
    expect(decideFleet([pod("b"), pod("c", { state: "Stale" })]).work).toEqual(["c"]);
  });

  test("a ready pod that came out wrong stops the rest and is tried again itself", () => {
    const failed = pod("b", { state: "Failed" });
    expect(decideFleet([pod("a", { state: "InSync" }), failed, pod("c")])).toEqual({
      work: ["b"],
      apart: [],
      halted: "b",
    });
    expect(decideFleet([failed, pod("c")].map((one) => ({ ...one, due: one.name !== "b" })))).toEqual({
      work: [],
      apart: [],
      halted: "b",
    });
  });

  test("while the rest is stopped, a pod without calls is brought along, and one that has started is told what the others know", () => {
    const open = [pod("b", { ready: false }), pod("c", { unseeded: true }), pod("d"), pod("e", { reachable: false })];
    const decision = { work: ["a"], apart: ["b", "c"], halted: "a" };
    expect(decideFleet([pod("a", { state: "Failed" }), ...open])).toEqual(decision);
    const waiting = open.map((one) => ({ ...one, waits: true }));
    expect(decideFleet([pod("a"), ...waiting])).toEqual({ work: ["a"], apart: ["c"] });
  });

  test("a pod that does not answer, is being replaced, or is not ready yet stops nobody", () => {
    for (const more of [{ reachable: false }, { current: false }, { ready: false }])
      for (const state of ["Failed", "Stale", "Pending"] as const)
        expect(decideFleet([pod("b", { state, ...more }), pod("c")])).toEqual({ work: ["c"], apart: ["b"] });
  });

  test("a ready pod comes before one that is not", () => {
    expect(decideFleet([pod("a", { ready: false }), pod("b")]).work).toEqual(["b"]);
    expect(decideFleet([pod("a", { ready: false })]).work).toEqual(["a"]);
  });

  test("whatever the states: as long as something is open and due, and nothing halts or waits, there is work", () => {
    const any = fc.record({
      state: fc.constantFrom<FleetPod["state"]>("InSync", "Pending", "Stale", "Failed"),
      ready: fc.boolean(),
      current: fc.boolean(),
      reachable: fc.boolean(),
      due: fc.constant(true),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 6 }), (states) => {
        const pods = states.map((one, index) => ({ ...one, name: `p${index}` }));
        const decision = decideFleet(pods);
        const work = [...decision.work, ...decision.apart];
        expect(work.length > 0).toBe(pods.some((one) => one.state !== "InSync"));
        expect(work.every((name) => pods.find((one) => one.name === name)?.state !== "InSync")).toBe(true);
      }),
    );
  });
});
