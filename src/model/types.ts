/** What goes in (a snapshot), what comes out (a resolved router), and what may be wrong with it (issues). */
import type {
  Algorithm,
  PbxBackend,
  RawObject,
  Reason,
  SipRouter,
  ObjectRef,
  Transport,
  AdminState,
  Key,
} from "../api/index.ts";

/** In the message of an issue: the answer is on its way, and nobody is told of it before. */
export const NOT_LOOKED_UP = "has not been looked up yet";

/** Everything the pipeline may look at, read from the caches at one moment. Never mutated (frozen in tests). */
export interface Snapshot {
  readonly routers: readonly RawObject[];
  readonly backends: readonly RawObject[];
  readonly services: readonly RawObject[];
  readonly endpointSlices: readonly RawObject[];
  readonly secrets: readonly RawObject[];
  /** DNS name (lower case) -> addresses, or an error text. Names that are not yet looked up are absent. */
  readonly names: ReadonlyMap<string, { addresses: readonly string[] } | { error: string }>;
  /** key of a PbxBackend that registers itself -> its contacts, as the routers that use it know them; sorted */
  readonly contacts?: ReadonlyMap<Key, readonly Contact[]>;
  /** key of a SipRouter -> the IP version of its pods' addresses, where pods are there and have one */
  readonly families?: Families;
}

/** A Kamailio listens on its pod's address: it reaches, and is reached by, addresses of that IP version only. */
export type Families = ReadonlyMap<Key, 4 | 6>;

/** Where a PBX that registered is reached (RFC 3261 10). */
export interface Contact {
  /** as it gave it */
  readonly uri: string;
  /** `sip:` URI of the address that the REGISTER came from */
  readonly received?: string;
}

/**
 * One thing that is wrong with an object. `transient`: it may mend itself without an edit of this object (a reference
 * that is not there yet). An issue that is not transient makes `Accepted=False`, a transient one `ResolvedRefs=False`.
 */
export interface Issue {
  readonly object: ObjectRef;
  /** JSON-path-like: `spec.routes[2].match.extensions[0]`; "" when the whole object is meant. */
  readonly path: string;
  readonly reason: Reason;
  /** Names what is wrong and the remedy, one or two sentences. */
  readonly message: string;
  readonly transient: boolean;
}

/** One SIP address that a backend stands for at this moment (host is always an IP, never a name). */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly transport: Transport;
  /** false: the EndpointSlice says not ready or terminating: no new calls. */
  readonly ready: boolean;
  /** not ready because it is terminating, and still answers its readiness probe: takes calls when nobody else of its set is there */
  readonly serving?: boolean;
}

export interface ResolvedBackend {
  readonly ref: ObjectRef;
  readonly object: PbxBackend;
  readonly adminState: AdminState;
  readonly endpoints: readonly Endpoint[];
  /** of a trunk that challenges */
  readonly login?: Login;
  /** of a PBX that registers itself; absent while its Secret is not there */
  readonly registrant?: Login;
}

/** What a challenge is answered with. Secret. */
export interface Login {
  /** of the Secret, known to nobody who may not read it: its uid */
  readonly salt: string;
  readonly username: string;
  /** one character for each byte */
  readonly password: string;
}

export interface ResolvedMember {
  readonly backend: ResolvedBackend;
  readonly priority: number;
  readonly weight?: number;
}

export interface ResolvedSet {
  readonly name: string;
  readonly id: number;
  readonly algorithm: Algorithm;
  /** sorted by priority, then backend name */
  readonly members: readonly ResolvedMember[];
  /** all that the set names or selects, usable at the moment or not: what a router has to be able to do goes by them */
  readonly named: readonly PbxBackend[];
}

/** SHA-256 of certificates as DER, hexadecimal. */
export interface ResolvedTls {
  /** the listener whose certificate all TLS listeners show, and its port */
  readonly listener: string;
  readonly port: number;
  /** the certificate and its issuers, in this order */
  readonly chain: readonly string[];
  /** `ca.crt` of the Secret, sorted: what backends are verified against */
  readonly authorities?: readonly string[];
}

export interface ResolvedRouter {
  readonly object: SipRouter;
  /** of routers with a TLS listener */
  readonly tls?: ResolvedTls;
  readonly sets: readonly ResolvedSet[];
  /** with `authentication`: the users of its Secrets */
  readonly credentials?: Credentials;
}

export interface Credentials {
  /** of the Secrets, known to nobody who may not read them: their uids */
  readonly salt: string;
  /** with `authentication.domains`: all of them, sorted */
  readonly domains?: readonly string[];
  /**
   * Sorted by domain, then user; `ha1`: 32 hexadecimal digits, MD5 of user, realm and password (RFC 2617 3.2.2.2), where the
   * domain is the realm when there is one.
   */
  readonly users: readonly { readonly user: string; readonly ha1: string; readonly domain?: string }[];
}

/**
 * `router` is absent when an issue makes it unusable: a wrong spec (not transient), or a Secret without which its pods
 * cannot start, or no usable backend at all (transient). What served before goes on serving.
 */
export interface Resolution {
  readonly router?: ResolvedRouter;
  readonly issues: readonly Issue[];
  /** names of Secrets of `authentication.domains` that are not there or of no use: what was there before may stand in for each */
  readonly unusable?: readonly string[];
}
