/**
 * The RPC methods that the control port serves; every other one answers 403. Kamailio has methods that end it
 * (`core.kill`) or crash it when called wrongly, so this is an allow-list.
 */
export const rpcMethods = [
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
  "dlg.stats_active",
  "htable.delete",
  "htable.get",
  "htable.reload",
  "htable.seti",
  "htable.sets",
  "mtree.match",
  "mtree.reload",
  "mtree.summary",
  "permissions.addressDump",
  "permissions.addressReload",
  "permissions.domainDump",
  "permissions.subnetDump",
  "stats.fetch",
  "stats.get_statistics",
  "tls.info",
  "tls.list",
  "tls.reload",
] as const;
export type RpcMethod = (typeof rpcMethods)[number];

/** Bytes of a request body; the longest that the operator writes is a destination of 1,000 bytes. */
export const MAX_RPC_BODY = 4096;
