/** The routing map of one router: who calls, by which route, to which set, to which backend, with what is known of each now. Pure. */
import { compare, type PbxBackend, type SipRouter } from "../../api/index.ts";
import { isDrainTier } from "../../ir/setId.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import { EXTERNAL } from "../../model/index.ts";
import type { FleetPod } from "../fleet/index.ts";
import { answered, notAnswering, type Answer } from "../print/output.ts";
import type { Call } from "../views/calls.ts";
import { nameResources, userOf } from "../views/naming.ts";
import { findProblems, type Problem } from "../views/problems.ts";
import { countCalls } from "../views/top.ts";

/** What one pod says. */
export interface PodFacts {
  readonly destinations: readonly ObservedDestination[];
  readonly calls: readonly Call[];
}

export interface MapInput {
  readonly router: SipRouter;
  readonly backends: readonly PbxBackend[];
  readonly pods: readonly FleetPod[];
  readonly answers: readonly Answer<PodFacts>[];
  /** with route and backend; undefined: there are too many to ask for each */
  readonly calls: readonly Call[] | undefined;
}

export interface MapNode {
  readonly id: string;
  readonly name: string;
  /** e.g. "1000-1999", "RoundRobin", "192.0.2.11:5060" */
  readonly detail: string;
  readonly state?: "Active" | "Inactive" | "Mixed" | "Draining" | "Disabled" | "Unknown";
  /** now; undefined: not known */
  readonly calls?: number | undefined;
  /** of OPTIONS, milliseconds */
  readonly latencyMs?: number | undefined;
  /** ids of the nodes where calls go from here */
  readonly to: readonly string[];
}

export interface RoutingMap {
  readonly namespace: string;
  readonly router: string;
  readonly ready: boolean;
  /** all live calls */
  readonly calls: number;
  readonly pods: readonly { readonly name: string; readonly ready: boolean; readonly calls: number | undefined }[];
  readonly problems: readonly Problem[];
  readonly notAnswering: readonly { readonly pod: string; readonly error: string }[];
  readonly callers: readonly MapNode[];
  readonly routes: readonly MapNode[];
  readonly sets: readonly MapNode[];
  readonly backends: readonly MapNode[];
}

/** Callers that are shown one by one. */
const CALLERS = 8;

/** HTML ids: what a name may hold and an id may not is written as its code. */
const idOf = (kind: string, name: string): string =>
  `${kind}-${name.replaceAll(/[^A-Za-z0-9-]/g, (one) => `_${one.codePointAt(0)?.toString(16) ?? ""}_`)}`;

export function buildRoutingMap(input: MapInput): RoutingMap {
  const { router, answers, calls } = input;
  const { namespace, name } = router.metadata;
  const facts = answered(answers);
  const own = input.backends.filter((one) => one.metadata.namespace === namespace);
  const members = membersOf(input);
  const ready = router.status?.conditions?.find((one) => one.type === "Ready")?.status === "True";
  return {
    namespace: namespace,
    router: name,
    ready,
    calls: facts.reduce((sum, { value }) => sum + value.calls.length, 0),
    pods: input.pods.map((pod) => ({
      name: pod.name,
      ready: pod.ready,
      calls: facts.find((one) => one.pod.name === pod.name)?.value.calls.length,
    })),
    problems: findProblems(
      [{ router, pods: input.pods }],
      own.filter((one) => [...members.values()].some((set) => set.has(one.metadata.name))),
    ),
    notAnswering: notAnswering(answers),
    callers: callersOf(
      facts.flatMap(({ value }) => value.calls),
      calls,
    ),
    routes: routesOf(router, calls),
    sets: router.spec.dispatcherSets.map((set) => ({
      id: idOf("set", set.name),
      name: set.name,
      detail: set.algorithm ?? "RoundRobin",
      calls: calls?.filter((call) => call.set === set.name).length,
      to: [...(members.get(set.name) ?? [])].toSorted(compare).map((one) => idOf("backend", one)),
    })),
    backends: own
      .filter((one) => [...members.values()].some((set) => set.has(one.metadata.name)))
      .map((one) => backendNode(one, input)),
  };
}

/** Names of the backends of each set, as the pods have them and as the status knows them. */
function membersOf({ router, backends, answers }: MapInput): ReadonlyMap<string, ReadonlySet<string>> {
  const naming = nameResources(router, backends);
  const members = new Map<string, Set<string>>(
    router.spec.dispatcherSets.map((set) => [set.name, new Set((set.backends ?? []).map((one) => one.name))]),
  );
  for (const { value } of answered(answers))
    for (const { setId, uri } of value.destinations) {
      const set = members.get(naming.set(setId));
      for (const name of naming.backend(uri).split(",")) if (name !== "") set?.add(name);
    }
  return members;
}

function callersOf(all: readonly Call[], known: readonly Call[] | undefined): readonly MapNode[] {
  const counts = countCalls(all, (call) => userOf(call.from));
  const node = (id: string, name: string, calls: number, of: (call: Call) => boolean): MapNode => {
    const routes = new Set((known ?? []).filter(of).flatMap((call) => (call.route === undefined ? [] : [call.route])));
    return { id, name, detail: "", calls, to: [...routes].toSorted(compare).map((route) => idOf("route", route)) };
  };
  const first = counts.slice(0, CALLERS);
  const shown = new Set(first.map(({ name }) => name));
  const rest = counts.slice(CALLERS);
  return [
    ...first.map(({ name, calls }) => node(idOf("caller", name), name, calls, (call) => userOf(call.from) === name)),
    ...(rest.length === 0
      ? []
      : [
          node(
            "caller-others",
            `${rest.length} more`,
            rest.reduce((sum, { calls }) => sum + calls, 0),
            (call) => !shown.has(userOf(call.from)),
          ),
        ]),
  ];
}

function routesOf({ spec }: SipRouter, calls: readonly Call[] | undefined): readonly MapNode[] {
  const node = (name: string, detail: string, set: string): MapNode => ({
    id: idOf("route", name),
    name,
    detail,
    calls: calls?.filter((call) => call.route === name).length,
    to: [idOf("set", set)],
  });
  return [
    ...(spec.routes ?? []).map(({ name, match, set }) => {
      const { extensions = [], prefixes = [], domains = [] } = match;
      const claims = [...extensions, ...prefixes.map((one) => (one === "" ? "every number" : `${one}…`))];
      return node(name, [...claims, ...domains.map((one) => `@${one}`)].join(" "), set);
    }),
    ...(spec.external === undefined ? [] : [node(EXTERNAL, "every other number", spec.external.set)]),
  ];
}

function backendNode(backend: PbxBackend, { router, backends, answers, calls }: MapInput): MapNode {
  const { name } = backend.metadata;
  const naming = nameResources(router, backends);
  const pods = answered(answers).map(({ value }) =>
    value.destinations.filter((one) => naming.backend(one.uri).split(",").includes(name)),
  );
  const active = pods.filter((all) => all.some((one) => one.state === "Active" && !isDrainTier(one.setId))).length;
  const latencies = pods.flat().flatMap(({ latencyMs }) => (latencyMs === undefined ? [] : [latencyMs.average]));
  const admin = backend.spec.adminState ?? "Enabled";
  const observed =
    pods.length === 0 ? "Unknown" : active === pods.length ? "Active" : active === 0 ? "Inactive" : "Mixed";
  const endpoints = (backend.status?.endpoints ?? []).map(({ address, port }) => `${address}:${port}`);
  return {
    id: idOf("backend", name),
    name,
    detail: endpoints.length > 2 ? `${endpoints[0] ?? ""} and ${endpoints.length - 1} more` : endpoints.join(" "),
    state: admin === "Enabled" ? observed : admin,
    calls: calls?.filter((call) => (call.backend ?? "").split(",").includes(name)).length,
    latencyMs: latencies.length === 0 ? undefined : latencies.reduce((sum, one) => sum + one, 0) / latencies.length,
    to: [],
  };
}
