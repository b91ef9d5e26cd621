/** From the called number to a dispatcher set: lookup, trust, selection, failover. */
import { DRAIN_TIER } from "../../ir/setId.ts";
import type { StructurePlan } from "../../ir/types.ts";
import { admitFirst, admitNext, countsCalls, readRule, releaseFailed, selectLeast } from "./balance.ts";
import { answerMedia, endMedia, exitMedia, offerMedia } from "./media.ts";
import { nameOwner, ownerInRoute } from "./handOver.ts";
import { groupOfRule, keepCaller, recordRoute } from "./nextHop.ts";
import { integer, refuse } from "./quote.ts";
import { isRegistrar, locationFirst } from "./registrar.ts";
import { RETRY_AFTER } from "./replies.ts";
import { forgetTrunk } from "./trunkCalls.ts";
import { answerTrunk, markTrunk, trunkRefused } from "./trunks.ts";
import { hideIn } from "./topology.ts";

/** $var(group) goes through the groups of $var(rule), and at last to the one of their set that drains, $var(draining). */
const firstGroup = (indent: string): string => `${indent}$var(i) = 0;
${indent}$var(group) = $(var(rule){s.select,0,=}{s.int});
${indent}$var(draining) = $var(group) / 100 * 100 + ${DRAIN_TIER};`;

/** Returns from the route after the last one. */
const nextGroup = (indent: string): string => `${indent}if ($var(group) == $var(draining)) return;
${indent}$var(i) = $var(i) + 1;
${indent}$var(group) = $(var(rule){s.select,$var(i),;}{s.select,0,=}{s.int});
${indent}if ($var(group) == 0) $var(group) = $var(draining);`;

export const renderDialplan = (structure: StructurePlan): readonly string[] =>
  `
# $var(user) -> $var(found), see the table ext; $var(found) is empty when nobody serves the number
route[LOOKUP] {
  $var(found) = "";
  $var(decimal) = 0;
  # most numbers; an expression takes four times as long
  if (is_numeric("$var(user)")) {
    $var(decimal) = 1;
  } else {
    # RFC 3966 5.1.5: a number of somebody else's plan
    if ($var(user) =~ ";phone-context=") return;
    # RFC 3261 25.1: a "#" is written %23; RFC 4694: a ported number has parameters
    $var(user) = $(var(user){s.select,0,;}{s.replace,%23,#});
    if (is_numeric("$var(user)")) $var(decimal) = 1;
  }
  $var(length) = $(var(user){s.len});
  # mtree looks no further than the first other character
  if ($var(length) > 32 || ($var(decimal) == 0 && !($var(user) =~ "^[0-9*#+]+$"))) return;
  if ($var(length) < 10) $var(length) = "0" + $var(length);
  # a variable that is assigned $null becomes 0
  $var(tenant) = $sht(domains=>$(rd{s.tolower}));
  if ($var(tenant) == 0) $var(tenant) = "0000";
  $var(tree) = $sht(st=>tree);
  route(LOOKUP_TENANT);
  if ($var(found) == "" && $var(tenant) != "0000") {
    $var(tenant) = "0000";
    route(LOOKUP_TENANT);
  }
}

route[LOOKUP_TENANT] {
  # exact (E) and range (R) rows, by length; a range holds decimal numbers only
  if (mt_match("ext$var(tree)", "$var(tenant)$var(length)$var(user)", "0")) {
    if ($var(decimal) == 1 || $(var(found){s.substr,0,1}) == "E") return;
    $var(found) = "";
  }
  if (!mt_match("ext$var(tree)", "$var(tenant)00$var(user)", "0")) $var(found) = "";
}

# A PBX without TLS is no place for sips:. A number of tel: is the user (RFC 3261 19.1.6), in the domain of the caller.
route[TO_SIP_URI] {
  if ($rz == "sips") {
    $ru = "sip" + $(ru{s.substr,4,0});
    return;
  }
  if (!($ru =~ "^tel:[0-9a-f*#+().-]+(;[a-z0-9=%+().;!~*'_-]*)?$")) {
    sl_send_reply("416", "Unsupported URI Scheme");
    exit;
  }
  $var(user) = $(rU{re.subst,/[().-]//g});
  if ($ru =~ ";") $var(user) = $var(user) + ";" + $(ru{s.after,;});
  $var(host) = "invalid";
  if ($fd != $null) $var(host) = $fd;
  $ru = "sip:" + $var(user) + "@" + $var(host);
}

route[DIALPLAN] {
  if ($rz != "sip") route(TO_SIP_URI);${locationFirst(structure)}
  if ($rU == $null) $var(user) = "";
  else $var(user) = $rU;
  route(LOOKUP);
  if ($var(found) == "") {
    sl_send_reply("404", "Not Found");
    exit;
  }
  if ($var(trusted) == 0 && $(var(found){s.substr,1,1}) == "T") {
    sl_send_reply("403", "Forbidden");
    exit;
  }
  $var(rule) = $(var(found){s.select,3,|});
  if ($var(backend) == 1) {
    ${isRegistrar(structure) ? "" : 'if ($(var(found){s.substr,1,1}) == "T") '}route(NOT_BACK);
  } else if (is_method("INVITE|SUBSCRIBE|REFER")) {
    route(ALIAS);
  }
  if ($(var(found){s.substr,2,4}) != "|0||") route(REWRITE);${hideIn(structure, "HIDE_CALL")}
  route(TO_SET);
}

# What comes from a destination of the set has no business there: a trunk's call to a number of nobody would go back to the
# telephone network, at your expense. Backends that share an address are told apart by their port.
route[NOT_BACK] {
  $var(known) = 0;
  if (ds_is_from_list("-1", "2")) $var(known) = 1;
${firstGroup("  ")}
  while ($var(group) != 0) {
    if (ds_is_from_list("$var(group)", "2") || ($var(known) == 0 && ds_is_from_list("$var(group)", "3"))) {
      sl_send_reply("404", "Not Found");
      exit;
    }
${nextGroup("    ")}
  }
}

# columns 1 and 2: digits to strip, digits to put in front
route[REWRITE] {
  $var(strip) = $(var(found){s.select,1,|}{s.int});
  $var(prefix) = $(var(found){s.select,2,|});
  $rU = $var(prefix) + $(var(user){s.substr,$var(strip),0}{s.replace,#,%23});
}

# the called number decides: the destination replaces the host, whatever the caller wrote there
route[TO_SET] {${readRule(structure)}
  if ($var(rule) == "" || !ds_select_routes("$var(rule)", "1"${mostTargets(structure)})) {
    append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
    sl_send_reply("503", "Service Unavailable");
    exit;
  }${selectLeast(structure)}
  # an answer to a challenge, which has the next number (RFC 3261 22.2), goes to the destination that asked. A phone that
  # registers again with what it answered before goes where it belongs: its PBX may be back.
  if ($hdr(Authorization) != $null || $hdr(Proxy-Authorization) != $null) {
    $var(asked) = $sht(challenged=>$ci);
    if ($var(asked) != 0 && $(var(asked){s.select,0,|}{s.int}) == $cs) {
      $var(asked) = $(var(asked){s.select,1,|});
      route(TO_ASKED);
    }
  }
  if (is_method("INVITE|SUBSCRIBE|REFER")) {${nameOwner(structure)}${recordRoute(groupOfRule, "    ", ownerInRoute(structure))}
  }
  if (is_method("INVITE")) {
    dlg_manage();${keepCaller("backend")}
    $dlg_var(route) = $(var(found){s.select,4,|});${admitFirst(structure)}
    $dlg_var(target) = $ru;
  }${offerMedia(structure)}${answerMedia(structure)}${markTrunk(structure)}
  t_on_failure("NEXT");
  t_set_disable_internal_reply(1);
  if (t_relay()) return;
  if (t_is_canceled()) ${exitMedia(structure)}${releaseFailed(structure)}
  route(NEXT_TARGET);
}

# The next destination that something can be sent to: for who was called before it no failure route runs.
route[NEXT_TARGET] {
  # the limit of ds_select_routes does not count the first of each tier
  $var(attempts) = 1;
  if ($avp(attempts) != $null) $var(attempts) = $avp(attempts);
  while ($var(attempts) < ${integer("failover.maxAttempts", structure.failover.maxAttempts, 1, 16)} && ds_next_domain()) {
    $var(attempts) = $var(attempts) + 1;
    $(avp(attempts)[*]) = $var(attempts);${forgetTrunk(structure)}${admitNext(structure)}
    if (is_method("INVITE")) $dlg_var(target) = $ru;${answerMedia(structure)}${markTrunk(structure, "    ")}
    t_on_failure("NEXT");
    if (t_relay()) exit;
    # it is answered with 487
    if (t_is_canceled()) ${exitMedia(structure, "    ")}${releaseFailed(structure, "    ")}
  }${endMedia(structure)}
  append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
  t_reply("503", "Service Unavailable");
}

# $var(asked) becomes the first target, and the others stay behind it; one that is inactive is passed over
route[TO_ASKED] {
  $var(i) = 0;
  while ($xavp(_dsdst_[$var(i)]=>uri) != $null && $xavp(_dsdst_[$var(i)]=>uri) != $var(asked)) $var(i) = $var(i) + 1;
  if ($xavp(_dsdst_[$var(i)]=>uri) == $null) {
    # no target of this request, as there are more destinations than attempts: if it is one of this set
${firstGroup("    ")}
    while (!ds_is_from_list("$var(group)", "4", "$var(asked)")) {
${nextGroup("      ")}
    }
  } else if ($var(i) > 0) {
    $var(group) = $xavp(_dsdst_[$var(i)]=>grp);
    $xavp(_dsdst_[$var(i)]=>uri) = $xavp(_dsdst_=>uri);
    $xavp(_dsdst_[$var(i)]=>grp) = $xavp(_dsdst_=>grp);
    $xavp(_dsdst_[0]=>grp) = $var(group);
  }
  $xavp(_dsdst_[0]=>uri) = $var(asked);
  # a REGISTER names no user in its URI
  if ($rU == $null) $ru = $var(asked);
  else $ru = "sip:" + $rU + "@" + $(var(asked){s.substr,4,0});
}

failure_route[NEXT] {
  if (t_is_canceled()) ${exitMedia(structure)}${answerTrunk(structure)}
  if (${trunkRefused(structure, " == 0 && ")}($T_reply_code == 401 || $T_reply_code == 407)) {
    $var(next) = $(cs{s.int}) + 1;
    $sht(challenged=>$ci) = "" + $var(next) + "|" + $xavp(_dsdst_=>uri);${endMedia(structure, "    ")}
    exit;
  }
  # it rang and nobody answered: no reason to ring elsewhere. (Dialog state 2, early, may be of an earlier destination: this
  # one has to have said something at least.)
  if (t_branch_timeout() && is_method("INVITE") && $dlg(state) == 2 && t_branch_replied()) ${exitMedia(structure)}
  # 477: the connection was refused
  if (!(${trunkRefused(structure, " == 1 || ")}t_branch_timeout() || $T_reply_code == 477 || ${replyCondition(structure.failover.replies)})) ${exitMedia(structure)}${releaseFailed(structure)}
  route(NEXT_TARGET);
}
`.split("\n");

/**
 * A failed call goes to no more than `maxAttempts`, so no more are written down for it: 200 destinations cost no more than
 * four. (Of each further tier Kamailio takes at least one.) Where calls are counted it chooses among all.
 */
const mostTargets = (structure: StructurePlan): string =>
  countsCalls(structure) ? "" : `, "${integer("failover.maxAttempts", structure.failover.maxAttempts, 1, 16)}"`;

/** `408`, `5xx` -> a condition on the reply code. */
function replyCondition(replies: readonly string[]): string {
  return [...new Set(replies)]
    .toSorted()
    .map((reply) => {
      if (/^[45]xx$/.test(reply)) return `($T_reply_code >= ${reply[0]}00 && $T_reply_code <= ${reply[0]}99)`;
      if (/^[45][0-9]{2}$/.test(reply)) return `$T_reply_code == ${reply}`;
      return refuse("failover.replies", reply, "a code such as 408, or 4xx, 5xx");
    })
    .join(" || ");
}
