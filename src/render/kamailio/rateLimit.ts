/**
 * How many requests a source may send: who exceeds it is banned for a while. Sources are addresses; of IPv6 they are
 * networks.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { exceptPeers } from "./replication.ts";
import { controlTokenInCfg } from "./tokens.ts";

/** Sources share this many buckets, so that no flood of forged sources takes more memory. */
const BUCKETS = 16_384;

/** Line of `request_route`, before all else. */
export const limitFirst = ({ rateLimit }: StructurePlan): string =>
  rateLimit === true ? "\n  if (af == INET6) route(RATE_LIMIT_6);\n  else route(RATE_LIMIT);" : "";

export const renderRateLimit = (structure: StructurePlan): readonly string[] =>
  structure.rateLimit === true ? [...modules, routes(structure)] : [];

const modules = [
  'modparam("htable", "htable", "limits=>size=2;dbtable=limits;")',
  // in the second after the next it counts anew: expiry is in whole seconds
  'modparam("htable", "htable", "rate=>size=12;autoexpire=1;initval=0;")',
  'modparam("htable", "htable", "banned=>size=10;autoexpire=300;")',
  'modparam("counters", "script_counter", "sipr.sources_banned Sources that exceeded their rate")',
  'modparam("counters", "script_counter", "sipr.banned_dropped Requests of banned sources, dropped")',
];

const countSource = (structure: StructurePlan, source: string): string => `${exceptPeers(structure)}
  $var(bucket) = "${controlTokenInCfg}" + ${source};
  $var(bucket) = $(var(bucket){s.md5}{s.corehash,${BUCKETS}});
  if ($sht(banned=>$var(bucket)) == ${source}) {
    route(BANNED);
    return;
  }
  $var(second) = $Ts & 1;
  if ($shtinc(rate=>$var(bucket).$var(second)) <= $sht(limits=>requests)) return;
  if (ds_is_from_list("-1", "3")) return;
  # one of the processes that count too many at the same moment bans
  sht_lock("banned=>$var(bucket)");
  if ($sht(banned=>$var(bucket)) == ${source}) {
    sht_unlock("banned=>$var(bucket)");
    route(BANNED);
    return;
  }
  $sht(banned=>$var(bucket)) = ${source};
  $shtex(banned=>$var(bucket)) = $sht(limits=>ban);
  sht_unlock("banned=>$var(bucket)");
  cnt_inc("sipr.sources_banned");
  if (is_method("ACK")) exit;
  if (is_method("OPTIONS") && $pr == "udp" && $var(terse) == 1) exit;
  append_to_reply("Retry-After: $sht(limits=>ban)\\r\\n");
  sl_send_reply("503", "Too Many Requests");
  exit;`;

/**
 * Counts the requests of a source in a calendar second. A bucket is known by a secret hash, so that nobody can choose an
 * address that shares a bucket with somebody else's. Who has an IPv6 address has 2^64 of them: his network counts, without
 * the backends that may be in it.
 */
const routes = (structure: StructurePlan): string => `
route[RATE_LIMIT] {${countSource(structure, "$si")}
}

# The first four groups of the address (RFC 4291 2.5.4). Of an address that begins with one group a "::" is two groups when
# five or more are behind it, else at least three.
route[RATE_LIMIT_6] {
  if (ds_is_from_list("-1", "3")) return;
  if ($si =~ "::([^:]+:){4}") $var(network) = $(si{s.replace,::,:0:0:});
  else $var(network) = $(si{s.replace,::,:0:0:0:});
  $var(network) = $(var(network){s.select,0,:}) + ":" + $(var(network){s.select,1,:}) + ":" + $(var(network){s.select,2,:}) + ":" + $(var(network){s.select,3,:});${countSource(structure, "$var(network)")}
}

# Calls that run go on and can be ended: within them as much is served as without a ban. The rest is dropped without an answer.
route[BANNED] {
  if (is_method("CANCEL|ACK") && t_check_trans()) return;
  if (has_totag() && is_known_dlg()) {
    if (is_method("BYE")) return;
    $var(second) = $Ts & 1;
    if ($shtinc(rate=>$var(bucket).$var(second)) <= $sht(limits=>requests)) return;
  }
  cnt_inc("sipr.banned_dropped");
  exit;
}
`;
