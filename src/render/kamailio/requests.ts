/** request_route: what every request passes, and requests inside a dialog. */
import type { StructurePlan } from "../../ir/types.ts";
import { integer } from "./quote.ts";
import { handOverFirst, ownerInRoute, replyWithin, takeFirst, takeWithin } from "./handOver.ts";
import { registrantFirst } from "./registrants.ts";
import { fromPeer } from "./registrar.ts";
import { peerRequests } from "./replication.ts";
import { lateReply } from "./lateReplies.ts";
import { failMedia, mediaAcknowledged, mediaInReply, mediaWithin, offerMedia, unsentMedia } from "./media.ts";
import { RETRY_AFTER } from "./replies.ts";
import { countReply } from "./messageCounters.ts";
import { groupOfCaller, keepCaller, keepEarlyCallee, recordRoute } from "./nextHop.ts";
import { aliasUnlessPeer, followRecorded, ROUTE_MARK } from "./recordedRoute.ts";
import { ROUTE_RECORDED } from "./requestFlags.ts";
import { everyRequest } from "./security.ts";
import { hideIn, hideInReply, hideTransfer, hideTransferInReply, hideWithin } from "./topology.ts";
import { trunkReplies } from "./trunks.ts";

export const renderRequests = (structure: StructurePlan): readonly string[] =>
  `
request_route {
  # the control port speaks HTTP only
  if (proto != UDP && dst_port == ${integer("the control port", structure.controlPort)}) exit;${peerRequests(structure)}
${everyRequest(structure)}
  if (!mf_process_maxfwd_header("70")) {
    $var(code) = 483;
    $var(reason) = "Too Many Hops";
    route(REFUSE);
  }
  if (!sanity_check("17895", "7")) {
    if (!is_method("OPTIONS") || $pr != "udp" || $var(terse) == 0) sanity_reply();
    exit;
  }
  # RFC 3581 for everyone; where Via names the port that the request came from nothing has to be written
  if (nat_uac_test("16")) force_rport();

  if (is_method("ACK|CANCEL")) {
    if (is_method("CANCEL") || !has_totag()) {
      if (t_check_trans()) t_relay();
      exit;
    }
    # RFC 3261 17.1.1.3: the ACK of a refusal has the Route of its INVITE, such as a phone's outbound proxy. It ends here.
    t_check_trans();
    route(WITHIN_DIALOG);
    exit;
  }
  # a REGISTER starts no dialog, whatever its To has
  if (has_totag() && !is_method("REGISTER")) {${hideWithin(structure)}
    route(WITHIN_DIALOG);
    exit;
  }
  # A retransmission is answered from the transaction; while another process works on the first copy it is dropped:
  # Kamailio 6.1 would release a transaction that has no branch yet.
  if (t_precheck_trans()) exit;
  t_check_trans();

${fromPeer(structure)}${takeFirst(structure)}
  if ($sht(st=>drain) == 1) route(DRAINING);
  route(ADMIT);
  if (is_method("REGISTER")) {${registrantFirst(structure)}
    route(REGISTER);
    exit;
  }
  if ($route_uri != $null) route(PRELOADED_ROUTE);
  if (!is_method("INVITE|MESSAGE|SUBSCRIBE|REFER|NOTIFY|PUBLISH")) {
    if (is_method("OPTIONS")) {
      sl_send_reply("200", "OK");
      exit;
    }
    append_to_reply("Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, SUBSCRIBE, NOTIFY, REFER, PUBLISH, UPDATE, PRACK, INFO\\r\\n");
    sl_send_reply("405", "Method Not Allowed");
    exit;
  }
  route(DIALPLAN);
  exit;
}

# What only this router can do goes on: phones that registered through it, or have a connection to it, are reached here
# until they register elsewhere, which those with a connection do when it ends.
route[DRAINING] {
  if (is_method("REGISTER") && $pr != "udp") return;
  if ($(route_uri{uri.user}) == "path" && ds_is_from_list("-1", "3")) return;
  if (is_method("OPTIONS") && $pr == "udp" && $var(terse) == 1) exit;
  append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
  sl_send_reply("503", "Service Unavailable");
  exit;
}

route[WITHIN_DIALOG] {${takeWithin(structure)}
  route(STRIP_IDENTITY);
  if (!loose_route()) {
    if (is_method("ACK")) {
      if (t_check_trans()) t_relay();
      exit;
    }
    ${replyWithin(structure)}("481", "Call/Transaction Does Not Exist");
    exit;
  }
  if ($du == $null) {
    handle_ruri_alias();
  } else if ($(du{uri.user}) == "path") {
    # Asterisk writes the Path of a registration behind the route of every later request of the call: here it has been followed
    remove_hf("Route");
    $du = $null;
    handle_ruri_alias();
  } else {
    ${followRecorded}
  }
  route(CHECK_NEXT_HOP);${mediaWithin(structure)}
  # RFC 3261 17.1.2.2, timer F: nobody else can answer, and a 408 would end the call (12.2.1.2)
  if (!is_method("ACK")) t_set_fr("0", "32000");
  if (is_method("INVITE|UPDATE|SUBSCRIBE|REFER|NOTIFY")) {
    if (ds_is_from_list("-1", "3")) t_on_reply("FROM_PHONE");
    else ${aliasUnlessPeer(structure)}
    if (is_method("SUBSCRIBE|NOTIFY|REFER")) {
      route(ROUTE_KEY);
      if ($var(k) == "") record_route();
      else if (isflagset(${ROUTE_RECORDED})) record_route(";k=$var(k)${ownerInRoute(structure)}${ROUTE_MARK}");
      else record_route(";k=$var(k)${ownerInRoute(structure)}");${hideTransfer(structure, "      ")}
    }
  }${structure.trunks === true ? "\n  route(TRUNK_WITHIN);" : ""}${hideIn(structure, "HIDE_HEADERS")}
  t_relay();${mediaAcknowledged(structure)}
}

# A Route in a first request. From a backend, with the user of our own Path, it is for a phone that registered through
# this router: follow it to the address that the REGISTER came from. Any other is an outbound proxy setting: dropped.
route[PRELOADED_ROUTE] {
  if ($var(backend) == 1 && $(route_uri{uri.user}) == "path") {${handOverFirst(structure)}
    loose_route();
    route(TO_PHONE);
    exit;
  }
  remove_hf("Route");
}

route[TO_PHONE] {
  if (is_method("INVITE|SUBSCRIBE|REFER")) {${recordRoute(groupOfCaller, "    ", ownerInRoute(structure))}
  }
  if (is_method("INVITE")) {
    dlg_manage();${keepCaller("phone")}
  }${offerMedia(structure)}${failMedia(structure)}
  # phones are slower than PBXes: give them RFC 3261's timer B at 16 times T1
  t_set_fr("0", "8000");
  t_on_reply("FROM_PHONE");${hideIn(structure, "HIDE_CALL")}
  ${unsentMedia(structure, "t_relay()")};
}

# A phone behind NAT names an address in its Contact that nobody reaches: remember where it really is.
onreply_route[FROM_PHONE] {${mediaInReply(structure)}
  ${aliasUnlessPeer(structure)}
}

# Replies that belong to nothing this router sent are dropped: their Via would make it an open relay.
reply_route {
  if (proto != UDP && dst_port == ${integer("the control port", structure.controlPort)}) drop;${lateReply}${trunkReplies(structure)}
  if ($rs >= 200) {${countReply}${hideTransferInReply(structure)}
  }${keepEarlyCallee}${hideInReply(structure)}
}
`.split("\n");
