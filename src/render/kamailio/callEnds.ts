/**
 * Replicas behind one advertised address: a BYE may come in at another replica than the one that began the call and counts
 * it. Who relays it tells the others, and the one that has the call ends it as by a BYE of its own: nobody is sent one.
 *
 * A backend's BYE ends its call. Anybody else's does when the other side has answered it, and is the other side of the call:
 * who could end the count by a BYE that his PBX refuses would have more calls than `maxCalls` lets him have.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { PEER_PORT } from "../layout.ts";
import { notHandedOver, unlessHandedOver } from "./handOver.ts";
import { peerKeyInCfg } from "./tokens.ts";
import { bracketed } from "./uriHost.ts";

export const tellsEnds = ({ sharedAddress }: StructurePlan): boolean => sharedAddress === true;

/** Only who has the Secret of the replicas knows its name. */
const CHANNEL = `${peerKeyInCfg}.ended`;
/** in place of where a BYE went: it came from a backend */
const OF_BACKEND = "-";

/** Line for a request of a dialog that is not known here, and which is going to be relayed. */
export const tellEnd = (structure: StructurePlan): string =>
  tellsEnds(structure) ? '\n  if (is_method("BYE")) route(TELL_END);' : "";

/** Lines of `request_route`, for what another replica sends, and this one to itself. */
export const hearEnd = (structure: StructurePlan): string =>
  tellsEnds(structure)
    ? `
    if ($rU == "${CHANNEL}") {
      if (is_method("KDMQ")) route(HEAR_END);
      else if (is_method("BYE")) route(ENDED);
      exit;
    }`
    : "";

const refused = "$T_reply_code == 481 || $T_reply_code == 408 || $T_reply_code == 477";
const tell = `dmq_bcast_message("${CHANNEL}", "$avp(ended)", "text/plain");`;

/** Line of a failure route that is there in place of `BYE_REFUSED`. */
export const tellRefused = (structure: StructurePlan): string =>
  tellsEnds(structure) ? `\n    if ($avp(ended) != $null && (${refused})) ${tell}` : "";

/**
 * What is told is the key's word, which two sides of the call and no others have: a BYE without it ends no count. In base64
 * without separators of its own, whatever a Call-ID has.
 */
export const renderCallEnds = (structure: StructurePlan): readonly string[] =>
  tellsEnds(structure)
    ? `
# what is kept of a call whose BYE has no transaction
modparam("dialog", "end_timeout", 120)
# the ACK may have come in elsewhere: without it a call is as good as any, and ends with its BYE
modparam("dialog", "noack_timeout", 43200)

route[TELL_END] {
  route(IS_KEYED);
  if ($var(keyed) == 0) return;
  # once for a request, however often it is sent
  if (t_precheck_trans()${notHandedOver(structure)}) exit;
  ${unlessHandedOver(structure)}t_check_trans();
  $var(to) = "${OF_BACKEND}";
  if (!ds_is_from_list("-1", "3")) $var(to) = $(var(next){s.encode.base64});
  $avp(ended) = $(ci{s.encode.base64}) + "." + $(ft{s.encode.base64}) + "." + $(tt{s.encode.base64}) + "." + $var(to);
  if ($var(to) == "${OF_BACKEND}") {
    ${tell}
    return;
  }
  t_on_reply("BYE_TAKEN");
  t_on_failure("BYE_REFUSED");
}

onreply_route[BYE_TAKEN] {
  if ($rs >= 200 && $rs < 300) ${tell}
}

# RFC 3261 15.1.1: who knows of no call has none, nor has who does not answer; any other refusal ends nothing
failure_route[BYE_REFUSED] {
  if (${refused}) ${tell}
}

route[HEAR_END] {
  sl_send_reply("200", "OK");
  $var(ended_call) = $(rb{s.select,0,.}{s.decode.base64});
  $var(ended_from) = $(rb{s.select,1,.}{s.decode.base64});
  $var(ended_to) = $(rb{s.select,2,.}{s.decode.base64});
  # answered: dialog states 3 and 4
  if (!dlg_get("$var(ended_call)", "$var(ended_from)", "$var(ended_to)") || $dlg(state) < 3 || $dlg(state) > 4) return;
  # a replica of an older version does not say
  if ($(rb{s.select,3,.}) =~ "^[A-Za-z0-9+/]") {
    $var(next) = $(rb{s.select,3,.}{s.decode.base64});
    $var(down) = 0;
    $var(side) = $dlg_var(caller);
    if ($var(ended_from) == $dlg(from_tag)) {
      $var(down) = 1;
      $var(side) = $dlg_var(callee);
    }
    route(IS_SIDE);
    if ($var(good) == 0) return;
  }
  # module dialog ends a call by its BYE only, or as one that has run out, which is logged and counted as such
  ${bracketed("$Ri", "own")}
  send_data("sip:$var(own):${PEER_PORT};transport=udp", "BYE sip:${CHANNEL}@$var(own) SIP/2.0\\r\\nVia: SIP/2.0/UDP $var(own):${PEER_PORT};branch=z9hG4bK$(rb{s.md5})\\r\\nFrom: <sip:$var(own)>;tag=$var(ended_from)\\r\\nTo: <sip:$var(own)>;tag=$var(ended_to)\\r\\nCall-ID: $var(ended_call)\\r\\nCSeq: 1 BYE\\r\\nMax-Forwards: 1\\r\\nContent-Length: 0\\r\\n\\r\\n");
}

route[ENDED] {
  dlg_manage();
}
`.split("\n")
    : [];
