/** Where a Kamailio container finds its files, and the names shared by the renderer, the runner and the controller. */

/** kamailio.cfg: ConfigMap `<router>-kamailio-<structureHash>`, immutable */
export const STRUCTURE_DIR = "/etc/sip-router/structure";
/** dispatcher.list and db_text tables: ConfigMap `<router>-dispatcher`, updated in place. Never mounted with subPath. */
export const DATA_DIR = "/etc/sip-router/data";
/** control.cfg (the RPC token as a cfg define): Secret `<router>-control` */
export const CONTROL_DIR = "/etc/sip-router/control";
/** one folder per TLS listener: `<TLS_DIR>/<listener>/tls.crt` and `tls.key` */
export const TLS_DIR = "/etc/sip-router/tls";
/** writable: pid file, sockets (emptyDir, memory) */
export const RUN_DIR = "/run/sip-router";

/**
 * Of the Kamailio container: the address of loopback in the pod's network. Where pods share one loopback, as local processes
 * do, whoever runs them gives each pod another address.
 */
export const LOOPBACK_VARIABLE = "SIP_ROUTER_LOOPBACK";

export { CONTROL_PORT, PEER_PORT } from "../api/ports.ts";

export const labels = {
  router: "siprouter.dev/router",
  component: "app.kubernetes.io/component",
  managedBy: "app.kubernetes.io/managed-by",
} as const;
export const annotations = {
  /** on the pod template: a change rolls the Deployment */
  structureHash: "siprouter.dev/structure-hash",
  /** on the data ConfigMap and on each Pod */
  revision: "siprouter.dev/revision",
  /** on the data ConfigMap when it holds the last good revision because this one did not come out right */
  halted: "siprouter.dev/halted-revision",
  /** on the data ConfigMap: the spec that was accepted last, JSON, deflated, in base64 */
  acceptedSpec: "siprouter.dev/accepted-spec",
  /** on the data ConfigMap while another spec was proven last than the one that was accepted last: that one, likewise */
  provenSpec: "siprouter.dev/proven-spec",
  /** on a SipRouter: when it changes all pods are read back at once, and what differs is put right */
  reloadRequested: "siprouter.dev/reload-requested-at",
} as const;
/**
 * Where each domain of a router has users of its own, PBXes that register themselves are kept in this one (RFC 2606 2): it is no
 * tenant's.
 */
export const PBX_DOMAIN = "pbx.invalid";
export const MANAGED_BY = "sip-router-operator";
export const FIELD_MANAGER = "sip-router-operator";

/**
 * The RPC methods that the control port serves; every other one answers 403. Kamailio has methods that end it
 * (`core.kill`) or crash it when called wrongly, so this is an allow-list.
 */
export const rpcMethods = [
  "cnt.grp_get_all",
  "core.psx",
  "core.shmmem",
  "core.uptime",
  "core.version",
  "dispatcher.add",
  "dispatcher.list",
  "dispatcher.ping_active",
  "dispatcher.reload",
  "dispatcher.remove",
  "dispatcher.set_state",
  "dlg.briefing",
  "dlg.dlg_list",
  "dlg.end_dlg",
  "dlg.stats_active",
  "htable.delete",
  "htable.get",
  "htable.reload",
  "htable.seti",
  "htable.sets",
  "htable.setxi",
  "mtree.match",
  "mtree.reload",
  "mtree.summary",
  "permissions.addressDump",
  "permissions.addressReload",
  "permissions.domainDump",
  "permissions.subnetDump",
  "rtpengine.ping",
  "rtpengine.show",
  "sipdump.enable",
  "tls.info",
  "tls.list",
  "tls.reload",
  "ul.dump",
  "ul.lookup",
] as const;

/**
 * Sends a request of Kamailio's own and waits for the answer: served for OPTIONS only, with From and To as its headers (the
 * one parameter that may hold CR LF).
 */
export const PING_METHOD = "tm.t_uac_wait_block";

/**
 * The table that a capture of one call fills: `session` (expires), `first` (a regular expression: which request begins a
 * captured call), `calls` and `count` (counters), `<session>:<Call-ID>` (a captured call), 1, 2, … (the messages).
 * `maxMessages` of about 4 KiB each bound its memory.
 */
export const CAPTURE = { table: "capture", maxSeconds: 600, maxMessages: 500, maxCalls: 20 } as const;

/**
 * States of a dispatcher destination, as its file and `dispatcher.add` take them (DS_DISABLED_DST: no calls, no OPTIONS;
 * DS_INACTIVE_DST and DS_TRYING_DST, both with DS_PROBING_DST: asked by OPTIONS).
 */
export const DISABLED_FLAG = 4;
export const INACTIVE_FLAGS = 1 | 8;
export const TRYING_FLAGS = 2 | 8;

/** Bytes of a request body; the longest that the operator writes is a destination of 1,000 bytes. */
export const MAX_RPC_BODY = 4096;
