/** What a status is computed from, and what a check says. */
import type { AmiView } from "../ami/types.ts";
import type { Condition, Key, PodState, RawObject, Reason } from "../api/index.ts";
import type { ObservedDestination, PodReading } from "../kamailio/types.ts";
import type { WorkloadView } from "../cluster/index.ts";
import type { Endpoint, Issue } from "../model/types.ts";

export interface Verdict {
  readonly status: Condition["status"];
  readonly reason: Reason;
  readonly message: string;
}

/** One pod of a router as the status shows it. */
export interface PodInput {
  readonly name: string;
  readonly ready: boolean;
  readonly state: PodState;
  readonly reachable: boolean;
  /** the last revision it was read back with */
  readonly revision?: string;
  /** what is wrong with it; "" when nothing */
  readonly message: string;
  /** why it cannot be told to fetch its files: it gets them later */
  readonly untold?: string;
  /** of the last reading; undefined when it has not been read, or not for a while */
  readonly destinations?: readonly ObservedDestination[];
  readonly mediaProxies?: PodReading["mediaProxies"];
}

/** A dispatcher set of what serves now. */
export interface SetInput {
  readonly name: string;
  readonly id: number;
  readonly destinations: readonly { readonly setId: number; readonly uri: string }[];
}
export interface SetStatus {
  readonly name: string;
  readonly id: number;
  readonly destinations: number;
  readonly active: number;
}

export interface RouterInput {
  /** as read, with the stored status */
  readonly object: RawObject;
  readonly issues: readonly Issue[];
  /** everybody may place external calls */
  readonly openExternal: boolean;
  /** undefined: nothing has ever been accepted; the stored sets stay */
  readonly sets?: readonly SetInput[];
  /** that every pod must run; undefined when there is none */
  readonly revision?: string;
  /** of the spec that the rest is about; undefined: none was decided yet */
  readonly generation?: number;
  /** the revision's files are written */
  readonly stored: boolean;
  /** all objects of the last accepted spec are written */
  readonly applied: boolean;
  /** the new list would have been empty: the last one serves */
  readonly keptLastList: boolean;
  /** the revision did not come out right on this pod and is not served: `restored` is */
  readonly halt?: {
    readonly revision: string;
    readonly pod: string;
    readonly message: string;
    readonly restored: string;
    /** the change is being tried again */
    readonly trying: boolean;
    /** it is not tried again before an edit: pods ended by it */
    readonly final: boolean;
  };
  /** what asked for all pods to be read, and was handled last */
  readonly reloadHandled?: string;
  /** what could not be rendered or written */
  readonly failure?: { readonly reason: Reason; readonly message: string };
  /** wanted */
  readonly replicas: number;
  readonly workload?: WorkloadView;
  readonly pods: readonly PodInput[];
  /** label selector of the pods, as text */
  readonly selector: string;
  /** ISO 8601 */
  readonly now: string;
}

/** What the ready pods of one router report of one backend: per pod that was read, its destinations of that backend. */
export interface BackendUse {
  readonly router: Key;
  readonly pods: readonly (readonly ObservedDestination[] | undefined)[];
}

/** What is known of a backend that takes no new calls. */
export interface DrainView {
  /** of the routers, with it; undefined: not every pod has told */
  readonly calls: number | undefined;
  /** every pod was read back without it, before the calls were counted */
  readonly leftOut: boolean;
}

export interface BackendInput {
  readonly object: RawObject;
  readonly issues: readonly Issue[];
  readonly endpoints: readonly Endpoint[];
  readonly uses: readonly BackendUse[];
  /** with `management.ami`: one for each address */
  readonly managers?: readonly AmiView[];
  /** while it takes no new calls */
  readonly drain?: DrainView;
  /** ISO 8601 */
  readonly now: string;
}
