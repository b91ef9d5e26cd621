/** What the controller is given: everything that has an effect, so that it runs the same on a cluster, alone and in tests. */
import type { AmiView, ConnectAmi } from "../ami/index.ts";
import type { Condition, Key, ObjectRef, RawObject } from "../api/index.ts";
import type { RouterPlan } from "../ir/types.ts";
import type { Control, ControlAddress, DestinationState, PodReading } from "../kamailio/types.ts";
import type { Cluster } from "../cluster/index.ts";
import type { Log } from "../log.ts";
import type { QueueRun } from "./queue.ts";
import type { BackendResolution } from "../model/index.ts";
import type { Issue, Resolution, ResolvedRouter, Snapshot } from "../model/types.ts";
import type { DesiredData, RenderedRouter } from "../render/types.ts";

export type { Log };

export interface Clock {
  /** Milliseconds since the epoch by a clock that nobody sets: for whatever waits, is measured, or is called fresh or late. */
  now(): number;
  /** Milliseconds since the epoch as the machine has it now: only for what is written down, or compared with others' times. */
  timeOfDay(): number;
  setTimeout(run: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export type QueueName = "reconcile" | "reload" | "apart" | "status";
export type ReloadResult = "inSync" | "stale" | "wrong" | "unreachable" | "failed";

/** Implemented by the metrics server. Labels are closed sets, except router keys and pod names. */
export interface Metrics {
  queueDepth(queue: QueueName, depth: number): void;
  queueAdd(queue: QueueName): void;
  queueRun(queue: QueueName, run: QueueRun): void;
  reload(router: Key, result: ReloadResult): void;
  /** from the event that changed the data to the last ready pod read back with it */
  changeToEffect(router: Key, seconds: number): void;
  /** destinations of a router by state, summed over its pods that run; undefined: it is gone, and what is shown of it goes */
  destinations(router: Key, counts: Readonly<Record<DestinationState, number>> | undefined): void;
  /** which pods of a router run what they must */
  revisions(router: Key, pods: readonly { readonly name: string; readonly inSync: boolean }[]): void;
  /** milliseconds of OPTIONS and active dialogs of one pod; undefined when the pod is gone */
  pod(router: Key, pod: string, reading: PodReading | undefined): void;
  /** phones registered with a pod; forgotten with the pod */
  registrations(router: Key, pod: string, count: number): void;
  statusWrite(kind: string): void;
  /** conditions of an object as they are now; none when it is gone */
  conditions(kind: "SipRouter" | "PbxBackend", object: Key, conditions: readonly Condition[]): void;
  /** what the Asterisk Managers of a backend say; undefined when none is asked */
  managers(backend: Key, views: readonly AmiView[] | undefined): void;
}

/** What `standalone` prints its JSON lines from. */
export interface Hooks {
  /** once, when every accepted router is programmed on all its replicas and everything else is rejected */
  onReady?(): void;
  /** after every change that all replicas were read back with (and for the first revision) */
  onProgrammed?(router: Key, revision: string): void;
  /** when an object's spec is refused, and again when what is wrong with it changes */
  onRejected?(object: ObjectRef, issues: readonly Issue[]): void;
}

/** The pure stages and the reader of a pod. `defaultPipeline` is the real one. */
export interface Pipeline {
  resolveRouter(snapshot: Snapshot, key: Key): Resolution;
  resolveBackend(snapshot: Snapshot, key: Key): BackendResolution;
  namesToResolve(backends: readonly RawObject[]): readonly string[];
  buildPlan(resolved: ResolvedRouter, defaults: Defaults): RouterPlan;
  renderRouter(plan: RouterPlan): RenderedRouter;
  parseDataFiles(data: Readonly<Record<string, string>>): DesiredData;
  readPod(control: Control, address: ControlAddress, desired: DesiredData): Promise<PodReading>;
  readDestinations(control: Control, address: ControlAddress): Promise<PodReading["destinations"]>;
  /** contents of a control Secret, all keys: with this token, else with a new one */
  generateControlSecret(token?: string): Record<string, string>;
}

export interface Defaults {
  /** image of the Kamailio container where the router names none */
  readonly image: string;
}

/** DNS: addresses and how long they may be kept, seconds. */
export interface NameAnswer {
  readonly addresses: readonly string[];
  readonly ttlSeconds: number;
  /** families (4, 6) that the name may have addresses of which are not known: their question was not answered */
  readonly unanswered?: readonly number[];
}
/** Rejects when the name does not resolve. */
export type ResolveName = (name: string) => Promise<NameAnswer>;

export interface Tuning {
  /** between two readings of one pod */
  readonly pollMs: number;
  /** requests to the pods per second, all together, by which they are read in turn; a reading is about eight */
  readonly requestsPerSecond: number;
  /** a reading no older than this is not repeated before a change */
  readonly freshMs: number;
  /** how long a pod may wait for its files */
  readonly fileDeadlineMs: number;
  /** between two writes of table files of a router: db_text compares modification times in whole seconds */
  readonly tableSpacingMs: number;
  /** routers worked on at once */
  readonly parallel: number;
}
export const defaultTuning: Tuning = {
  pollMs: 1000,
  requestsPerSecond: 1600,
  freshMs: 2500,
  fileDeadlineMs: 120_000,
  tableSpacingMs: 1100,
  parallel: 16,
};

export interface ControllerOptions {
  readonly cluster: Cluster;
  readonly control: Control;
  readonly log: Log;
  readonly clock?: Clock;
  readonly defaults: Defaults;
  readonly hooks?: Hooks;
  readonly metrics?: Partial<Metrics>;
  readonly pipeline?: Pipeline;
  readonly resolveName?: ResolveName;
  readonly connectAmi?: ConnectAmi;
  readonly tuning?: Partial<Tuning>;
  /** 0 to 1, for jitter */
  readonly random?: () => number;
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  timeOfDay: () => Date.now(),
  setTimeout: (run, milliseconds) => setTimeout(run, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

export const noMetrics: Metrics = {
  queueDepth: () => {},
  queueAdd: () => {},
  queueRun: () => {},
  reload: () => {},
  changeToEffect: () => {},
  destinations: () => {},
  revisions: () => {},
  pod: () => {},
  registrations: () => {},
  statusWrite: () => {},
  conditions: () => {},
  managers: () => {},
};
