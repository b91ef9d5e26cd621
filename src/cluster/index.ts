/**
 * cluster: the operator's view of a cluster and its writes. This interface is all that the controller knows of it; behind
 * it is the Kubernetes API (`kube/`), or an in-memory store with local processes (`standalone/`). Reads are from
 * caches and synchronous; writes are promises.
 */
import type { Key, ObjectRef, RawObject } from "../api/index.ts";
import type { Snapshot } from "../model/types.ts";

/** One Kamailio pod of a router, as far as the operator needs it. */
export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** "" until assigned */
  readonly ip: string;
  readonly ready: boolean;
  /** the kamailio container runs (ready or not): its control port may answer */
  readonly running: boolean;
  readonly terminating: boolean;
  /** of the pod template it was made from */
  readonly structureHash: string;
  /** what is wrong with it in Kubernetes' words, e.g. "CrashLoopBackOff"; "" when nothing */
  readonly message: string;
}

export interface WorkloadView {
  /** the Deployment's observed generation is current and all replicas are updated and available */
  readonly rolledOut: boolean;
  readonly replicas: number;
  readonly readyReplicas: number;
  /** message of the condition Progressing=False, "" else */
  readonly failure: string;
  /** of the SIP Service: load balancer ingress, else cluster IP */
  readonly addresses: readonly string[];
  /** what a reader of a rolled out Deployment should know nevertheless, e.g. that fewer replicas run than were asked for */
  readonly note?: string;
  /** there is room for no more replicas than these; absent: for as many as are asked for */
  readonly room?: number;
}

/** `object` is undefined when it was deleted. */
export interface Change {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly object?: RawObject;
  readonly previous?: RawObject;
}

export interface EventInput {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

export interface Cluster {
  /** Starts caches; resolves when the first full list of every kind is in. */
  start(): Promise<void>;
  stop(): Promise<void>;
  onChange(listener: (change: Change) => void): void;

  /** a consistent view of all user objects, from the caches */
  snapshot(): Snapshot;
  pods(router: Key): readonly PodView[];
  workload(router: Key): WorkloadView | undefined;
  /** an object the operator owns, from the cache */
  owned(kind: string, namespace: string, name: string): RawObject | undefined;

  /**
   * Server-side apply with force under the operator's field manager; an object whose applied form is unchanged since the
   * last apply (and whose cached copy still holds it) is not sent.
   */
  apply(objects: readonly RawObject[]): Promise<void>;
  /** deletes the router's owned objects that are not in `keep`; pods are their Deployment's */
  prune(router: Key, keep: readonly ObjectRef[]): Promise<void>;
  /**
   * Creates a Secret with generated values if it does not exist; never logs; returns its data decoded. `generate` is given
   * the keys that are there, and says which of them stay: what was lost, or is of an older version, is made from these.
   */
  ensureSecret(
    secret: RawObject,
    generate: (present?: Readonly<Record<string, string>>) => Record<string, string>,
  ): Promise<Record<string, string>>;
  /** A Secret that the operator makes: from now on `owned` has it when it exists, and what others do to it is told. */
  followSecret(secret: RawObject): Promise<void>;
  /** makes the kubelet sync the pod's volumes now, by patching an annotation of the pod */
  touchPod(pod: PodView, revision: string): Promise<void>;
  writeStatus(ref: ObjectRef, status: object): Promise<void>;
  emit(ref: ObjectRef, event: EventInput): void;
}
