/** Modules and their parameters. */
import type { StructurePlan } from "../../ir/types.ts";
import { whereAvailable } from "./versions.ts";
import { gaugeParameters } from "./messageCounters.ts";
import { integer, pingFrom } from "./quote.ts";
import { locationModule } from "./registrar.ts";
import { replicatedTables, replicationModules } from "./replication.ts";
import { MTREE_CHARS } from "./routeTables.ts";
import { hidingModule } from "./topology.ts";

/** All in Debian's package `kamailio`. */
const modules = [
  "tm", "tmx", "sl", "rr", "pv", "maxfwd", "sanity", "siputils", "textops", "textopsx", "nathelper",
  "cfgutils", "path",
  "dialog", "db_text", "htable", "mtree", "dispatcher", "xhttp", "jsonrpcs", "xhttp_prom", "ctl", "corex",
] as const; // prettier-ignore

/**
 * Answers to OPTIONS that show a PBX alive, beside 2xx: it refuses the request (401, 403, 407), the address (404, 480,
 * 484), the method (405, 501) or a header (415, 420, 488), but it answers. Never class 4: that counts the 408 with
 * which a timeout is reported. Never 503: it says that it takes no calls.
 */
const aliveCodes = [401, 403, 404, 405, 407, 415, 420, 480, 484, 486, 488, 501] as const;

type Parameter = readonly [module: string, name: string, value: string | number];

const written = (parameters: readonly Parameter[]): readonly string[] =>
  parameters.map(
    ([module, name, value]) =>
      `modparam("${module}", "${name}", ${typeof value === "number" ? integer(`${module} ${name}`, value) : `"${value}"`})`,
  );

export const renderModules = (structure: StructurePlan): readonly string[] => [
  ...modules.flatMap((module) => [
    ...(module === "htable" ? replicationModules(structure) : []),
    ...(module === "nathelper" ? locationModule(structure) : []),
    ...(module === "dialog" ? hidingModule(structure) : []),
    `loadmodule "${module}.so"`,
    ...(module === "htable" ? replicatedTables(structure) : []),
  ]),
  "",
  ...written(transactionParameters(structure)),
  ...written(dataParameters),
  ...written(dispatcherParameters(structure)),
  ...whereAvailable("retainLatency", written([["dispatcher", "ds_retain_latency_stats", 1]])),
  ...written(controlParameters),
  "",
];

const transactionParameters = ({ failover }: StructurePlan): readonly Parameter[] => [
  ["tm", "fr_timer", failover.timeoutSeconds * 1000],
  // RFC 3261 16.6, timer C: more than 3 minutes
  ["tm", "fr_inv_timer", 185_000],
  // a queue or an announcement may take long before it answers: RFC 3261 13.3.1.1 asks it for a reply each minute
  ["tm", "max_inv_lifetime", 3_600_000],
  ["tm", "failure_reply_mode", 3],
  // else a refused TCP connection answers the caller 477 without failover
  ["tm", "failure_exec_mode", 1],
  ["tm", "auto_inv_100", 1],
  ["tm", "reparse_on_dns_failover", 0],
  ["rr", "enable_double_rr", 1],
  ["rr", "append_fromtag", 0],
  ["path", "use_received", 1],
  ["dialog", "enable_stats", 1],
  ["dialog", "dlg_match_mode", 0],
];

const dataParameters: readonly Parameter[] = [
  // look at the file's time at each query; without it a table is read once and never again
  ["db_text", "db_mode", 1],
  ["mtree", "db_url", "text://SIPR_DATA_DIR"],
  ["mtree", "char_list", MTREE_CHARS],
  ["mtree", "pv_value", "$var(found)"],
  // calls read one while the other is loaded, see route[CONTROL_MTREE]
  ["mtree", "mtree", "name=ext0;dbtable=ext"],
  ["mtree", "mtree", "name=ext1;dbtable=ext"],
  ["htable", "db_url", "text://SIPR_DATA_DIR"],
  ["htable", "htable", "domains=>size=8;dbtable=domains;"],
  ["htable", "htable", "st=>size=2;initval=0;"],
  ["htable", "htable", "challenged=>size=8;autoexpire=60;"],
];

/** Failover on, OPTIONS to every destination, one timer process, no wait between reloads (the operator serialises them). */
const dispatcherParameters = ({ healthCheck, advertise }: StructurePlan): readonly Parameter[] => [
  ["dispatcher", "list_file", "SIPR_DATA_DIR/dispatcher.list"],
  ["dispatcher", "flags", 2],
  // of the destination that ds_is_from_list has found
  ["dispatcher", "setid_pvname", "$var(set)"],
  ["dispatcher", "xavp_dst_mode", 1],
  ["dispatcher", "reload_delta", 0],
  ["dispatcher", "ds_probing_mode", 1],
  ["dispatcher", "ds_timer_mode", 1],
  ["dispatcher", "ds_ping_latency_stats", 1],
  ["dispatcher", "ds_ping_from", pingFrom({ advertise })],
  ["dispatcher", "ds_ping_interval", healthCheck.intervalSeconds],
  ["dispatcher", "ds_probing_threshold", healthCheck.failureThreshold],
  ["dispatcher", "ds_inactive_threshold", healthCheck.successThreshold],
  ["dispatcher", "ds_ping_reply_codes", ["class=2", ...aliveCodes.map((code) => `code=${code}`)].join(";")],
];

const controlParameters: readonly Parameter[] = [
  ["cfgutils", "lock_set_size", 1],
  ["jsonrpcs", "transport", 1],
  ["jsonrpcs", "pretty_format", 0],
  ["xhttp_prom", "xhttp_prom_stats", "all"],
  // bytes; by default a third of the private memory, for each answer: where a configuration is long there is no such piece left
  ["xhttp_prom", "xhttp_prom_buf_size", 262_144],
  ...gaugeParameters,
  ["ctl", "binrpc", "unix:SIPR_RUN_DIR/ctl.sock"],
  ["ctl", "mode", 0o600],
];
