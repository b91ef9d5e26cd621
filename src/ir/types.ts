/** The plan of one router: what Kamailio must be (structure) and what it must know (data). */
import type { Algorithm, Callers, SipRouterSpec, Transport } from "../api/index.ts";

/** All that `kamailio.cfg` depends on. A change here rolls the Deployment. */
export interface StructurePlan {
  readonly listeners: readonly {
    readonly name: string;
    readonly transport: Transport;
    readonly port: number;
    readonly tls: boolean;
  }[];
  readonly controlPort: number;
  readonly advertise?: string;
  /** several replicas advertise it: a request may come in at another one than the call that it is of */
  readonly sharedAddress?: boolean;
  readonly failover: SipRouterSpec["failover"];
  readonly healthCheck: SipRouterSpec["healthCheck"];
  readonly registration: SipRouterSpec["registration"];
  readonly authentication?: AuthenticationPlan;
  readonly accessControl: boolean;
  readonly rateLimit?: boolean;
  readonly topologyHiding: boolean;
  /** a set has the algorithm CallLoad */
  readonly callLoad?: boolean;
  /** a backend has a limit of calls */
  readonly maxCalls?: boolean;
  /** a backend has credentials for its challenges */
  readonly trunks?: boolean;
  /** a backend registers itself, and is asked for its password in this realm */
  readonly registrants?: { readonly realm: string };
  /**
   * There are TLS listeners; the name of the one whose certificate all show. `ca`: hash of the authorities that backends
   * are verified against; absent: they are not verified.
   */
  readonly tls?: { readonly listener: string; readonly ca?: string };
  readonly rtpengine?: readonly string[];
  readonly workers: number;
  readonly shmMemoryMiB: number;
}

/** Callers are asked who they are, in one realm; or each in that of his domain: which there are is data. */
export type AuthenticationPlan =
  | { readonly realm: string; readonly domains?: undefined }
  | { readonly realm?: undefined; readonly domains: true };

/**
 * One dispatcher destination. The set id is Kamailio's, one for each tier (setId.ts): a destination that stays keeps its
 * run-time state.
 */
export interface Destination {
  readonly setId: number;
  /** `sip:192.0.2.1:5060;transport=udp`; `sips:` is never used. */
  readonly uri: string;
  readonly host: string;
  readonly port: number;
  readonly transport: Transport;
  readonly priority: number;
  readonly weight?: number;
  /** the PbxBackend it comes from, "namespace/name" */
  readonly backend: string;
  /** adminState Disabled: in the list (so that it is known and shown) but disabled: no calls, no OPTIONS. */
  readonly disabled: boolean;
}

export interface DispatcherSetPlan {
  readonly name: string;
  readonly id: number;
  readonly algorithm: Algorithm;
  /**
   * priorities of all destinations but those that drain, ascending. What is disabled keeps its tier: to enable it again
   * changes one state, not the routes.
   */
  readonly tiers: readonly number[];
  readonly destinations: readonly Destination[];
}

/**
 * Which called numbers begin with `digits`: those of exactly `length` characters, all further ones decimal digits
 * (1*23 is not in the range 1000-1999), or those of any length when `length` is absent.
 */
export interface NumberPattern {
  readonly digits: string;
  readonly length?: number;
}

/** One row of the lookup table, overlaps already resolved by the documented precedence. */
export interface RouteEntry {
  /** 0: any domain; else the number of the tenant (see `domains`) */
  readonly tenant: number;
  readonly pattern: NumberPattern;
  /** name of the route, or "external" */
  readonly route: string;
  readonly set: string;
  readonly callers: Callers;
  readonly strip: number;
  readonly prefix: string;
}

export interface DataPlan {
  readonly sets: readonly DispatcherSetPlan[];
  /** domain -> tenant number (1 to 9999, in no order); domains that share their routes share the number */
  readonly domains: readonly { readonly domain: string; readonly tenant: number }[];
  /** sorted by tenant, then pattern */
  readonly routes: readonly RouteEntry[];
  /** what TLS listeners show: hash of the chain of certificates, and the port of one of them */
  readonly certificate?: { readonly port: number; readonly generation: string };
  readonly access: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  /** of each source address; there when the structure has `rateLimit` */
  readonly limits?: { readonly requestsPerSecond: number; readonly banSeconds: number };
  /** there when the structure has `maxCalls` */
  readonly caps?: readonly CallCap[];
  /** there when the structure has `authentication` */
  readonly credentials?: CredentialsPlan;
  /** there when the structure has `trunks` */
  readonly trunks?: TrunksPlan;
  /** there when the structure has `registrants` */
  readonly registrants?: RegistrantsPlan;
}

/** PBXes that register themselves. Secret: goes into a Secret only. */
export interface RegistrantsPlan {
  /** see {@link CredentialsPlan} */
  readonly salt: string;
  /** sorted by user; `ha1`: as in {@link CredentialsPlan}; `backend`: key of the PbxBackend */
  readonly users: readonly { readonly user: string; readonly ha1: string; readonly backend: string }[];
}

/** What challenges of trunks are answered with. Secret: goes into a Secret only. */
export interface TrunksPlan {
  /** see {@link CredentialsPlan} */
  readonly salt: string;
  /** sorted by set, then URI; `password`: one character for each byte */
  readonly logins: readonly {
    readonly setId: number;
    readonly uri: string;
    readonly username: string;
    readonly password: string;
  }[];
}

/** Most calls that one Kamailio sends to a backend at a time, for one of its destinations; sorted by URI. */
export interface CallCap {
  readonly uri: string;
  /** name of the PbxBackend: its destinations share the limit */
  readonly backend: string;
  readonly limit: number;
}

/** Who may authenticate. Secret: goes into a Secret only. */
export interface CredentialsPlan {
  /** makes the hash of this table useless to who guesses passwords by it */
  readonly salt: string;
  /** where the structure has `authentication.domains`: the domains that have users, sorted */
  readonly domains?: readonly string[];
  /** sorted by domain, then user; `ha1`: RFC 2617 3.2.2.2, 32 hexadecimal digits in lower case; `domain`: one of `domains` */
  readonly users: readonly { readonly user: string; readonly ha1: string; readonly domain?: string }[];
}

/** What the Deployment and Services depend on beside the structure. */
export interface WorkloadPlan {
  readonly replicas: number;
  readonly image: string;
  readonly resources?: Record<string, unknown>;
  readonly podTemplate?: Record<string, unknown>;
  readonly service: SipRouterSpec["service"];
  readonly drainTimeoutSeconds: number;
  readonly tlsSecrets: readonly {
    readonly listener: string;
    readonly secretName: string;
    /** the Secret has `ca.crt` */
    readonly authorities: boolean;
  }[];
}

export interface RouterPlan {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly structure: StructurePlan;
  readonly data: DataPlan;
  readonly workload: WorkloadPlan;
}
