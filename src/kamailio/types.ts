/**
 * kamailio: the control channel to one running Kamailio (JSON-RPC over HTTP on the control port) and the parsers of
 * what it answers, tolerant of every version from 5.6 to 6.1.
 */

export type DestinationState = "Active" | "Inactive" | "Probing" | "Disabled";

/** One destination as a running Kamailio reports it (`dispatcher.list`). */
export interface ObservedDestination {
  readonly setId: number;
  readonly uri: string;
  readonly state: DestinationState;
  /** the letters Kamailio prints, e.g. "AP", "IP", "DX", "TP" */
  readonly flags: string;
  readonly priority: number;
  readonly attrs: string;
  /** of OPTIONS, milliseconds; absent until measured */
  readonly latencyMs?: { readonly average: number; readonly max: number; readonly last: number };
}

/** A contact that is registered with a Kamailio (module usrloc, RPC `ul.lookup`). */
export interface Registration {
  readonly user: string;
  /** URI of the phone as it gave it */
  readonly contact: string;
  /** URI where it is reached, when that is another: it is behind NAT */
  readonly received?: string;
  /** until it is forgotten, seconds; 0: it is over */
  readonly expiresSeconds: number;
  readonly userAgent?: string;
  /** it is on a connection: only the replica that has it reaches it */
  readonly connected: boolean;
  /** of the last REGISTER, whichever replica had it: seconds since the epoch */
  readonly modifiedAt: number;
}

/** What one running Kamailio runs, read back. */
export interface PodReading {
  readonly destinations: readonly ObservedDestination[];
  /** table name -> its generation row, or the generation of the certificate that is shown; absent when there is none */
  readonly tables: Readonly<Record<string, string>>;
  readonly version?: string;
  readonly draining: boolean;
  /** instances of the media proxy, and whether they answered a ping */
  readonly mediaProxies?: readonly { readonly socket: string; readonly answers: boolean }[];
  /** user of a PBX that registers itself -> its contacts, none when it is not registered */
  readonly contacts?: Readonly<Record<string, readonly Registration[]>>;
  /** started and not yet told which destinations do not answer, as the other pods know */
  readonly fresh?: boolean;
  /** active dialogs */
  readonly calls?: number;
  /** part of the shared memory, 0 to 1 */
  readonly memoryUsed?: number;
}

export interface ControlAddress {
  readonly host: string;
  readonly port: number;
  readonly token: string;
}

/**
 * Control of one Kamailio. Calls to one address are serialised by the implementation: overlapping reloads can corrupt
 * shared memory up to Kamailio 6.1.4. Every method throws OperatorError SIPR_RPC_*.
 */
export interface Control {
  /** @param workMs how long Kamailio may wait for others before it answers, milliseconds, beside the usual time of a request */
  call(
    address: ControlAddress,
    method: string,
    params?: readonly (string | number)[],
    workMs?: number,
  ): Promise<unknown>;
}
