/**
 * Media through rtpengine: offer, answer and delete (module rtpengine). One session for each call, begun before the
 * first attempt and used by all of them. A call whose media cannot be relayed is refused with 503, or ended when it has been
 * answered: its media would pass by the proxy. Instances are chosen by Call-ID, in the same way by every pod; one that does not answer is left alone for 10 s
 * and the next one asked.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { whereAvailable } from "./versions.ts";
import { cfgText, refuse } from "./quote.ts";
import { RETRY_AFTER } from "./replies.ts";
import { MEDIA_ELSEWHERE, MEDIA_OFFERED } from "./requestFlags.ts";

/** In what is sent to rtpengine beside the SDP: ICE would lead media past it, by candidates that name addresses. */
const FLAGS = "replace-origin replace-session-connection ICE=remove";

/** Flag of a dialog, as of its requests. */
const ELSEWHERE = MEDIA_ELSEWHERE;
/** Flag of a dialog: the last INVITE had no offer. */
const LATE_OFFER = 3;
/** Flag of a dialog: one side has no answer. */
const UNANSWERED = 5;

const relays = ({ rtpengine }: StructurePlan): boolean => rtpengine !== undefined && rtpengine.length > 0;
const when = (structure: StructurePlan, text: string): string => (relays(structure) ? text : "");

/** Right before a new request is sent on for the first time. */
export const offerMedia = (structure: StructurePlan, indent = "  "): string =>
  when(structure, `\n${indent}if (is_method("INVITE")) route(MEDIA_OFFER);`);
/** What another replica has sent, which spoke with the caller. */
export const mediaElsewhere = (structure: StructurePlan): string => when(structure, `\n  setflag(${ELSEWHERE});`);
/** In a 2xx whose transaction is over. */
export const lateMedia = (structure: StructurePlan): string => when(structure, "\n  route(MEDIA_LATE);");
/** Of a call towards a set: replies pass by the proxy too. */
export const answerMedia = (structure: StructurePlan): string => when(structure, '\n  t_on_reply("MEDIA");');
/** Of a call towards a phone: its failure ends the session. */
export const failMedia = (structure: StructurePlan): string => when(structure, '\n  t_on_failure("MEDIA_END");');
/** `relay` of such a call: when nothing was sent no failure route runs. */
export const unsentMedia = (structure: StructurePlan, relay: string): string =>
  relays(structure) ? `if (!${relay}) route(MEDIA_DELETE)` : relay;
/** In a request inside a dialog. */
export const mediaWithin = (structure: StructurePlan): string => when(structure, "\n  route(MEDIA_WITHIN);");
/** Behind a request inside a dialog, as it was sent on. */
export const mediaAcknowledged = (structure: StructurePlan): string =>
  when(structure, '\n  if (is_method("ACK")) route(MEDIA_UNANSWERED);');
/** In every reply route. */
export const mediaInReply = (structure: StructurePlan): string => when(structure, "\n  route(MEDIA_REPLY);");
/** Where a call has failed for good. */
export const endMedia = (structure: StructurePlan, indent = "  "): string =>
  when(structure, `\n${indent}route(MEDIA_DELETE);`);

export const exitMedia = (structure: StructurePlan, indent = "  "): string =>
  relays(structure) ? `{\n${indent}  route(MEDIA_DELETE);\n${indent}  exit;\n${indent}}` : "exit;";

export function renderMedia(structure: StructurePlan): readonly string[] {
  const { rtpengine = [] } = structure;
  if (rtpengine.length === 0) return [];
  return `
loadmodule "rtpengine.so"
modparam("rtpengine", "rtpengine_sock", "${rtpengine.map(socketOf).join(" ")}")
modparam("rtpengine", "rtpengine_tout_ms", 400)
modparam("rtpengine", "rtpengine_retr", 1)
modparam("rtpengine", "rtpengine_disable_tout", 10)
modparam("rtpengine", "setid_default", 1)
modparam("counters", "script_counter", "sipr.media_refused SDP that the media proxy did not change, taken out")
${whereAvailable("mediaPings", ['modparam("rtpengine", "ping_interval", 5)']).join("\n")}

# SDP, or what may have some in one of its parts
route[HAS_SDP] {
  if (has_body("application/sdp")) return 1;
  if ($cT =~ "^multipart/" && $rb =~ "application */ *sdp") return 1;
  return -1;
}

# flag 1: the request has an offer; without one in the INVITE the offer comes with its answer, and the answer with the ACK or
# with the PRACK (RFC 3262 5)
route[MEDIA_OFFER] {
  if (isflagset(${ELSEWHERE})) {
    dlg_setflag("${ELSEWHERE}");
    return;
  }
  if (is_method("INVITE")) dlg_setflag("${LATE_OFFER}");
  if (!route(HAS_SDP)) return;
  if (is_method("INVITE")) dlg_resetflag("${LATE_OFFER}");
  setflag(${MEDIA_OFFERED});
  if (!rtpengine_offer("${FLAGS}")) {
    t_newtran();
    append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
    t_reply("503", "Media Proxy Not Available");
    exit;
  }
}

route[MEDIA_WITHIN] {
  if (dlg_isflagset("${ELSEWHERE}")) {
    setflag(${ELSEWHERE});
    return;
  }
  if (is_method("BYE")) {
    rtpengine_delete();
    return;
  }
  if (!is_method("INVITE|UPDATE|PRACK|ACK")) return;
  if (is_method("ACK") || (is_method("PRACK") && dlg_isflagset("${LATE_OFFER}"))) {
    if (!route(HAS_SDP)) return;
    if (!rtpengine_answer("${FLAGS}")) {
      route(MEDIA_WITHOUT);
      dlg_setflag("${UNANSWERED}");
    }
    dlg_resetflag("${LATE_OFFER}");
    return;
  }
  t_on_reply("MEDIA");
  route(MEDIA_OFFER);
}

route[MEDIA_REPLY] {
  if (isflagset(${ELSEWHERE}) || !route(HAS_SDP)) return;
  if (isflagset(${MEDIA_OFFERED})) {
    if (rtpengine_answer("${FLAGS}")) {
      # an earlier one may have been refused (reliable 18x)
      if ($rs >= 200 && $rs < 300 && dlg_get("$ci", "$ft", "$tt")) dlg_resetflag("${UNANSWERED}");
      return;
    }
  } else if (rtpengine_offer("${FLAGS}")) {
    return;
  }
  route(MEDIA_WITHOUT);
  # RFC 3262: what is no answer yet may come again; RFC 3261 14.1: what is refused leaves the call as it was
  if ($rs >= 300 || ($rs < 200 && !is_present_hf("RSeq"))) return;
  if (!dlg_get("$ci", "$ft", "$tt")) return;
  dlg_setflag("${UNANSWERED}");
  if (!is_method("INVITE") && $dlg(state) == 4) route(MEDIA_UNANSWERED);
}

# Its SDP would lead media past the proxy, and names addresses of this side to the other one.
route[MEDIA_WITHOUT] {
  cnt_inc("sipr.media_refused");
  remove_body();
  remove_hf("Content-Type");
}

# Who has no answer has no call (RFC 3261 13.2.1): it ends on both sides, as soon as its ACK is on its way
route[MEDIA_UNANSWERED] {
  if (!dlg_isflagset("${UNANSWERED}")) return;
  rtpengine_delete();
  dlg_bye("all");
}

# what cannot be changed is not passed on: it has been answered already
route[MEDIA_LATE] {
  if (dlg_isflagset("${ELSEWHERE}") || !route(HAS_SDP)) return;
  if (dlg_isflagset("${LATE_OFFER}")) {
    if (!rtpengine_offer("${FLAGS}")) drop;
  } else if (!rtpengine_answer("${FLAGS}")) drop;
}

onreply_route[MEDIA] {
  route(MEDIA_REPLY);
}

route[MEDIA_DELETE] {
  if (is_method("INVITE") && !isflagset(${ELSEWHERE})) rtpengine_delete();
}

failure_route[MEDIA_END] {
  route(MEDIA_DELETE);
}
`.split("\n");
}

/** Among the data files: what the operator asks each pod about. Kamailio does not read it. */
const MEDIA_FILE = "media-proxies";

/** As `rtpengine_sock` has them. */
export const mediaSockets = ({ rtpengine = [] }: StructurePlan): readonly string[] => rtpengine.map(socketOf);

export const renderMediaFile = (structure: StructurePlan): Readonly<Record<string, string>> =>
  relays(structure)
    ? {
        [MEDIA_FILE]: mediaSockets(structure)
          .map((socket) => `${socket}\n`)
          .join(""),
      }
    : {};

export const parseMediaFile = (data: Readonly<Record<string, string>>): readonly string[] =>
  (data[MEDIA_FILE] ?? "").split("\n").filter((line) => /^udp6?:[0-9A-Za-z.:[\]-]{1,64}$/.test(line));

/** `udp:host:port`; of IPv6: `udp6:[host]:port`. */
function socketOf(address: string): string {
  if (!/^udp:([0-9.]+|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/.test(address))
    refuse("mediaProxy.rtpengine.addresses", address, "udp:host:port");
  return cfgText("mediaProxy.rtpengine.addresses", address.replace(/^udp:\[/, "udp6:["));
}
