/** What is left of a set when the registrations of its PBXes are over. */
import { expect, test } from "vitest";
import { keepLastDestinations } from "../../../src/controller/keepLast.ts";
import type { RouterPlan } from "../../../src/ir/index.ts";
import { routerPlan } from "../../support/sip/plan.ts";

const plan = (hosts: readonly string[]): RouterPlan =>
  routerPlan({
    sets: [{ name: "pbx", id: 1, destinations: hosts.map((host, priority) => ({ host, port: 5060, priority })) }],
    routes: [],
    data: { registrants: { salt: "", users: [{ user: "pbx", ha1: "", backend: "default/pbx-1" }] } },
  });
const shown = ({ plan: { data }, kept }: ReturnType<typeof keepLastDestinations>) => ({
  tiers: data.sets.flatMap(({ tiers }) => tiers),
  destinations: data.sets.flatMap((set) => set.destinations.map(({ setId, host }) => `${setId} ${host}`)),
  kept,
});

test("the last PBX, whose registration is over, is known but gets no new call", () => {
  const before = plan(["192.0.2.1"]);
  const gone = { tiers: [], destinations: ["199 192.0.2.1"], kept: [] };
  const first = keepLastDestinations(plan([]), before);
  expect(shown(first)).toEqual(gone);
  expect(shown(keepLastDestinations(plan([]), first.plan))).toEqual(gone);
});

test("a PBX with an address of its own is kept as it was", () => {
  expect(shown(keepLastDestinations(plan([]), plan(["192.0.2.1", "192.0.2.2"])))).toEqual({
    tiers: [1],
    destinations: ["199 192.0.2.1", "101 192.0.2.2"],
    kept: ["pbx"],
  });
});

test("beside another one it is gone", () => {
  const now = plan(["192.0.2.2"]);
  expect(keepLastDestinations(now, plan(["192.0.2.1", "192.0.2.2"]))).toEqual({ plan: now, kept: [] });
});

test("before the first registration there is nothing to keep", () => {
  expect(shown(keepLastDestinations(plan([]), undefined))).toEqual({ tiers: [], destinations: [], kept: [] });
});
