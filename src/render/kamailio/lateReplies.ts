/**
 * A reply without a transaction: nobody waits for it, and its Via says where it would go. The exception is a 2xx to INVITE: it
 * is sent again for 32 s (RFC 3261 13.3.1.4), longer than its transaction lives. It is passed on to the side of its call that
 * the INVITE came from, over a connection that is there, and to nobody else.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { answerFirst } from "./handOver.ts";
import { lateMedia } from "./media.ts";
import { hideInLateReply } from "./topology.ts";
import { CALLED_BY_BACKEND, PHONE_CALLED } from "./nextHop.ts";

/** Line of `reply_route`. */
export const lateReply = "\n  if (!t_check_trans()) route(LATE_REPLY);";

export const renderLateReplies = (structure: StructurePlan): readonly string[] =>
  `
route[LATE_REPLY] {
  if ($rs < 200 || $rs > 299 || !is_method("INVITE") || !dlg_get("$ci", "$ft", "$tt")) drop;${answerFirst(structure)}
  # where it would go
  $var(host) = $sel(via[2].received);
  if ($sel(via[2].received) == $null) $var(host) = $sel(via[2].host);
  $var(port) = $sel(via[2].rport);
  if ($sel(via[2].rport) == $null) $var(port) = $sel(via[2].port);
  if ($var(port) == 0) $var(port) = "5060";
  if ($var(host) =~ "^[^[]*:") $var(host) = "[" + $var(host) + "]";
  $var(uri) = "sip:" + $var(host) + ":" + $var(port);
  if (!($var(uri) =~ "^sip:([0-9.]+|\\\\[[0-9a-fA-F:.]+\\\\]):[0-9]+$")) drop;
  # where the INVITE came from
  $var(down) = 0;
  if ($ft == $dlg(from_tag)) $var(down) = 1;
  $var(side) = $dlg_var(callee);
  if ($var(down) == 1) $var(side) = $dlg_var(caller);
  if (($var(down) == 1 && dlg_isflagset("${CALLED_BY_BACKEND}")) || ($var(down) == 0 && !dlg_isflagset("${PHONE_CALLED}"))) {
    # a side that is a backend has named its Contact
    if ($var(uri) != $(dlg_var(source){s.select,0,;}) && !ds_is_from_list("-1", "3", "$var(uri)")) drop;
  } else {
    if ($sel(via[2].transport) != "UDP") $var(uri) = $var(uri) + ";transport=" + $(sel(via[2].transport){s.tolower});
    if ($var(uri) != $var(side)) drop;
  }
  # the number of a connection, which would be taken whoever has it
  if ($sel(via[1].i) != $null) {
    subst_hf("Via", "/;[ \\t]*i[ \\t]*=[^;, ]*//i", "f");
    msg_apply_changes();
    if ($sel(via[1].i) != $null) drop;
  }
  set_forward_no_connect();${lateMedia(structure)}${hideInLateReply(structure)}
}
`.split("\n");
