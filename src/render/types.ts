/** What rendering gives: files and objects, and what a running Kamailio must be read back with. */
import type { RawObject } from "../api/index.ts";

/** One line of `dispatcher.list`, and what `dispatcher.list` must answer for it. */
export interface DispatcherEntry {
  readonly setId: number;
  readonly uri: string;
  /** Kamailio's numeric flags as written in the file: 0, or 4 (disabled by the administrator) */
  readonly flags: number;
  readonly priority: number;
  readonly attrs: string;
}

/**
 * A data table that has a file and a reload RPC. `generation` is the hash of the table's content and is itself a row of
 * the table (a certificate's is shown in a handshake): reading it back proves which content a pod runs.
 */
export interface DataTable {
  readonly name: string;
  /** tls: the certificate in the mounted Secret; its file holds the hash only, and a handshake at `port` reads it back */
  readonly kind: "mtree" | "htable" | "address" | "tls";
  readonly file: string;
  readonly generation: string;
  readonly port?: number;
}

/** All data every pod of a router must run. */
export interface DesiredData {
  /** hash over dispatcher entries and table generations: SipRouter.status.revision */
  readonly revision: string;
  readonly dispatcher: readonly DispatcherEntry[];
  readonly tables: readonly DataTable[];
  /** control sockets of the media proxy, as Kamailio names them; not part of the revision */
  readonly mediaProxies?: readonly string[];
  /** what PBXes that register themselves are registered as: their contacts are read; not part of the revision */
  readonly registrants?: readonly string[];
}

/** The files of a router. Keys are file names without folder: they become ConfigMap keys. */
export interface RenderedFiles {
  /** `kamailio.cfg`, the drain script, with TLS its settings; depends on structure only */
  readonly structure: Readonly<Record<string, string>>;
  readonly structureHash: string;
  /** `dispatcher.list`, the db_text tables, ...; reloadable */
  readonly data: Readonly<Record<string, string>>;
  /** reloadable files that hold secrets: keys of the Secret `<router>-credentials`; mounted beside `data` */
  readonly secret: Readonly<Record<string, string>>;
  readonly desired: DesiredData;
}

export interface RenderedRouter {
  readonly files: RenderedFiles;
  /** all objects the router owns, for server-side apply, in apply order */
  readonly objects: readonly RawObject[];
}
