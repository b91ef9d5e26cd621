/**
 * Topology hiding: neither side of a call learns an address of the other side. Module topoh writes what one side needs of
 * the other (Via, Record-Route, Contact, Call-ID) in a form that only a holder of the key can read, so that every replica
 * serves every request without any memory. It leaves From, To and the headers of identities alone: an IP address in these
 * is replaced by the router's own. Bodies are not touched.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { advertisedHost } from "./quote.ts";
import { maskAlphabetInCfg, maskKeyInCfg } from "./tokens.ts";

/** A further line after a statement, where topology is hidden. */
export const hideIn = ({ topologyHiding }: StructurePlan, route: "HIDE_CALL" | "HIDE_HEADERS"): string =>
  topologyHiding ? `\n  route(${route});` : "";

/**
 * Of a request within a dialog other than ACK, before the Route is looked at: From and To are restored in the reply by its
 * transaction, never by an earlier one.
 */
export const hideWithin = ({ topologyHiding }: StructurePlan): string =>
  topologyHiding ? "\n    t_check_trans();" : "";

export const hideInReply = ({ topologyHiding }: StructurePlan): string =>
  topologyHiding
    ? "\n  route(HIDE_HEADERS);\n  # a header that had nothing to hide is no reason to drop the reply\n  return 1;"
    : "";

/** A reply that comes when its transaction is over is passed on without it: nothing restores its From and To. */
export const hideInLateReply = ({ topologyHiding }: StructurePlan): string =>
  topologyHiding ? "\n  route(HIDE_NAMES);" : "";

const maskReplaces = `if (is_method("REFER") && $hdr(Refer-To) =~ "[?&][Rr]eplaces=") route(MASK_REPLACES);`;

/** A further line where a request may be a transfer to a call that is there. */
export const hideTransfer = ({ topologyHiding }: StructurePlan, indent = "  "): string =>
  topologyHiding ? `\n${indent}${maskReplaces}` : "";

/** Of a final reply, behind what is done for INVITE. */
export const hideTransferInReply = ({ topologyHiding }: StructurePlan): string =>
  topologyHiding ? ` else ${maskReplaces}` : "";

/** Before module dialog: what is sent passes the later module first, and dialog has to find its call by the Call-ID unmasked. */
export const hidingModule = ({ topologyHiding }: StructurePlan): readonly string[] =>
  topologyHiding ? ['loadmodule "topoh.so"'] : [];

/** After the other modules: it changes a parameter of theirs. */
export const renderTopology = (structure: StructurePlan): readonly string[] =>
  structure.topologyHiding
    ? [...(structure.trunks === true ? [] : ['loadmodule "uac.so"']), ...modules, ...routes(structure)]
    : [];

const modules = [
  // a Call-ID is masked character by character
  "max_while_loops=1000",
  // says which way a request inside a dialog goes
  'modparam("rr", "append_fromtag", 1)',
  `modparam("topoh", "mask_key", "${maskKeyInCfg}")`,
  'modparam("topoh", "mask_callid", 1)',
  'modparam("uac", "restore_mode", "auto")',
  `modparam("uac", "restore_passwd", "${maskKeyInCfg}")`,
];

/** Headers that name a person or a call by a URI (RFC 3325, 3515, 3892, 5806, 7044; draft-ietf-sip-privacy). */
const identities = [
  "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "History-Info", "Referred-By",
  "Refer-To", "Reply-To", "Call-Info", "Alert-Info", "Error-Info",
] as const; // prettier-ignore

const address = "(\\\\[[0-9a-fA-F:.]+\\\\]|[0-9]+(\\\\.[0-9]+){3})";
const hideHost = (name: string): string =>
  `subst_hf("${name}", "/(sips?:([^@?>]*@)?)${address}/\\1$var(own)/ig", "a");`;
/** RFC 4648, section 4 */
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** to the end of the first parameter, which an escaped semicolon (%3B) marks */
const escapedCallId = "([^%;&>]|%[0-24-9a-f].|%3[0-9ac-f])+";
const isAddress = '"^(\\\\[[0-9a-fA-F:.]+\\\\]|[0-9]+(\\\\.[0-9]+){3})$"';

const routes = ({ advertise }: StructurePlan): readonly string[] =>
  `
# the first request of a call
route[HIDE_CALL] {
  route(HIDE_HEADERS);
  if ($fd != $var(own) && $fd =~ ${isAddress}) {
    if ($fU == $null) uac_replace_from("sip:$var(own)");
    else uac_replace_from("sip:$fU@$var(own)");
  }
  if ($td != $var(own) && $td =~ ${isAddress}) {
    if ($tU == $null) uac_replace_to("sip:$var(own)");
    else uac_replace_to("sip:$tU@$var(own)");
  }
  ${maskReplaces}
}

# Most messages have none of these headers. To look for one takes longer than to substitute in none.
route[HIDE_HEADERS] {
  ${ownAddress(advertise)}
${identities.map((name) => `  ${hideHost(name)}`).join("\n")}
  # RFC 3261 20.43: the second word is the host that warns
  subst_hf("Warning", "/^([0-9]{3} +)[^ ]+/\\1sip-router/", "a");
}

route[HIDE_NAMES] {
  ${ownAddress(advertise)}
  ${hideHost("From")}
  ${hideHost("To")}
}

# A transfer to a call that is there (RFC 3891) names the other call by its Call-ID, as one side knows it.
route[MASK_REPLACES] {
  $var(text) = $(hdr(Refer-To){re.subst,/^.*[?&]replaces=(${escapedCallId}).*$/\\1/i}{s.unescape.param});
  $var(masked) = "";
  if ($(var(text){s.substr,0,3}) == "!!:") {
    $var(text) = $(var(text){s.substr,3,0});
    $var(from) = "_${maskAlphabetInCfg}*";
    $var(into) = "_${BASE64}=";
    route(TRANSLATE);
    $var(masked) = $(var(masked){s.decode.base64});
  } else {
    $var(text) = $(var(text){s.encode.base64});
    $var(from) = "_${BASE64}=";
    $var(into) = "_${maskAlphabetInCfg}*";
    route(TRANSLATE);
    $var(masked) = "!!:" + $var(masked);
  }
  $var(masked) = $(var(masked){s.escape.param});
  subst_hf("Refer-To", "/([?&]replaces=)${escapedCallId}/\\1$var(masked)/i", "a");
}

# the first character of $var(from) is none of $var(text): what is before a match is never empty
route[TRANSLATE] {
  $var(at) = 0;
  $var(size) = $(var(text){s.len});
  while ($var(at) < $var(size)) {
    $var(one) = $(var(text){s.substr,$var(at),1});
    $var(position) = $(var(from){s.before,$var(one)}{s.len});
    $var(masked) = $var(masked) + $(var(into){s.substr,$var(position),1});
    $var(at) = $var(at) + 1;
  }
}
`.split("\n");

/** Its family is that of the message. */
const ownAddress = (advertise: string | undefined): string =>
  advertise === undefined
    ? `$var(own) = $Ri;
  if (af == INET6) $var(own) = "[" + $Ri + "]";`
    : `$var(own) = "${advertisedHost("advertise.address", advertise)}";`;
