/** What the controller keeps in memory of one router. All of it can be had again from the cluster and the pods. */
import type { Key, PodState, RawObject, Reason } from "../api/index.ts";
import type { CredentialsPlan, RouterPlan } from "../ir/types.ts";
import type { Issue, Snapshot } from "../model/types.ts";
import type { DataTable, DesiredData, RenderedRouter } from "../render/types.ts";
import { sameJson, type SetInput } from "../status/index.ts";

/** How far one pod has come. */
export interface PodProgress {
  readonly uid: string;
  name: string;
  state: PodState;
  reachable: boolean;
  /** it was not even read: what it did not do meanwhile says nothing of the change */
  cutOff: boolean;
  /** the last revision it was read back with */
  revision: string | undefined;
  /** the revision that the fields below are about */
  target: string;
  /** tries in a row that did not get on */
  attempts: number;
  /** not to be tried before, milliseconds since the epoch */
  dueAt: number;
  /** since when only its files are missing */
  staleSince: number | undefined;
  /** how often it was told to fetch its files, and when last */
  touches: number;
  touchedAt: number;
  /** why it could not be told so the last time, or empty */
  untold: string;
  message: string;
}

/** A pod that ended, or fell silent, while it was given a change: it may have been the change. */
export interface Suspect {
  readonly uid: string;
  readonly pod: string;
  /** the change */
  readonly revision: string;
  /** when it happened last, milliseconds since the epoch */
  readonly since: number;
  /** how often */
  readonly times: number;
  readonly message: string;
}

/**
 * What every ready pod was read back with last. While another spec is not proven yet, or is halted: the spec that was, with the
 * backends as they are now.
 */
export interface GoodRevision {
  readonly desired: DesiredData;
  /** undefined: not known, what was read back stays as it is */
  readonly accepted: Accepted | undefined;
  readonly plan: RouterPlan | undefined;
  readonly structureHash: string;
  /** data ConfigMap and, where the router has one, the Secret with the files that hold credentials */
  readonly objects: readonly RawObject[];
}

/** A revision that did not come out right in a pod. */
export interface Halt {
  readonly revision: string;
  /** the spec that asked for it */
  readonly accepted: Accepted | undefined;
  readonly pod: string;
  readonly message: string;
  /** how often it was tried */
  readonly tries: number;
  /** milliseconds since the epoch */
  readonly retryAt: number;
  /** it is being tried again, and since when, milliseconds since the epoch */
  readonly trying: boolean;
  readonly triedAt: number;
  /** the pod ended by it: it is not tried again before this pod is back */
  readonly ended: boolean;
  /** it has ended pods so often that it is not tried again before an edit */
  readonly final: boolean;
}

/** The spec that was accepted last. */
export interface Accepted {
  readonly spec: RawObject["spec"];
  /** Secrets that it names, as they were then */
  readonly secrets: readonly RawObject[];
  /** as it is stored; undefined: too long for that */
  readonly stored: string | undefined;
}

/** What the router's own Secret said of users when this operator needed it first. */
export interface StoredUsers {
  readonly users: CredentialsPlan["users"];
  /** of that Secret alone: what is made of the users must not be guessed without it */
  readonly salt: string | undefined;
}

/** What a snapshot asks of one router. */
export interface Planned {
  readonly plan: RouterPlan;
  readonly rendered: RenderedRouter;
  /** sets whose last destinations are kept */
  readonly kept: readonly string[];
}

export interface RouterState {
  readonly key: Key;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** the first reconcile has come to a decision: status may be written */
  visited: boolean;
  /** generation of the spec that was decided last: `issues` and what is served follow from it */
  generation: number | undefined;
  /** the pods were read once, or there is nothing to read: until then an earlier operator's status says more */
  observed: boolean;
  issues: readonly Issue[];
  openExternal: boolean;
  replicas: number;
  failure: { readonly reason: Reason; readonly message: string } | undefined;
  /** sets whose last destinations are kept */
  keptSets: readonly string[];
  /** the spec of the last plan, whatever was refused since */
  accepted: Accepted | undefined;
  storedUsers: StoredUsers | undefined;
  /** the last plan that was accepted */
  plan: RouterPlan | undefined;
  /** what each snapshot asked for */
  readonly planned: WeakMap<Snapshot, Planned>;
  /** what every pod must run */
  desired: DesiredData | undefined;
  sets: readonly SetInput[] | undefined;
  /** "setId uri" -> key of the backend */
  backendOf: ReadonlyMap<string, Key>;
  /** backends whose destinations a reload has changed: their status waits for it */
  readonly untold: Set<Key>;
  structureHash: string | undefined;
  /** what every ready pod was read back with last; `goodSought`: also by the operator before this one */
  goodSought: boolean;
  good: GoodRevision | undefined;
  /** the desired revision did not come out right: the good one serves */
  halt: Halt | undefined;
  /** of the last plan that was accepted */
  rendered: RenderedRouter | undefined;
  /** whose objects are all written */
  applied: RenderedRouter | undefined;
  /** the revision whose data ConfigMap is written */
  storedRevision: string | undefined;
  /** when table files were last written, and whether the desired ones are still to be written */
  tablesStoredAt: number;
  tablesPending: boolean;
  nonce: number;
  nonceAt: number;
  token: string | undefined;
  /** the event that asked for the desired revision, milliseconds since the epoch; undefined when it has had its effect */
  changedAt: number | undefined;
  /** all ready pods were read back with it */
  programmed: string | undefined;
  /** told to the hooks: all replicas run it */
  announced: string | undefined;
  rejected: string | undefined;
  /** names of the objects that were kept by the last prune; `prunePending`: others may be there */
  pruned: string | undefined;
  prunePending: boolean;
  /** value of the annotation by which somebody asks for all pods to be read now; undefined: nobody does */
  readAsked: string | undefined;
  /** ... and of the one that was handled last */
  readHandled: string | undefined;
  readonly pods: Map<string, PodProgress>;
  /** uids of pods that are worked on apart from the others, or are about to be */
  readonly apart: Set<string>;
  /** URIs of destinations that do not answer, by what any pod said last */
  readonly silent: Set<string>;
  /** by uid */
  readonly suspects: Map<string, Suspect>;
  /** pods that may have ended at the desired revision, by uid: they have when they are found started anew */
  readonly mayHaveEnded: Set<string>;
  /** how often a pod ended at the desired revision, by uid: that it runs it after its start proves nothing */
  readonly ends: Map<string, number>;
}

export const newRouterState = (object: RawObject): RouterState => ({
  key: `${object.metadata.namespace}/${object.metadata.name}`,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
  uid: object.metadata.uid ?? "",
  visited: false,
  generation: undefined,
  observed: false,
  issues: [],
  openExternal: false,
  replicas: 0,
  failure: undefined,
  keptSets: [],
  accepted: undefined,
  storedUsers: undefined,
  plan: undefined,
  planned: new WeakMap(),
  desired: undefined,
  sets: undefined,
  backendOf: new Map(),
  untold: new Set(),
  structureHash: undefined,
  goodSought: false,
  good: undefined,
  halt: undefined,
  rendered: undefined,
  applied: undefined,
  storedRevision: undefined,
  tablesStoredAt: Number.NEGATIVE_INFINITY,
  tablesPending: false,
  nonce: 0,
  nonceAt: 0,
  token: undefined,
  changedAt: undefined,
  programmed: undefined,
  announced: undefined,
  rejected: undefined,
  pruned: undefined,
  prunePending: true,
  readAsked: undefined,
  readHandled: undefined,
  pods: new Map(),
  apart: new Set(),
  silent: new Set(),
  suspects: new Map(),
  mayHaveEnded: new Set(),
  ends: new Map(),
});

/** Status may be written: both its spec and its pods have been looked at. */
export const isKnown = (state: RouterState | undefined): state is RouterState =>
  state !== undefined && state.visited && (state.observed || state.desired === undefined);

export const newProgress = (uid: string, name: string, target: string): PodProgress => ({
  uid,
  name,
  state: "Pending",
  reachable: true,
  cutOff: false,
  revision: undefined,
  target,
  attempts: 0,
  dueAt: 0,
  staleSince: undefined,
  touches: 0,
  touchedAt: 0,
  untold: "",
  message: "",
});

export const sameTables = (a: readonly DataTable[] | undefined, b: readonly DataTable[]): boolean =>
  a !== undefined &&
  JSON.stringify(a.map((one) => [one.name, one.generation])) ===
    JSON.stringify(b.map((one) => [one.name, one.generation]));

/** How many pods are wanted is no matter of what they run: an autoscaler edits it. */
const unscaled = (spec: RawObject["spec"]): unknown => ({ ...(spec as object), replicas: undefined });

export const sameSpec = (one: Accepted | undefined, other: Accepted | undefined): boolean =>
  one?.spec === other?.spec ||
  (one !== undefined && other !== undefined && sameJson(unscaled(one.spec), unscaled(other.spec)));
