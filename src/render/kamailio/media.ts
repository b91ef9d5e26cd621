/**
 * Media through rtpengine: offer, answer and delete (module rtpengine). One session for each call, begun before the
 * first attempt and used by all of them. A call whose media cannot be relayed is refused with 503: it would pass by the
 * proxy. Instances are chosen by Call-ID, in the same way by every pod; one that does not answer is left alone for 10 s
 * and the next one asked.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { whereAvailable } from "./versions.ts";
import { cfgText, refuse } from "./quote.ts";
import { RETRY_AFTER } from "./replies.ts";

/** In what is sent to rtpengine beside the SDP: ICE would lead media past it, by candidates that name addresses. */
const FLAGS = "replace-origin replace-session-connection ICE=remove";

const relays = ({ rtpengine }: StructurePlan): boolean => rtpengine !== undefined && rtpengine.length > 0;
const when = (structure: StructurePlan, text: string): string => (relays(structure) ? text : "");

/** Right before a new request is sent on for the first time. */
export const offerMedia = (structure: StructurePlan, indent = "  "): string =>
  when(structure, `\n${indent}if (is_method("INVITE")) route(MEDIA_OFFER);`);
/** Of a call towards a set: replies pass by the proxy too. */
export const answerMedia = (structure: StructurePlan): string => when(structure, '\n  t_on_reply("MEDIA");');
/** Of a call towards a phone: its failure ends the session. */
export const failMedia = (structure: StructurePlan): string => when(structure, '\n  t_on_failure("MEDIA_END");');
/** `relay` of such a call: when nothing was sent no failure route runs. */
export const unsentMedia = (structure: StructurePlan, relay: string): string =>
  relays(structure) ? `if (!${relay}) route(MEDIA_DELETE)` : relay;
/** In a request inside a dialog. */
export const mediaWithin = (structure: StructurePlan): string => when(structure, "\n  route(MEDIA_WITHIN);");
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
${whereAvailable("mediaPings", ['modparam("rtpengine", "ping_interval", 5)']).join("\n")}

# flag 1: the INVITE has an offer; without one the offer comes with its answer, and the answer with the ACK
route[MEDIA_OFFER] {
  if (!has_body("application/sdp")) return;
  setflag(1);
  if (!rtpengine_offer("${FLAGS}")) {
    t_newtran();
    append_to_reply("Retry-After: ${RETRY_AFTER}\\r\\n");
    t_reply("503", "Media Proxy Not Available");
    exit;
  }
}

route[MEDIA_WITHIN] {
  if (is_method("BYE")) {
    rtpengine_delete();
    return;
  }
  if (!is_method("INVITE|UPDATE|ACK")) return;
  if (is_method("ACK")) {
    if (has_body("application/sdp")) rtpengine_answer("${FLAGS}");
    return;
  }
  t_on_reply("MEDIA");
  route(MEDIA_OFFER);
}

route[MEDIA_REPLY] {
  if (!has_body("application/sdp")) return;
  if (isflagset(1)) rtpengine_answer("${FLAGS}");
  else rtpengine_offer("${FLAGS}");
}

onreply_route[MEDIA] {
  route(MEDIA_REPLY);
}

route[MEDIA_DELETE] {
  if (is_method("INVITE")) rtpengine_delete();
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
