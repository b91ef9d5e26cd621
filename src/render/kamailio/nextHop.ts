/**
 * Where a request within a dialog may go: to the other side of that dialog, and nowhere else. A To tag and a Route are
 * easily forged, and whoever was let through to one number knows a dialog: without this the router would relay to any
 * address, and past what a route asks of its callers.
 *
 * The Kamailio that began a call knows both sides: the address that a caller came from, and the Contact of a backend. For
 * every other dialog (of another replica, from before a restart, a subscription) Record-Route has a parameter `k`: the
 * dispatcher set of the backend in the dialog, with a digest of it, of the Call-ID and of a key that all replicas have.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { DRAIN_TIER } from "../../ir/setId.ts";
import { replyWithin } from "./handOver.ts";
import { renderCallEnds, tellEnd } from "./callEnds.ts";
import { ROUTE_MARK } from "./recordedRoute.ts";
import { ROUTE_RECORDED } from "./requestFlags.ts";
import { isReplica, sharesLocation } from "./replication.ts";
import { peerKeyInCfg } from "./tokens.ts";

/** Flags of a dialog. What a phone says of itself, its Contact, is no address that a request is sent to for anybody. */
export const PHONE_CALLED = 1;
export const CALLED_BY_BACKEND = 2;

/** Who a call is recorded for: what sets it, and how it is written in a string. Each statement costs every call. */
export interface RouteGroup {
  readonly prepare: string;
  readonly text: string;
}
/** Of a request to a destination of $var(rule): the first tier. */
export const groupOfRule: RouteGroup = { prepare: "", text: "$(var(rule){s.select,0,=})" };
/** In front of the group: the request went to a phone. It stays a number, as replicas of older versions read it. */
const TO_PHONE = "0";
/** Of a request to a phone that came from a backend, where $var(set) has it; of any other none. */
export const groupOfCaller: RouteGroup = {
  prepare: `$var(group) = $var(set) * $var(backend);\n    $var(group) = "${TO_PHONE}" + $var(group);`,
  text: "$var(group)",
};

/** Lines that record the route of a dialog with a backend of a dispatcher set. */
export const recordRoute = ({ prepare, text }: RouteGroup, indent = "  ", more = ""): string =>
  [
    ...(prepare === "" ? [] : [prepare]),
    `$var(k) = $ci + " " + ${text} + " ${peerKeyInCfg}";`,
    `if (isflagset(${ROUTE_RECORDED})) record_route(";k=${text}-$(var(k){s.md5})${more}${ROUTE_MARK}");`,
    `else record_route(";k=${text}-$(var(k){s.md5})${more}");`,
  ]
    .map((line) => `\n${indent}${line}`)
    .join("");

/** Right after `dlg_manage()`. */
export const keepCaller = (called: "backend" | "phone"): string => `
    $dlg_var(caller) = $su;
    if ($var(backend) == 1) {
      $dlg_var(source) = $su;
      $dlg_var(caller) = $(ct{nameaddr.uri});
      dlg_setflag("${CALLED_BY_BACKEND}");
    }${called === "phone" ? `\n    dlg_setflag("${PHONE_CALLED}");` : ""}`;

/** Behind the block of final replies; of a transaction only, as anybody may name a dialog. RFC 3262: a call that is not answered yet has requests within it. */
export const keepEarlyCallee = ` else if ($rs > 100 && is_present_hf("RSeq") && t_check_trans() && dlg_get("$ci", "$ft", "$tt")) route(KEEP_CALLEE);`;

/** $var(good) is 1 and $var(set) of a destination, $var(address): they stay so if it is one of the dispatcher set of $var(group). */
export const ofGroup = `  $var(group) = $(var(group){s.int}) / 100;
  if ($var(good) == 0 || $var(set) / 100 == $var(group)) return;
  $var(good) = 0;
  $var(group) = $var(group) * 100;
  $var(last) = $var(group) + ${DRAIN_TIER};
  while ($var(good) == 0 && $var(group) <= $var(last)) {
    if (ds_is_from_list("$var(group)", "2", "$var(address)")) $var(good) = 1;
    $var(group) = $var(group) + 1;
  }`;

export const renderNextHop = (structure: StructurePlan): readonly string[] =>
  `
# the answer to a call
event_route[dialog:start] {
  route(KEEP_CALLEE);
}

route[KEEP_CALLEE] {
  if (dlg_isflagset("${PHONE_CALLED}")) $dlg_var(callee) = $su;
  else $dlg_var(callee) = $(ct{nameaddr.uri});
}

# $var(k): what Record-Route had
route[ROUTE_KEY] {
  $var(k) = "";
  if ($route_uri != $null) $var(k) = $(route_uri{uri.params}{param.value,k});
}

# ends the script for a request that would go to somebody else than the other side of its dialog
route[CHECK_NEXT_HOP] {
  # nearly all, with as few statements as can be
  if (is_method("ACK|BYE")) {
    if ($du == $null) {
      if ($ru == $dlg_var(callee) && $ft == $dlg(from_tag)) return;
    } else if ($du == $dlg_var(caller) && $ft != $dlg(from_tag)) {
      return;
    }
  }
  $var(next) = $du;
  if ($du == $null) $var(next) = $ru;
  if ($DLG_status == $null) {
    route(CHECK_UNKNOWN);
    return;
  }
  $var(down) = 0;
  $var(side) = $dlg_var(caller);
  if ($ft == $dlg(from_tag)) {
    $var(down) = 1;
    $var(side) = $dlg_var(callee);
  }
  if ($var(next) != $var(side) && !ds_is_from_list("-1", "3")) route(CHECK_SIDE);
  if (is_method("INVITE|UPDATE")) route(NEW_ADDRESS);
}

route[CHECK_UNKNOWN] {
  if (!ds_is_from_list("-1", "3")) {
    route(ADMIT);
    $var(good) = 0;
    # starts nothing: calls from before Record-Route had a key end as all others do
    if (is_method("ACK|BYE")) route(IS_BACKEND);
    else route(CHECK_KEY);
    if ($var(good) == 0) route(NO_DIALOG);
  }${tellEnd(structure)}
}

# The Contact of a backend in other words, or its next Route; the address of a phone; a backend of the same set.
route[CHECK_SIDE] {
  route(IS_SIDE);
  if ($var(good) == 1) return;${
    sharesLocation(structure)
      ? `
  # another replica
  $var(host) = $(var(next){uri.host}{re.subst,/[][]//g});
  if (${isReplica(structure)}) return;`
      : ""
  }
  route(CHECK_KEY);
  if ($var(good) == 1) return;
  if (!is_method("BYE") || $var(side) == 0) route(NO_DIALOG);
  # the dialog has ended with it: so it ends on the other side too
  remove_hf("Route");
  $ru = $var(side);
  $du = $null;
  if ($var(route) != "") {
    append_hf("Route: $var(routes)\\r\\n");
    $du = $var(route);
  }
}

# $var(good): the next hop is the other side, in whatever words, or its next Route, $var(route)
route[IS_SIDE] {
  $var(good) = 0;
  $var(uri) = $var(next);
  route(ADDRESS);
  $var(wanted) = $var(address);
  if ($var(side) != 0) {
    $var(uri) = $var(side);
    route(ADDRESS);
    if ($var(address) == $var(wanted)) {
      $var(good) = 1;
      return;
    }
  }
  $var(routes) = "";
  if ($var(down) == 1) {
    if (!dlg_isflagset("${PHONE_CALLED}")) $var(routes) = $dlg(to_rs);
  } else if (dlg_isflagset("${CALLED_BY_BACKEND}")) {
    $var(routes) = $dlg(from_rs);
  }
  $var(route) = $(var(routes){s.select,1,<}{s.select,0,>});
  if ($var(next) == $var(route)) $var(good) = 1;
}

# $var(stranger): the Route behind the one of this router is the word of a phone, which was called or began the dialog. One
# without a good key has been changed on its way.
route[WHOSE_ROUTE] {
  $var(stranger) = 0;
  if ($(route_uri{uri.params}{param.value,v}) == "1") {
    $var(stranger) = 1;
  } else if ($DLG_status != $null) {
    if ($ft == $dlg(from_tag) && dlg_isflagset("${PHONE_CALLED}")) $var(stranger) = 1;
  } else {
    route(IS_KEYED);
    if ($var(keyed) == 0 || $var(group) =~ "^${TO_PHONE}") $var(stranger) = 1;
  }
}

route[NO_DIALOG] {
  if (!is_method("ACK")) ${replyWithin(structure)}("481", "Call/Transaction Does Not Exist");
  exit;
}

# $var(uri) -> $var(address)
route[ADDRESS] {
  $var(port) = $(var(uri){uri.port}{s.int});
  if ($var(port) == 0) {
    $var(port) = 5060;
    if ($(var(uri){uri.transport}{s.tolower}) == "tls") $var(port) = 5061;
  }
  $var(address) = $(var(uri){uri.host}) + ":" + $var(port);
}

# Where the sender is reached from now on. Only a backend's Contact is taken at its word.
route[NEW_ADDRESS] {
  if (ds_is_from_list("-1", "3")) {
    if ($ct == $null) return;
    if ($var(down) == 0) {
      if (!dlg_isflagset("${PHONE_CALLED}")) $dlg_var(callee) = $(ct{nameaddr.uri});
    } else if (dlg_isflagset("${CALLED_BY_BACKEND}")) {
      $dlg_var(caller) = $(ct{nameaddr.uri});
    }
    return;
  }
  if ($var(down) == 1) {
    if (!dlg_isflagset("${CALLED_BY_BACKEND}")) $dlg_var(caller) = $su;
  } else if (dlg_isflagset("${PHONE_CALLED}")) {
    $dlg_var(callee) = $su;
  }
}

# $var(good): the next hop is a destination. Addresses only: a name would be looked up while this process waits.
route[IS_BACKEND] {
  $var(uri) = $var(next);
  route(ADDRESS);
  $var(address) = "sip:" + $var(address);
  if ($(var(next){uri.host}) =~ "^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+)$" && ds_is_from_list("-1", "2", "$var(address)")) $var(good) = 1;
}

# $var(good): and one of the dispatcher set that the key of the route names
route[CHECK_KEY] {
  route(IS_KEYED);
  if ($var(keyed) == 0) return;
  route(IS_BACKEND);
${ofGroup}
}

# $var(keyed): a replica recorded this route in this call; and $var(group)
route[IS_KEYED] {
  route(ROUTE_KEY);
  $var(keyed) = 0;
  $var(group) = $(var(k){s.select,0,-});
  $var(valid) = $ci + " " + $var(group) + " ${peerKeyInCfg}";
  $var(valid) = "" + $var(group) + "-" + $(var(valid){s.md5});
  if ($var(k) != "" && $var(k) == $var(valid)) $var(keyed) = 1;
}
${renderCallEnds(structure).join("\n")}`.split("\n");
