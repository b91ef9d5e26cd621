import { describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import type { DestinationState, ObservedDestination } from "../../../src/kamailio/types.ts";
import { announceBackend, buildBackendStatus, conditionOf, type BackendInput } from "../../../src/status/index.ts";

const object = (spec: object = {}, status?: object): RawObject => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { namespace: "default", name: "pbx-1", generation: 2 },
  spec: { address: "192.0.2.1", ...spec },
  ...(status === undefined ? {} : { status }),
});
/** of one pod, each state that of an address of its own */
const seen = (...states: DestinationState[]): ObservedDestination[] =>
  states.map((state, index) => ({
    setId: 100 + index,
    uri: `sip:192.0.2.${index + 1}:5060`,
    state,
    flags: "AP",
    priority: 0,
    attrs: "",
  }));
const input = (pods: (ObservedDestination[] | undefined)[], more: Partial<BackendInput> = {}): BackendInput => ({
  object: object(),
  issues: [],
  endpoints: [{ host: "192.0.2.1", port: 5060, transport: "UDP", ready: true }],
  uses: [{ router: "default/edge", pods }],
  now: "2026-01-01T00:00:00Z",
  ...more,
});
const reachable = (status: object): string => {
  const found = conditionOf(status, "Reachable");
  return `${found?.status} ${found?.reason}`;
};

describe("what the pods say of a backend", () => {
  test.each<[string, (ObservedDestination[] | undefined)[], object, string]>([
    [
      "all active",
      [seen("Active"), seen("Active")],
      { state: "Active", activePods: 2, totalPods: 2 },
      "True Reachable",
    ],
    [
      "all inactive",
      [seen("Inactive"), seen("Inactive")],
      { state: "Inactive", activePods: 0, totalPods: 2 },
      "False Unreachable",
    ],
    [
      "pods disagree",
      [seen("Active"), seen("Inactive")],
      { state: "Mixed", activePods: 1, totalPods: 2 },
      "False PodsDisagree",
    ],
    [
      "one of two endpoints",
      [seen("Active", "Inactive")],
      { state: "Mixed", activePods: 1, totalPods: 1 },
      "False PartlyReachable",
    ],
    [
      "asked, without an answer so far",
      [seen("Probing")],
      { state: "Probing", activePods: 1, totalPods: 1 },
      "Unknown Unobserved",
    ],
    [
      "one pod gave up, another not yet",
      [seen("Inactive"), seen("Probing")],
      { state: "Mixed", activePods: 1, totalPods: 2 },
      "False Unreachable",
    ],
    [
      "one pod not read",
      [seen("Active"), undefined],
      { state: "Active", activePods: 1, totalPods: 2 },
      "True Reachable",
    ],
    ["nobody has said anything", [undefined], { state: "Unknown", activePods: 0, totalPods: 1 }, "Unknown Unobserved"],
  ])("%s", (_name, pods, router, condition) => {
    const status = buildBackendStatus(input(pods));
    expect(status.routers).toMatchObject([{ name: "edge", ...router }]);
    expect(reachable(status)).toBe(condition);
    expect(conditionOf(status, "Ready")?.status).toBe("True");
  });

  describe("a pod that lost an answer and has not given up", () => {
    const both = [{ router: "default/edge" }, { router: "default/other" }];
    const told = (before: string, ...pods: ObservedDestination[][]): string => {
      const [status, reason] = before.split(" ");
      const stored = { conditions: [{ type: "Reachable", status, reason, message: "", lastTransitionTime: "" }] };
      const answers = (uses: BackendInput["uses"]): string =>
        reachable(buildBackendStatus(input([], { object: object({}, stored), uses })));
      const ofOne = answers([{ router: "default/edge", pods }]);
      // the same pods, of two routers
      if (pods.length === 2) expect(answers(both.map((use, at) => ({ ...use, pods: [pods[at]] })))).toBe(ofOne);
      return ofOne;
    };

    test.each<[string, DestinationState[], string]>([
      ["True Reachable", ["Probing", "Active"], "True Reachable"],
      ["True Reachable", ["Probing"], "True Reachable"],
      // a PBX that dies: the pods find out one after the other, and there is no firewall between some of them and it
      ["True Reachable", ["Probing", "Inactive"], "True Reachable"],
      ["False PodsDisagree", ["Probing", "Inactive"], "False PodsDisagree"],
      ["False PodsDisagree", ["Inactive", "Inactive"], "False Unreachable"],
      ["False Unreachable", ["Probing", "Inactive"], "False Unreachable"],
      ["False Unreachable", ["Active", "Inactive"], "False PodsDisagree"],
      ["Unknown Unobserved", ["Probing", "Active"], "True Reachable"],
    ])("%s, then %s: %s", (before, states, after) => {
      expect(told(before, ...states.map((state) => seen(state)))).toBe(after);
    });

    test("of two addresses: it stays as it was", () => {
      expect(told("False PartlyReachable", seen("Probing", "Inactive"))).toBe("False PartlyReachable");
      expect(told("True Reachable", seen("Probing", "Active"))).toBe("True Reachable");
    });
  });

  test("pods that were not read are no pods that get answers: the message counts them", () => {
    const message = (...pods: (ObservedDestination[] | undefined)[]): string =>
      conditionOf(buildBackendStatus(input(pods)), "Reachable")?.message ?? "";
    expect(message(seen("Active"), seen("Active"))).toBe("Every pod that uses the backend gets answers to OPTIONS.");
    const unread = "Not read: 1 of 2 ready pods of SipRouter edge; its Programmed says why.";
    expect(message(seen("Active"), undefined)).toBe(`Every pod that was read gets answers to OPTIONS. ${unread}`);
    expect(message(seen("Inactive"), undefined)).toMatch(new RegExp(`^No pod gets an answer.* ${unread}$`));
  });

  test("nobody uses it; it is disabled; it drains", () => {
    expect(reachable(buildBackendStatus(input([], { uses: [] })))).toBe("Unknown NotUsed");
    expect(
      reachable(buildBackendStatus(input([seen("Disabled")], { object: object({ adminState: "Disabled" }) }))),
    ).toBe("Unknown Disabled");
    expect(reachable(buildBackendStatus(input([seen("Active")], { object: object({ adminState: "Draining" }) })))).toBe(
      "True Draining",
    );
  });

  test("a destination that was never asked is active, but whether it answers is not known yet", () => {
    const fresh = seen("Active").map((one) => ({ ...one, flags: "AX" }));
    const status = buildBackendStatus(input([fresh, fresh]));
    expect(status.routers).toMatchObject([{ state: "Active", activePods: 2 }]);
    expect(reachable(status)).toBe("Unknown Unobserved");
    expect(reachable(buildBackendStatus(input([fresh, seen("Inactive")])))).toBe("False Unreachable");
    expect(reachable(buildBackendStatus(input([fresh, seen("Active")])))).toBe("True Reachable");
  });

  test("the time of a router's entry moves only with its state", () => {
    const first = buildBackendStatus(input([seen("Active")]));
    const later = { now: "2026-01-01T01:00:00Z", object: object({}, first) };
    expect(buildBackendStatus(input([seen("Active")], later))).toEqual(first);
    expect(buildBackendStatus(input([seen("Inactive")], later)).routers?.[0]?.lastTransitionTime).toBe(later.now);
  });

  test("an address that is not known yet is not ready; a wrong spec is not accepted", () => {
    const issue = {
      object: { kind: "PbxBackend", namespace: "default", name: "pbx-1" },
      path: "spec.address",
      reason: "NameNotResolved" as const,
      message: "it does not resolve.",
      transient: true,
    };
    expect(conditionOf(buildBackendStatus(input([], { issues: [issue] })), "Ready")).toMatchObject({
      status: "False",
      reason: "NameNotResolved",
    });
    const wrong = buildBackendStatus(input([], { issues: [{ ...issue, reason: "Invalid", transient: false }] }));
    expect(conditionOf(wrong, "Accepted")).toMatchObject({ status: "False", reason: "Invalid" });
  });

  test("a name is told when it was looked up and does not resolve, not before", () => {
    const stateOf = (message: string, before?: object): { told: readonly string[]; status: object } => {
      const known = object({ address: "pbx.example.com" }, before);
      const issue = {
        object: { kind: "PbxBackend", namespace: "default", name: "pbx-1" },
        path: "spec.address",
        reason: "NameNotResolved" as const,
        message,
        transient: true,
      };
      const status = buildBackendStatus(input([], { object: known, issues: [issue] }));
      return { told: announceBackend(known, status).map(({ type, reason }) => `${type} ${reason}`), status };
    };
    const first = stateOf("the name pbx.example.com has not been looked up yet: wait.");
    expect(first.told).toEqual([]);
    expect(stateOf("the name does not resolve.", first.status).told).toEqual(["Warning NameNotResolved"]);
  });

  test("down and up again are told once each", () => {
    const told = (before: object | undefined, pods: ObservedDestination[][]): string[] => {
      const known = object({}, before);
      return announceBackend(known, buildBackendStatus(input(pods, { object: known }))).map(
        (one) => `${one.type} ${one.reason}`,
      );
    };
    const up = buildBackendStatus(input([seen("Active")]));
    const down = buildBackendStatus(input([seen("Inactive")]));
    expect(told(undefined, [seen("Active")])).toEqual(["Normal Reachable"]);
    expect(told(up, [seen("Active")])).toEqual([]);
    expect(told(up, [seen("Inactive")])).toEqual(["Warning Unreachable"]);
    expect(told(down, [seen("Inactive")])).toEqual([]);
    expect(told(down, [seen("Active")])).toEqual(["Normal Reachable"]);
  });
});
