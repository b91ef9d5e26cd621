/**
 * Topology hiding: neither side of a call learns an address of the other side. Module topoh writes what one side needs of
 * the other (Via, Record-Route, Contact, Call-ID) in a form that only a holder of the key can read, so that every replica
 * serves every request without any memory. It leaves From, To and the headers of identities alone: an IP address in these
 * is replaced by the router's own. Bodies are not touched.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { advertisedHost } from "./quote.ts";
import { maskKeyInCfg } from "./tokens.ts";

/** A further line after a statement, where topology is hidden. */
export const hideIn = ({ topologyHiding }: StructurePlan, route: "HIDE_CALL" | "HIDE_HEADERS"): string =>
  topologyHiding ? `\n  route(${route});` : "";

/** After the other modules: it changes a parameter of theirs. */
export const renderTopology = (structure: StructurePlan): readonly string[] =>
  structure.topologyHiding
    ? [...(structure.trunks === true ? [] : ['loadmodule "uac.so"']), ...modules, ...routes(structure)]
    : [];

const modules = [
  'loadmodule "topoh.so"',
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
const isAddress = '"^(\\\\[[0-9a-fA-F:.]+\\\\]|[0-9]+(\\\\.[0-9]+){3})$"';

const routes = ({ advertise }: StructurePlan): readonly string[] =>
  `
route[OWN_ADDRESS] {
${advertise === undefined ? ownAddress : `  $var(own) = "${advertisedHost("advertise.address", advertise)}";`}
}

# the first request of a call
route[HIDE_CALL] {
  route(OWN_ADDRESS);
  if ($fd =~ ${isAddress} && $fd != $var(own)) {
    $var(hidden) = "sip:" + $var(own);
    if ($fU != $null) $var(hidden) = "sip:" + $fU + "@" + $var(own);
    uac_replace_from("$var(hidden)");
  }
  if ($td =~ ${isAddress} && $td != $var(own)) {
    $var(hidden) = "sip:" + $var(own);
    if ($tU != $null) $var(hidden) = "sip:" + $tU + "@" + $var(own);
    uac_replace_to("$var(hidden)");
  }
  route(HIDE_HEADERS);
}

route[HIDE_HEADERS] {
  route(OWN_ADDRESS);
${identities.map((name) => `  subst_hf("${name}", "/(sips?:|@)${address}/\\\\1$var(own)/ig", "a");`).join("\n")}
  # RFC 3261 20.43: the second word is the host that warns
  subst_hf("Warning", "/^([0-9]{3} +)[^ ]+/\\\\1sip-router/", "a");
}
`.split("\n");

const ownAddress = `  $var(own) = $Ri;
  if ($Ri =~ ":") $var(own) = "[" + $Ri + "]";`;
