import { describe, expect, test } from "vitest";
import type { Condition, RawObject } from "../../../src/api/index.ts";
import { reasons, routerConditionTypes } from "../../../src/api/index.ts";
import type { DestinationState, ObservedDestination } from "../../../src/kamailio/types.ts";
import {
  announceRouter,
  buildRouterStatus,
  conditionOf,
  sameJson,
  type PodInput,
  type RouterInput,
} from "../../../src/status/index.ts";

const NOW = "2026-01-01T00:00:00Z";
const LATER = "2026-01-01T01:00:00Z";
const object: RawObject = {
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { namespace: "default", name: "edge", generation: 7 },
  spec: {},
};
const seen = (setId: number, host: number, state: DestinationState): ObservedDestination => ({
  setId,
  uri: `sip:192.0.2.${host}:5060;transport=udp`,
  state,
  flags: "",
  priority: 0,
  attrs: "",
});
const destination = (setId: number, host: number) => ({ setId, uri: `sip:192.0.2.${host}:5060;transport=udp` });
const pod = (name: string, more: Partial<PodInput> = {}): PodInput => ({
  name,
  ready: true,
  state: "InSync",
  reachable: true,
  revision: "r2",
  message: "",
  destinations: [seen(100, 1, "Active"), seen(101, 2, "Active")],
  ...more,
});
const input = (more: Partial<RouterInput> = {}): RouterInput => ({
  object,
  issues: [],
  openExternal: false,
  sets: [{ name: "pbx", id: 1, destinations: [destination(100, 1), destination(101, 2)] }],
  revision: "r2",
  stored: true,
  applied: true,
  keptLastList: false,
  replicas: 2,
  workload: { rolledOut: true, replicas: 2, readyReplicas: 2, failure: "", addresses: ["203.0.113.10"] },
  pods: [pod("edge-b"), pod("edge-a")],
  selector: "siprouter.dev/router=edge",
  now: NOW,
  ...more,
});
test("a router whose Service hides the addresses of callers is accepted with a warning", () => {
  const message = (service: object): string =>
    conditionOf(buildRouterStatus(input({ object: { ...object, spec: { service } } })), "Accepted")?.message ?? "";
  for (const type of ["LoadBalancer", "NodePort"]) {
    expect(message({ type })).toContain("externalTrafficPolicy Local");
    expect(message({ type, externalTrafficPolicy: "Cluster" })).toContain("externalTrafficPolicy Local");
    expect(message({ type, externalTrafficPolicy: "Local" })).not.toContain("externalTrafficPolicy");
  }
  expect(message({ type: "ClusterIP" })).not.toContain("externalTrafficPolicy");
});

test("a router for callers outside that does not say its address is accepted with a warning", () => {
  const message = (spec: object): string =>
    conditionOf(buildRouterStatus(input({ object: { ...object, spec } })), "Accepted")?.message ?? "";
  expect(message({ service: { type: "LoadBalancer" } })).toContain("spec.advertise is not set");
  for (const spec of [
    {
      service: { type: "LoadBalancer", externalTrafficPolicy: "Local" },
      advertise: { address: "203.0.113.10" },
    },
    { service: { type: "ClusterIP" } },
    {},
  ])
    expect(message(spec)).toBe("The spec is valid.");
});

const issue = (transient: boolean, reason: keyof typeof reasons) => ({
  object: { kind: "SipRouter", namespace: "default", name: "edge" },
  path: "spec.routes[0]",
  reason,
  message: "it is wrong: correct it.",
  transient,
});
const shown = (more: Partial<RouterInput> = {}): string[] =>
  (buildRouterStatus(input(more)).conditions ?? []).map((one) => `${one.type} ${one.status} ${one.reason}`);
const message = (type: string, more: Partial<RouterInput>): string =>
  conditionOf(buildRouterStatus(input(more)), type)?.message ?? "";

describe("the status of a router", () => {
  test("when all is well", () => {
    expect(buildRouterStatus(input())).toMatchObject({
      observedGeneration: 7,
      replicas: 2,
      readyReplicas: 2,
      addresses: ["203.0.113.10"],
      active: "2/2",
      revision: "r2",
      sets: [{ name: "pbx", id: 1, destinations: 2, active: 2 }],
      pods: [{ name: "edge-a" }, { name: "edge-b" }],
    });
    expect(shown()).toEqual([
      "Accepted True Accepted",
      "ResolvedRefs True ResolvedRefs",
      "Programmed True Programmed",
      "Available True Available",
      "Ready True Ready",
    ]);
  });

  test("on the first visit, before anything is known, every condition is there with a reason of the table", () => {
    const { sets: _sets, revision: _revision, workload: _workload, ...rest } = input({ pods: [], stored: false });
    const { conditions = [] } = buildRouterStatus(rest);
    expect(conditions.map((one) => one.type)).toEqual(routerConditionTypes.filter((type) => type !== "Stalled"));
    expect(conditions.every((one) => Object.hasOwn(reasons, one.reason) && one.message !== "")).toBe(true);
    expect(conditions.find((one) => one.type === "Ready")?.status).toBe("False");
  });

  test.each<[string, Partial<RouterInput>, string[]]>([
    [
      "a wrong spec",
      { issues: [issue(false, "RouteConflict")] },
      [
        "Accepted False RouteConflict",
        "Programmed True Programmed",
        "Ready False RouteConflict",
        "Stalled True RouteConflict",
      ],
    ],
    [
      "a missing backend",
      { issues: [issue(true, "BackendNotFound")] },
      ["Accepted True Accepted", "ResolvedRefs False BackendNotFound", "Ready False BackendNotFound"],
    ],
    [
      "no pod",
      { pods: [pod("edge-a", { ready: false, message: "CrashLoopBackOff" })] },
      ["Programmed False NoPods", "Available False NoPods"],
    ],
    [
      "a pod behind",
      { pods: [pod("edge-a"), pod("edge-b", { state: "Stale" })] },
      ["Programmed False Progressing", "Available True Available"],
    ],
    ["a pod wrong", { pods: [pod("edge-a", { state: "Failed" })] }, ["Programmed False ReloadFailed"]],
    [
      "a silent pod",
      { pods: [pod("edge-a", { state: "Failed", reachable: false })] },
      ["Programmed False NotAnswering"],
    ],
    ["files not written", { stored: false }, ["Programmed False Progressing"]],
    ["a write refused", { failure: { reason: "ApplyFailed", message: "no" } }, ["Programmed False ApplyFailed"]],
    ["nothing wanted", { replicas: 0, pods: [] }, ["Programmed True Programmed", "Available False NoPods"]],
    [
      "a rollout",
      { workload: { rolledOut: false, replicas: 3, readyReplicas: 2, failure: "", addresses: [] } },
      ["Ready False RolloutProgressing"],
    ],
    [
      "a stuck rollout",
      { workload: { rolledOut: false, replicas: 3, readyReplicas: 2, failure: "deadline", addresses: [] } },
      ["Ready False RolloutFailed"],
    ],
    [
      "a first rollout whose pods never start",
      {
        pods: [pod("edge-a", { ready: false, message: "ImagePullBackOff" })],
        workload: { rolledOut: false, replicas: 2, readyReplicas: 0, failure: "deadline", addresses: [] },
      },
      ["Programmed False NoPods", "Ready False RolloutFailed"],
    ],
  ])("%s", (_name, more, expected) => {
    expect(shown(more)).toEqual(expect.arrayContaining(expected));
  });

  test.each<[string, string, Partial<RouterInput>, RegExp]>([
    ["no pod", "Programmed", { pods: [] }, /look at the events of Deployment edge /],
    ["no pod wanted", "Available", { pods: [], replicas: 0 }, /^No pod is wanted \(spec\.replicas is 0\): no call/],
    [
      "pods that do not start",
      "Programmed",
      {
        pods: [
          pod("edge-a", { ready: false, message: "ErrImagePull" }),
          pod("edge-b", { ready: false, message: "ImagePullBackOff" }),
        ],
      },
      / of its pods\. edge-a: ErrImagePull; edge-b: ImagePullBackOff$/,
    ],
    [
      "a silent pod",
      "Programmed",
      { pods: [pod("edge-a", { state: "Failed", reachable: false, message: "No answer" })] },
      /^edge-a: No answer\. .*look at .* TCP 9060/,
    ],
    [
      "a set that is down",
      "Available",
      { pods: [pod("edge-a", { destinations: [seen(100, 1, "Inactive")] })] },
      /^Dispatcher set pbx .*503 until a PBX of the set answers OPTIONS/,
    ],
    [
      "a stuck rollout",
      "Ready",
      { workload: { rolledOut: false, replicas: 3, readyReplicas: 2, failure: "deadline", addresses: [] } },
      /look at the events of its new pods: deadline/,
    ],
  ])("%s: the message says what it means and what to do", (_name, type, more, expected) => {
    expect(message(type, more)).toMatch(expected);
  });

  test("a set without an active destination is down, yet the router is ready: what does not answer OPTIONS is no fault of its configuration", () => {
    const destinations = [seen(100, 1, "Inactive"), seen(101, 2, "Disabled")];
    const more = { pods: [pod("edge-a", { destinations })] };
    expect(shown(more)).toEqual(expect.arrayContaining(["Available False SetDown", "Ready True Ready"]));
    expect(message("Available", more)).toContain("pbx");
    expect(buildRouterStatus(input(more)).active).toBe("0/2");
  });

  test("a pod whose media proxies all are silent makes the router unavailable, one of two does not", () => {
    const proxies = (...answers: boolean[]) =>
      answers.map((one, at) => ({ socket: `udp:192.0.2.${at}:2223`, answers: one }));
    const up = { destinations: [seen(100, 1, "Active")], mediaProxies: proxies(true, false) };
    expect(shown({ pods: [pod("edge-a", up)] })).toContain("Available True Available");
    const more = { pods: [pod("edge-a", up), pod("edge-b", { ...up, mediaProxies: proxies(false, false) })] };
    expect(shown(more)).toEqual(expect.arrayContaining(["Available False MediaProxyDown", "Ready True Ready"]));
    expect(message("Available", more)).toMatch(/^edge-b: .*udp:192\.0\.2\.0:2223.*refused until one does/);
  });

  test("what drains is a destination but not an active one; a pod that is not ready does not count", () => {
    const sets = [{ name: "pbx", id: 1, destinations: [destination(199, 1), destination(100, 2)] }];
    const pods = [
      pod("edge-a", { destinations: [seen(199, 1, "Active"), seen(100, 2, "Inactive")] }),
      pod("edge-b", { ready: false, destinations: [seen(100, 2, "Active")] }),
    ];
    expect(buildRouterStatus(input({ sets, pods })).active).toBe("0/2");
  });

  test("a router that is open by its own spec says so", () => {
    expect(message("Accepted", { openExternal: true })).toContain("Anyone");
    expect(message("Accepted", {})).not.toContain("Anyone");
  });

  test("the failed pod and the revision are named", () => {
    const text = message("Programmed", {
      pods: [pod("edge-a", { state: "Failed", message: "the destination is missing" })],
    });
    expect(text).toContain("edge-a");
    expect(text).toContain("r2");
    expect(text).toContain("the destination is missing");
  });

  test("a condition's time moves only when its status flips, and an unchanged status is the same object", () => {
    const first = buildRouterStatus(input());
    const again = buildRouterStatus(input({ object: { ...object, status: first }, now: LATER }));
    expect(sameJson(again, first)).toBe(true);
    const flipped = buildRouterStatus(input({ object: { ...object, status: first }, now: LATER, pods: [] }));
    const times = (flipped.conditions as Condition[]).map((one) => [one.type, one.lastTransitionTime]);
    expect(Object.fromEntries(times)).toMatchObject({ Accepted: NOW, Programmed: LATER, Ready: LATER });
    const stillFalse = buildRouterStatus(
      input({
        object: { ...object, status: flipped },
        now: "2026-01-01T02:00:00Z",
        pods: [pod("edge-a", { state: "Failed" })],
      }),
    );
    expect(conditionOf(stillFalse, "Programmed")).toMatchObject({ reason: "ReloadFailed", lastTransitionTime: LATER });
  });

  test("nothing accepted yet: the ids of the sets that are stored stay", () => {
    const { sets: _sets, ...rest } = input({
      object: { ...object, status: { sets: [{ name: "pbx", id: 4, destinations: 1, active: 0 }] } },
    });
    expect(buildRouterStatus(rest).sets).toEqual([{ name: "pbx", id: 4, destinations: 1, active: 0 }]);
  });
});

describe("events about a router", () => {
  const from = (
    before: Partial<RouterInput> | undefined,
    after: Partial<RouterInput>,
    reloaded?: { from: string; to: string },
  ): string[] => {
    const known = before === undefined ? object : { ...object, status: buildRouterStatus(input(before)) };
    return announceRouter(known, buildRouterStatus(input({ ...after, object: known })), reloaded).map(
      (one) => `${one.type} ${one.reason}`,
    );
  };

  test("the first time it is accepted and ready; nothing when nothing changed", () => {
    expect(from(undefined, {})).toEqual(["Normal Accepted", "Normal Ready"]);
    expect(from({}, {})).toEqual([]);
    expect(from({ issues: [issue(false, "RouteConflict")] }, { issues: [issue(false, "RouteConflict")] })).toEqual([]);
  });

  test("a refused spec, a halted change, a set down and up again", () => {
    expect(from({}, { issues: [issue(false, "RouteConflict")] })).toEqual(["Warning RouteConflict"]);
    expect(from({}, { pods: [pod("edge-a", { state: "Failed" })] })).toEqual(["Warning ReloadFailed"]);
    const down = { pods: [pod("edge-a", { destinations: [] })] };
    expect(from({}, down)).toEqual(["Warning SetDown"]);
    expect(from(down, {})).toEqual(["Normal Available"]);
  });

  test("a halted change that is tried again, and halted again, is told once; another one anew", () => {
    const halt = {
      revision: "r1",
      pod: "edge-a",
      message: "it is not there",
      restored: "r0",
      trying: false,
      final: false,
    };
    const trying = { halt: { ...halt, trying: true } };
    expect(from({}, { halt })).toEqual(["Warning ReloadFailed"]);
    expect(from({ halt }, trying)).toEqual([]);
    expect(from(trying, { halt })).toEqual([]);
    expect(from({ halt }, { halt: { ...halt, pod: "edge-b" } })).toEqual(["Warning ReloadFailed"]);
    expect(from({ halt }, { halt: { ...halt, revision: "r9" } })).toEqual(["Warning ReloadFailed"]);
  });

  test("a reload with both revisions; pods on their way are nothing to tell", () => {
    expect(from({}, {}, { from: "r1", to: "r2" })).toEqual(["Normal Reloaded"]);
    expect(from({}, { pods: [pod("edge-a", { state: "Stale" })] })).toEqual([]);
  });

  test("a rollout that begins, and one that gets stuck", () => {
    const rolling = { workload: { rolledOut: false, replicas: 2, readyReplicas: 2, failure: "", addresses: [] } };
    const stuck = { workload: { ...rolling.workload, failure: "ProgressDeadlineExceeded" } };
    expect(from({}, rolling)).toEqual(["Normal RolloutProgressing"]);
    expect(from(rolling, stuck)).toEqual(["Warning RolloutFailed"]);
  });
});

test("a rollout that is under way names the pods that do not start, and why", () => {
  const workload = { rolledOut: false, replicas: 3, readyReplicas: 2, failure: "", addresses: [] };
  const pods = [pod("edge-a"), pod("edge-b", { ready: false, message: "ImagePullBackOff: no such image" })];
  const ready = conditionOf(buildRouterStatus(input({ workload, pods })), "Ready");
  expect(ready).toMatchObject({
    reason: "RolloutProgressing",
    message: "The Deployment is being rolled out. edge-b: ImagePullBackOff: no such image",
  });
});
