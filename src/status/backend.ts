/** The whole status of a PbxBackend. */
import {
  splitKey,
  backendConditionTypes,
  type BackendConditionType,
  type BackendState,
  type PbxBackendSpec,
  type PbxBackendStatus,
} from "../api/index.ts";
import type { ObservedDestination } from "../kamailio/types.ts";
import { decideVerdict, listIssues, listNames, no, unknown, yes, type Check } from "./checks.ts";
import { mergeConditions } from "./merge.ts";
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
  readonly silent: boolean;
}
interface Judged extends BackendInput {
  readonly reports: readonly Report[];
  readonly adminState: PbxBackendSpec["adminState"] | undefined;
}

/** Kamailio shows "AX" until the first OPTIONS is answered or given up. */
const isProbed = (one: ObservedDestination): boolean =>
  one.state !== "Disabled" && !(one.state === "Active" && one.flags === "AX");

function reportsOf(uses: readonly BackendUse[]): readonly Report[] {
  return uses.flatMap(({ router, pods }) => {
    const probed = pods.flatMap((pod) => (pod ?? []).filter(isProbed));
    if (probed.length === 0) return [];
    return [{ router: splitKey(router).name, answers: probed.some(takesCalls), silent: !probed.every(takesCalls) }];
  });
}

function judgeBackend(input: BackendInput): Readonly<Record<BackendConditionType, Verdict>> {
  const own = { kind: "PbxBackend", name: input.object.metadata.name };
  const wrong = input.issues.filter((issue) => !issue.transient);
  const missing = input.issues.filter((issue) => issue.transient);
  const Accepted =
    wrong[0] === undefined ? yes("Accepted", "The spec is valid.") : no(wrong[0].reason, listIssues(wrong, own));
  const { adminState } = (input.object.spec ?? {}) as Partial<PbxBackendSpec>;
  const Reachable = decideVerdict(
    reachable,
    yes("Reachable", "Every pod that uses the backend gets answers to OPTIONS."),
    {
      ...input,
      reports: reportsOf(input.uses),
      adminState,
    },
  );
  return { Accepted, Ready: backendReady(Accepted, missing, own), Reachable };
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
  ({ uses }) => (uses.length === 0 ? unknown("NotUsed", "No SipRouter uses the backend.") : undefined),
  ({ reports }) =>
    reports.length === 0 ? unknown("Unobserved", "No pod has asked the backend by OPTIONS yet.") : undefined,
  ({ reports }) => {
    if (reports.some((report) => report.answers)) return undefined;
    return no("Unreachable", `No pod gets an answer to OPTIONS (SipRouter ${namesOf(reports)}).`);
  },
  ({ reports }) => {
    const silent = reports.filter((report) => report.silent);
    if (silent.length === 0) return undefined;
    return no(
      "PartlyReachable",
      `OPTIONS are answered by some destinations or to some pods only (SipRouter ${namesOf(silent)}).`,
    );
  },
  ({ adminState }) =>
    adminState === "Draining"
      ? yes("Draining", "The backend answers OPTIONS; it gets no new calls, calls in progress go on.")
      : undefined,
];
