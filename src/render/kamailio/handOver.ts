/**
 * Replicas behind one advertised address (`registration.mode` Forward and ForwardAll): a phone on TCP or TLS has a connection
 * to one of them, which the Path of its registration and the Record-Route of its calls name by a parameter `o`: a digest of
 * that replica's address and of the key that all have. A backend's request that comes in at another replica is handed over to
 * that one, which goes on as if it had come to itself. Where nobody of that name is heard of, each does what it can.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { PEER_PORT } from "../layout.ts";
import { advertisedHost } from "./quote.ts";
import { HANDED_OVER } from "./requestFlags.ts";
import { bracketed } from "./uriHost.ts";
import { peerKeyInCfg } from "./tokens.ts";

/** What a replica tells another one, beside the request: see route[HAND_OVER]. */
const HEADER = "P-Handed-Over";
/** Replicas are heard of every 10 s. */
const FORGOTTEN_AFTER = 30;

/** Milliseconds: to the first reply, which comes at once where it lives; to the last one, of what a phone has 8 and 32 s for. */
const wait = { invite: 8000, first: 10_000, within: 34_000 } as const;

export const handsOver = ({ sharedAddress, advertise, registration, listeners }: StructurePlan): boolean =>
  sharedAddress === true &&
  advertise !== undefined &&
  (registration.mode === "Forward" || registration.mode === "ForwardAll") &&
  listeners.some(({ transport }) => transport !== "UDP");

const when = (structure: StructurePlan, text: string): string => (handsOver(structure) ? text : "");

/** Line for what a replica sends who has said who it is. */
export const meetPeer = (structure: StructurePlan): string => when(structure, "\n      route(MEET_PEER);");

/** Lines of `request_route`, for what came to the port of the replicas and is no KDMQ. */
export const hearHandedOver = (structure: StructurePlan): string =>
  handsOver(structure) ? '\n    if (is_method("KDMQ")) exit;\n    route(HANDED_OVER);' : "\n    exit;";

/** A part of a condition: the other replica has asked it already. */
export const notHandedOver = (structure: StructurePlan): string => when(structure, ` && !isflagset(${HANDED_OVER})`);
/** In front of a statement: the transaction is this replica's own already. */
export const unlessHandedOver = (structure: StructurePlan): string =>
  when(structure, `if (!isflagset(${HANDED_OVER})) `);
/** A line in front of what only strangers pass. */
export const exceptHandedOver = (structure: StructurePlan): string =>
  when(structure, `\n  if (isflagset(${HANDED_OVER})) return;`);

/** Line for a new request, before anybody is asked who he is. */
export const takeFirst = (structure: StructurePlan): string =>
  when(structure, `\n  if (isflagset(${HANDED_OVER})) route(TAKE_OVER);`);
/** Lines for a request within a dialog: most know theirs here, which is soon seen. */
export const takeWithin = (structure: StructurePlan): string =>
  when(
    structure,
    `
  if (isflagset(${HANDED_OVER})) route(TAKE_OVER);
  $var(owner) = "";
  if (!is_known_dlg()) route(HAND_OVER);`,
  );
/** Line for what a backend sends along a Path. */
export const handOverFirst = (structure: StructurePlan): string => when(structure, "\n    route(HAND_OVER);");

/** Of what is written in the Path of a phone. */
export const addPath = (structure: StructurePlan): string =>
  handsOver(structure)
    ? `
  if ($pr == "udp") {
    add_path_received("path");
  } else {
    route(OWN_NAME);
    add_path_received("path", "o=$var(ownName)");
  }`
    : '\n  add_path_received("path");';

/** Line before the route of a caller is recorded, and the parameter of Record-Route. */
export const nameOwner = (structure: StructurePlan): string =>
  when(
    structure,
    `
    $var(owner) = "";
    if ($var(backend) == 0 && $pr != "udp") {
      route(OWN_NAME);
      $var(owner) = ";o=" + $var(ownName);
    }`,
  );
export const ownerInRoute = (structure: StructurePlan): string => when(structure, "$var(owner)");

/**
 * Lines for an answer whose transaction is over, here and at the replica that handed the INVITE over: it goes to who had sent
 * it there.
 */
export const answerFirst = (structure: StructurePlan): string =>
  when(
    structure,
    `
  if ($sel(via[2].port) == "${PEER_PORT}" && !($(hdr(Via)[0]) =~ ",") && !($(hdr(Via)[1]) =~ ",")) {
    remove_hf_idx("Via", "1");
    msg_apply_changes();
  }`,
  );

/** What refuses a request within a dialog: where it was handed over only its transaction knows who waits for the answer. */
export const replyWithin = (structure: StructurePlan): string =>
  handsOver(structure) ? "send_reply" : "sl_send_reply";

export const renderHandOver = (structure: StructurePlan): readonly string[] =>
  handsOver(structure)
    ? [
        `modparam("htable", "htable", "owners=>size=6;autoexpire=${FORGOTTEN_AFTER};")`,
        ...routes(structure).split("\n"),
        ...(structure.topologyHiding ? unhidden.split("\n") : []),
      ]
    : [];

const nameOf = (address: string, into: string): string => `$var(${into}) = ${address} + " ${peerKeyInCfg}";
  $var(${into}) = $(var(${into}){s.md5}{s.substr,0,16});`;

const routes = ({ advertise = "", topologyHiding }: StructurePlan): string => `
route[MEET_PEER] {
  ${nameOf("$si", "peerName")}
  ${bracketed("$si", "peer")}
  $sht(owners=>$var(peerName)) = "sip:" + $var(peer) + ":${PEER_PORT}";
}

route[OWN_NAME] {
  ${nameOf("$Ri", "ownName")}
}

# $var(owner): the parameter of a route whose phone has its connection here. Who has it gets the request as it came, with the
# addresses that it came from and to, and a digest of them, of the call and of the key. Its answer comes back this way.
route[HAND_OVER] {
  $var(owner) = "";
  if ($route_uri == $null) return;
  $var(name) = $(route_uri{uri.params}{param.value,o});
  if ($var(name) == "") return;
  route(OWN_NAME);
  if ($var(name) == $var(ownName)) {
    $var(owner) = ";o=" + $var(name);
    return;
  }
  if (isflagset(${HANDED_OVER}) || $sht(owners=>$var(name)) == $null || !ds_is_from_list("-1", "3")) return;
  ${bracketed("$si", "peer")}
  $var(told) = $pr + "|" + $Rp + "|" + $pr + ":" + $var(peer) + ":" + $sp;
  $var(proof) = $ci + " " + $var(told) + " ${peerKeyInCfg}";
  remove_hf("${HEADER}");
  append_hf("${HEADER}: $(var(proof){s.md5})|$var(told)\\r\\n");
  $du = $sht(owners=>$var(name));
  # the phone is shown it
  set_advertised_address("${advertisedHost("advertise.address", advertise)}");
  force_send_socket(udp:"SIPR_POD_IP":${PEER_PORT});
${topologyHiding ? unhide : ""}  if (is_method("INVITE")) t_set_fr("0", "${wait.invite}");
  else if (!has_totag()) t_set_fr("0", "${wait.first}");
  else if (!is_method("ACK")) t_set_fr("0", "${wait.within}");
  t_relay();
  exit;
}

# at the port of the replicas
route[HANDED_OVER] {
  $var(told) = $(hdr(${HEADER}){s.after,|});
  $var(proof) = $ci + " " + $var(told) + " ${peerKeyInCfg}";
  # what a caller reads of the key's word in Record-Route is no proof: there a Call-ID is followed by a number
  if ($(hdr(${HEADER}){s.select,0,|}) == $(var(proof){s.md5}) && $var(told) =~ "^[a-z]+\\|[0-9]+\\|[^ ]+$") {
    remove_hf("${HEADER}");
    setflag(${HANDED_OVER});
    return;
  }
  # of what was handed over before
  if (is_method("CANCEL") && t_check_trans()) t_relay();
  else if (is_method("ACK")) t_check_trans();
  exit;
}

# From here on it is as it was for the other replica; what answers goes there.
route[TAKE_OVER] {
  if (!is_method("ACK")) t_newtran();
  ${bracketed("$Ri", "peer")}
  $var(told) = $(hdr(${HEADER}){s.after,|});
  $var(receiver) = $(var(told){s.select,0,|}) + ":" + $var(peer) + ":" + $(var(told){s.select,1,|});
  set_recv_socket("$var(receiver)");
  set_source_address("$(var(told){s.select,2,|})");
}
`;

/**
 * What one replica sends to another one is hidden by neither, and what comes from there by the one that sends it on: as if
 * there were one. Module topoh notes the direction of a message in a header of its own, for itself.
 */
const unhide = `  $avp(direction) = $(hdr(TH){s.substr,0,1});
  remove_hf("TH");
  t_on_reply("HANDED_OVER");
`;
const unhidden = `
event_route[topoh:msg-outgoing] {
  if ($sndto(port) == ${PEER_PORT}) drop;
}

onreply_route[HANDED_OVER] {
  remove_hf("TH");
  if ($avp(direction) == "u") append_hf("TH: dch\\r\\n");
  else append_hf("TH: uch\\r\\n");
}
`;
