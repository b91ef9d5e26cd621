/** Which pods start and end, step by step, until nothing is left to do. */
import { expect, test } from "vitest";
import { chooseAddress, shareAddresses } from "../../../src/standalone/addresses.ts";
import { decideRollout, type RolloutPod } from "../../../src/standalone/rollout.ts";

const pod = (name: string, change: Partial<RolloutPod> = {}): RolloutPod => ({
  name,
  current: true,
  ready: true,
  terminating: false,
  ...change,
});

/** Plays the steps with pods that become ready and end at once; returns the fewest ready pods and the most pods at any moment. */
function play(target: number, before: readonly RolloutPod[], addresses: number) {
  let pods = [...before];
  let [fewest, most] = [Infinity, 0];
  for (let round = 0; round < 100; round += 1) {
    const { start, stop } = decideRollout(target, pods, addresses - pods.length);
    expect(start).toBeLessThanOrEqual(addresses - pods.length);
    if (start === 0 && stop.length === 0) return { pods, fewest, most, rounds: round };
    pods = pods.filter(({ name }) => !stop.includes(name));
    fewest = Math.min(fewest, pods.filter(({ ready }) => ready).length);
    pods = [...pods, ...Array.from({ length: start }, (_, index) => pod(`new-${round}-${index}`))];
    most = Math.max(most, pods.length);
  }
  throw new Error("the rollout does not end");
}
const old = (count: number) => Array.from({ length: count }, (_, index) => pod(`old-${index}`, { current: false }));

test("with a spare address a new pod comes before an old one goes", () => {
  const { pods, fewest, most } = play(2, old(2), 3);
  expect(pods.map(({ current }) => current)).toEqual([true, true]);
  expect(fewest).toBe(2);
  expect(most).toBe(3);
});

test("without one they are replaced one at a time", () => {
  const { pods, fewest } = play(3, old(3), 3);
  expect(pods.map(({ current }) => current)).toEqual([true, true, true]);
  expect(fewest).toBe(2);
});

test("a new pod that does not become ready stops the rollout", () => {
  const pods = [pod("old-0", { current: false }), pod("new", { ready: false })];
  expect(decideRollout(2, pods, 5)).toEqual({ start: 0, stop: [] });
});

test("an old pod that ends keeps its address until it is gone", () => {
  const pods = [pod("old-0", { current: false }), pod("old-1", { current: false, terminating: true })];
  expect(decideRollout(2, pods, 0)).toEqual({ start: 0, stop: [] });
  expect(decideRollout(2, pods, 1).start).toBe(1);
});

test("scaling: up as far as there are addresses, down by those that do not serve first, to none", () => {
  expect(decideRollout(3, [pod("a")], 5)).toEqual({ start: 2, stop: [] });
  expect(decideRollout(3, [pod("a")], 1)).toEqual({ start: 1, stop: [] });
  expect(decideRollout(1, [pod("a"), pod("b", { ready: false })], 0)).toEqual({ start: 0, stop: ["b"] });
  expect(decideRollout(0, [pod("a"), pod("b", { current: false })], 0).stop).toEqual(["a", "b"]);
});

test("addresses are shared in the order of router names, and fewer when they end", () => {
  const claims = [
    { router: "default/b", replicas: 2 },
    { router: "default/a", replicas: 2 },
  ];
  const shares = shareAddresses({ addresses: ["1", "2", "3"] }, claims);
  expect(Object.fromEntries(shares)).toEqual({ "default/a": ["1", "2"], "default/b": ["3"] });
  expect(shareAddresses({ addresses: ["1", "2", "3"], maxReplicas: 1 }, claims).get("default/b")).toEqual(["2"]);
});

test("who has an address keeps it: a router that comes before by its name gets what is free", () => {
  const claims = [
    { router: "default/branch", replicas: 1 },
    { router: "default/edge", replicas: 1 },
  ];
  const pool = { addresses: ["1", "2"] };
  const held = new Map([["default/edge", ["1"]]]);
  expect(Object.fromEntries(shareAddresses(pool, claims, held))).toEqual({
    "default/branch": ["2"],
    "default/edge": ["1"],
  });
  const none = shareAddresses({ addresses: ["1"] }, claims, held);
  expect(Object.fromEntries(none)).toEqual({ "default/branch": [], "default/edge": ["1"] });
  const fewer = new Map([["default/edge", ["3", "2", "gone"]]]);
  expect(shareAddresses({ addresses: ["1", "2", "3"] }, claims, fewer).get("default/edge")).toEqual(["3"]);
});

test("a pod gets an address of its router's share, else a spare one, never another router's", () => {
  const pool = { addresses: ["1", "2", "3"] };
  const shares = new Map([
    ["a", ["1"]],
    ["b", ["2"]],
  ]);
  expect(chooseAddress(pool, shares, new Set(), "b")).toBe("2");
  expect(chooseAddress(pool, shares, new Set(["2"]), "b")).toBe("3");
  expect(chooseAddress(pool, shares, new Set(["2", "3"]), "b")).toBeUndefined();
});
