/**
 * cli/fleet: what the commands may know of a fleet is this one interface, in a cluster (`kubeFleet.ts`) or beside a
 * standalone (`stateFleet.ts`).
 */
import type { AdminState, PbxBackend, SipRouter } from "../../api/index.ts";

/** One Kamailio of a router. */
export interface FleetPod {
  readonly namespace: string;
  readonly router: string;
  readonly name: string;
  /** "" until assigned */
  readonly ip: string;
  readonly ready: boolean;
  /** the process runs: its control port may answer */
  readonly running: boolean;
  /** it was not started yet: it cannot have calls */
  readonly pending?: boolean;
  readonly terminating: boolean;
  /** "" when nothing is wrong with it */
  readonly message: string;
}

export interface Fleet {
  /** e.g. "namespace default of https://10.0.0.1:6443", for messages */
  readonly source: string;
  /** in the namespaces and with the labels asked for, sorted by namespace and name */
  routers(): Promise<readonly SipRouter[]>;
  /** in the namespaces asked for, sorted by namespace and name; labels choose routers only */
  backends(): Promise<readonly PbxBackend[]>;
  /** those that have ended for good are left out; sorted by name */
  pods(router: SipRouter): Promise<readonly FleetPod[]>;
  /** One control request; throws OperatorError SIPR_RPC_* or SIPR_FORBIDDEN. `workMs`: as of Control. */
  rpc(pod: FleetPod, method: string, params?: readonly (string | number)[], workMs?: number): Promise<unknown>;
  /** the data files that every pod must run; undefined when there are none yet */
  desired(router: SipRouter): Promise<Readonly<Record<string, string>> | undefined>;
  /** sets spec.adminState with the user's own rights, and returns the object as it is then; throws OperatorError when this source cannot */
  setAdminState(backend: PbxBackend, state: AdminState): Promise<PbxBackend>;
  /**
   * Asks the operator to read back every pod now and to put right what differs; `now` is RFC 3339. Returns the router as it is
   * then; undefined where that is done all the time and nobody is asked.
   */
  requestReload(router: SipRouter, now: string): Promise<SipRouter | undefined>;
  /** objects and files of a router for a bug report, as they are stored; Secrets are never among them */
  evidence(router: SipRouter): Promise<readonly Evidence[]>;
  /** what the operator itself has written, as far as it may be read */
  operatorEvidence(): Promise<readonly Evidence[]>;
  close(): void;
}

/** One entry of a bug report. */
export interface Evidence {
  /** file name, may have folders */
  readonly name: string;
  readonly content: string;
}

export const podNameOf = (pod: FleetPod): string => `${pod.namespace}/${pod.name}`;

/** on a SipRouter: its change makes the operator read back every pod */
export const reloadRequest = "siprouter.dev/reload-requested-at";
