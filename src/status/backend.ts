/** The whole status of a PbxBackend. */
import {
  compare,
  splitKey,
  backendConditionTypes,
  type BackendConditionType,
  type BackendState,
  type Condition,
  type PbxBackendSpec,
  type PbxBackendStatus,
} from "../api/index.ts";
import type { DestinationState, ObservedDestination } from "../kamailio/types.ts";
import { decideVerdict, listIssues, listNames, no, stalled, unknown, yes, type Check } from "./checks.ts";
import { judgeDrained, judgeManaged, managerEntries } from "./management.ts";
import { conditionOf, mergeConditions } from "./merge.ts";
import type { BackendInput, BackendUse, Verdict } from "./types.ts";

type RouterEntry = NonNullable<PbxBackendStatus["routers"]>[number];

export function buildBackendStatus(input: BackendInput): PbxBackendStatus {
  const stored = input.object.status as PbxBackendStatus | undefined;
  const generation = input.object.metadata.generation ?? 0;
  const routers = input.uses
    .map((use) => routerEntry(use, stored?.routers, input.now))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    observedGeneration: generation,
    conditions: mergeConditions(stored, judgeBackend(input), backendConditionTypes, generation, input.now),
    endpoints: input.endpoints.map(({ host, port, transport, ready }) => ({ address: host, port, transport, ready })),
    routers,
    ...(input.managers === undefined
      ? {}
      : { management: managerEntries(input.managers, stored?.management, input.now) }),
  };
}

const takesCalls = (one: ObservedDestination): boolean => one.state === "Active" || one.state === "Probing";

function routerEntry(use: BackendUse, before: readonly RouterEntry[] | undefined, now: string): RouterEntry {
  const name = splitKey(use.router).name;
  const read = use.pods.filter((pod) => pod !== undefined && pod.length > 0) as (readonly ObservedDestination[])[];
  const state = stateOf(read.flat());
  const old = before?.find((entry) => entry.name === name);
  return {
    name,
    state,
    activePods: read.filter((pod) => pod.some(takesCalls)).length,
    totalPods: use.pods.length,
    lastTransitionTime: old !== undefined && old.state === state ? old.lastTransitionTime : now,
  };
}

/** Of all destinations of a backend on all pods; several endpoints or pods that do not agree are Mixed. */
function stateOf(destinations: readonly ObservedDestination[]): BackendState {
  const states = new Set(destinations.map((one) => one.state));
  const [first] = states;
  if (first === undefined) return "Unknown";
  return states.size === 1 ? first : "Mixed";
}

/** What the pods of one router know from OPTIONS: pods that never asked, or still have it disabled, know nothing. */
interface Report {
  readonly router: string;
  readonly answers: boolean;
  /** destinations that answer some pods, of this router or another, and not others */
  readonly disputed: readonly string[];
  /** destinations that answer no pod */
  readonly down: readonly string[];
}
interface Judged extends BackendInput {
  readonly reports: readonly Report[];
  readonly adminState: PbxBackendSpec["adminState"] | undefined;
}

/** Kamailio shows "AX" until the first OPTIONS is answered or given up. */
export const isProbed = (one: ObservedDestination): boolean =>
  one.state !== "Disabled" && !(one.state === "Active" && one.flags === "AX");

/**
 * A pod that has lost an answer and not given up ("Probing") decides nothing: who answered before still does, who never did has
 * not answered, and pods that find a PBX dead one after the other do not disagree.
 */
function reportsOf(uses: readonly BackendUse[], before: Condition | undefined): readonly Report[] {
  const answeredBefore = before !== undefined && before.status !== "Unknown" && before.reason !== "Unreachable";
  const probed = uses.map(({ router, pods }) => ({
    router: splitKey(router).name,
    destinations: pods.flatMap((pod) => (pod ?? []).filter(isProbed)),
  }));
  const all = probed.flatMap((one) => one.destinations);
  const good = urisOf(all, "Active");
  const answering = answeredBefore ? good.union(urisOf(all, "Probing")) : good;
  const silent = urisOf(all, "Inactive");
  const disputed = silent.intersection(before?.reason === "PodsDisagree" ? answering : good);
  return probed.flatMap(({ router, destinations }) => {
    const own = new Set(destinations.map(({ uri }) => uri)).intersection(silent.union(answering));
    if (own.size === 0) return [];
    return [
      {
        router,
        answers: own.intersection(answering).size > 0,
        disputed: [...own.intersection(disputed)].toSorted(compare),
        down: [...own.difference(answering)].toSorted(compare),
      },
    ];
  });
}

const urisOf = (destinations: readonly ObservedDestination[], state: DestinationState): ReadonlySet<string> =>
  new Set(destinations.filter((one) => one.state === state).map(({ uri }) => uri));

/** Ready pods that tell nothing; as a sentence, or empty. */
function unreadOf(uses: readonly BackendUse[]): string {
  const some = uses.flatMap(({ router, pods }) => {
    const count = pods.filter((pod) => pod === undefined).length;
    return count === 0 ? [] : [`${count} of ${pods.length} ready pods of SipRouter ${splitKey(router).name}`];
  });
  return some.length === 0 ? "" : ` Not read: ${listNames(some)}; its Programmed says why.`;
}

/** `sip:192.0.2.1:5060;transport=udp` -> `192.0.2.1` */
const hostOf = (uri: string): string =>
  /^sips?:(?:[^@;>]*@)?(\[[0-9A-Fa-f:.]+\]|[^:;>?]+)/.exec(uri)?.[1]?.replaceAll(/[[\]]/g, "") ?? uri;

/** Endpoints of a Service that Kubernetes calls ready and that answer no pod's OPTIONS. */
function readyButSilent({ object, endpoints, reports }: Judged): readonly string[] {
  if ((object.spec as Partial<PbxBackendSpec> | undefined)?.service === undefined) return [];
  const ready = new Set(endpoints.filter((one) => one.ready).map(({ host }) => host));
  const down = new Set(reports.flatMap((report) => report.down.map(hostOf)).filter((host) => ready.has(host)));
  return [...down].toSorted(compare);
}

type BackendVerdicts = Readonly<Record<BackendConditionType, Verdict | undefined>>;

function judgeBackend(input: BackendInput): BackendVerdicts {
  const own = { kind: "PbxBackend", name: input.object.metadata.name };
  const wrong = input.issues.filter((issue) => !issue.transient);
  const missing = input.issues.filter((issue) => issue.transient);
  const Accepted =
    wrong[0] === undefined ? yes("Accepted", "The spec is valid.") : no(wrong[0].reason, listIssues(wrong, own));
  const { adminState } = (input.object.spec ?? {}) as Partial<PbxBackendSpec>;
  const unread = unreadOf(input.uses);
  const whoever = unread === "" ? "Every pod that uses the backend" : "Every pod that was read";
  const decided = decideVerdict(reachable, yes("Reachable", `${whoever} gets answers to OPTIONS.`), {
    ...input,
    reports: reportsOf(input.uses, conditionOf(input.object.status, "Reachable")),
    adminState,
  });
  const Reachable = decided.status === "Unknown" ? decided : { ...decided, message: decided.message + unread };
  return {
    Accepted,
    Ready: backendReady(Accepted, missing, own),
    Reachable,
    Managed: judgeManaged(input.managers),
    Drained: judgeDrained(adminState, { drain: input.drain, managers: input.managers }),
    Stalled: stalled(Accepted),
  };
}

function backendReady(
  Accepted: Verdict,
  missing: BackendInput["issues"],
  own: { kind: string; name: string },
): Verdict {
  if (Accepted.status !== "True") return no(Accepted.reason, `Accepted: ${Accepted.message}`);
  if (missing[0] !== undefined) return no(missing[0].reason, listIssues(missing, own));
  return yes("Ready", "The spec is valid and its addresses are known.");
}

const namesOf = (reports: readonly Report[]): string => listNames(reports.map((report) => report.router));

const reachable: readonly Check<Judged>[] = [
  ({ adminState }) =>
    adminState === "Disabled" ? unknown("Disabled", "The backend is disabled: it is not probed.") : undefined,
  ({ uses }) =>
    uses.length === 0
      ? unknown("NotUsed", "No SipRouter uses the backend: name it in a dispatcher set of one.")
      : undefined,
  ({ reports, uses }) => {
    if (reports.length > 0) return undefined;
    const asked = uses.some(({ pods }) => pods.some((pod) => pod?.some(isProbed)));
    return unknown(
      "Unobserved",
      asked
        ? "The backend has not answered OPTIONS yet, and is asked again (spec.healthCheck of the SipRouter says how often)."
        : "No pod has asked the backend by OPTIONS yet.",
    );
  },
  (input) => {
    const hosts = readyButSilent(input);
    if (hosts.length === 0) return undefined;
    const message = `Kubernetes says that ${listNames(hosts)} ${hosts.length === 1 ? "is" : "are"} ready, but no pod gets an answer to OPTIONS from there: let its readiness probe ask for SIP.`;
    return no("ReadyButSilent", message);
  },
  ({ reports }) => {
    if (reports.some((report) => report.answers)) return undefined;
    return no(
      "Unreachable",
      `No pod gets an answer to OPTIONS (SipRouter ${namesOf(reports)}): check that the PBX runs, that its address, port and transport are right, and that it lets the pods in.`,
    );
  },
  ({ reports }) => {
    const split = reports.filter((report) => report.disputed.length > 0);
    if (split.length === 0) return undefined;
    const hosts = [...new Set(split.flatMap((report) => report.disputed.map(hostOf)))];
    return no(
      "PodsDisagree",
      `Some pods of SipRouter ${namesOf(split)} get answers to OPTIONS from ${listNames(hosts)}, others do not: look for a firewall between some nodes and there.`,
    );
  },
  ({ reports }) => {
    const silent = reports.filter((report) => report.down.length > 0);
    if (silent.length === 0) return undefined;
    const hosts = [...new Set(silent.flatMap((report) => report.down.map(hostOf)))];
    return no("PartlyReachable", `${listNames(hosts)} answer no OPTIONS, others do (SipRouter ${namesOf(silent)}).`);
  },
  ({ adminState }) =>
    adminState === "Draining"
      ? yes("Draining", "The backend answers OPTIONS; it gets no new calls, calls in progress go on.")
      : undefined,
];
