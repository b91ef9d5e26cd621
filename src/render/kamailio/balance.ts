/**
 * Calls that run are counted for each destination (algorithm CallLoad) and for each backend with a limit (maxCalls), in
 * profiles of the module dialog: a call counts from the moment it is sent there until it ends in whatever way, or goes
 * on to another destination. Each Kamailio counts its own calls. To count a profile takes time in proportion to the
 * calls in it: routers without these features have nothing of this.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { endMedia } from "./media.ts";
import { RETRY_AFTER } from "./replies.ts";
import { CALL_LOAD } from "./routeTables.ts";

export const countsCalls = ({ callLoad, maxCalls }: StructurePlan): boolean => callLoad === true || maxCalls === true;

/** Right after the routing rule was taken from the table. */
export const readRule = ({ callLoad }: StructurePlan): string =>
  callLoad === true
    ? `
  $var(least) = 0;
  if ($var(rule) =~ "=${CALL_LOAD}(;|$)") {
    $var(rule) = $(var(rule){re.subst,/=${CALL_LOAD}(;|$)/=4\\1/g});
    if (is_method("INVITE")) $var(least) = 1;
  }`
    : "";

/** Right after destinations were selected. */
export const selectLeast = ({ callLoad }: StructurePlan): string =>
  callLoad === true ? "\n  if ($var(least) == 1) route(LEAST_CALLS);" : "";

/** Inside the block of a new INVITE, after its dialog was made. */
export const admitFirst = (structure: StructurePlan): string =>
  countsCalls(structure)
    ? `
    route(COUNT_CALL);
    if ($var(admitted) == 0) {
      t_newtran();
      append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
      t_reply("503", "Service Unavailable");
      exit;
    }`
    : "";

/** In the failure route, before the next destination is chosen, and after: `{` ... `}` around what sends there. */
export const releaseFailed = (structure: StructurePlan, indent = "  "): string =>
  countsCalls(structure) ? `\n${indent}if (is_method("INVITE")) route(UNCOUNT_CALL);` : "";
export const admitNext = (structure: StructurePlan): string =>
  countsCalls(structure)
    ? '\n    $var(admitted) = 1;\n    if (is_method("INVITE")) route(COUNT_CALL);\n    if ($var(admitted) == 0) {\n      route(NOBODY);\n      exit;\n    }'
    : "";

export function renderBalance(structure: StructurePlan): readonly string[] {
  if (!countsCalls(structure)) return [];
  const { callLoad = false, maxCalls = false } = structure;
  return `
max_while_loops=4096
modparam("dialog", "profiles_with_value", "calls")
${maxCalls ? 'modparam("htable", "htable", "caps=>size=8;dbtable=caps;")\nmodparam("cfgutils", "lock_set_size", 6)\n' : ""}
# $ru -> counted there, and $var(admitted); destinations that are full are passed over
route[COUNT_CALL] {
  $var(admitted) = 1;
  while ($var(admitted) == 1) {
    $avp(target) = "sip:" + $(ru{s.select,1,@});${maxCalls ? capCheck : ""}
    if ($var(admitted) == 1) {${callLoad ? '\n      set_dlg_profile("calls", "$avp(target)");' : ""}
      return;
    }
    if (ds_next_domain()) $var(admitted) = 1;
  }
}

route[UNCOUNT_CALL] {${callLoad ? '\n  unset_dlg_profile("calls", "$avp(target)");' : ""}${maxCalls ? capRelease : ""}
}

route[NOBODY] {${endMedia(structure)}
  append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
  t_reply("503", "Service Unavailable");
}
${callLoad ? leastCalls : ""}`.split("\n");
}

/** Rows of the table caps: destination -> `<limit>|<backend>`. */
const capCheck = `
    $var(cap) = $sht(caps=>$avp(target));
    if ($var(cap) != 0) {
      $var(limit) = $(var(cap){s.select,0,|}{s.int});
      $var(counted) = $(var(cap){s.select,1,|});
      lock("$var(counted)");
      get_profile_size("calls", "$var(counted)", "$var(calls)");
      if ($var(calls) < $var(limit)) set_dlg_profile("calls", "$var(counted)");
      else $var(admitted) = 0;
      unlock("$var(counted)");
    }`;

const capRelease = `
  $var(cap) = $sht(caps=>$avp(target));
  if ($var(cap) != 0) {
    $var(counted) = $(var(cap){s.select,1,|});
    unset_dlg_profile("calls", "$var(counted)");
  }`;

/** The first tier is in the order of round robin: its destination with the fewest calls changes places with the first. */
const leastCalls = `
route[LEAST_CALLS] {
  $var(tier) = $xavp(_dsdst_=>grp);
  $var(first) = $xavp(_dsdst_=>uri);
  $var(best) = $var(first);
  $var(place) = 0;
  $var(fewest) = -1;
  $var(i) = 0;
  while ($xavp(_dsdst_[$var(i)]=>grp) == $var(tier)) {
    $var(uri) = $xavp(_dsdst_[$var(i)]=>uri);
    get_profile_size("calls", "$var(uri)", "$var(calls)");
    if ($var(fewest) < 0 || $var(calls) < $var(fewest)) {
      $var(fewest) = $var(calls);
      $var(best) = $var(uri);
      $var(place) = $var(i);
    }
    $var(i) = $var(i) + 1;
  }
  if ($var(place) == 0) return;
  $xavp(_dsdst_[$var(place)]=>uri) = $var(first);
  $xavp(_dsdst_[0]=>uri) = $var(best);
  $ru = "sip:" + $rU + "@" + $(var(best){s.substr,4,0});
}
`;
