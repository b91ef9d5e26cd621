/**
 * Trunks that challenge: a 401 or 407 is answered with the credentials of the very destination that sent it, and of no
 * other. What follows from that for the call is in trunkCalls.ts.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { tellRefused } from "./callEnds.ts";
import { htableFields, htableShape, secretTable } from "./dataTable.ts";
import { integer, refuse } from "./quote.ts";
import { TO_TRUNK } from "./requestFlags.ts";
import { moveAnswer, numberInReply, renderTrunkCalls } from "./trunkCalls.ts";

/** `<set id> <uri>` -> user and password in base64, joined by a dot. */
export const trunkTable = secretTable(htableShape("trunks"), ({ structure, data: { trunks } }) => {
  if (structure.trunks !== true) return undefined;
  if (trunks === undefined) return refuse("credentialsSecretName", trunks, "a Secret with username and password");
  const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");
  const rows = trunks.logins.map(({ setId, uri, username, password }) => {
    const key = `${integer("trunk: set", setId, 100, 999_999)} ${uri}`;
    if (username === "" || password === "") refuse(`trunk ${key}`, "(hidden)", "a username and a password");
    return [key, htableFields(key, `${base64(username)}.${base64(password)}`)] as const;
  });
  return { salt: trunks.salt, rows };
});

/** Metric, with the trunk as label. */
const REFUSALS = "sipr_trunk_refused";

export const renderTrunks = (structure: StructurePlan): readonly string[] =>
  structure.trunks === true
    ? [
        ...parts.split("\n"),
        ...renderTrunkCalls(structure, answer("TRUNK_REFUSED"), tellRefused(structure)).split("\n"),
      ]
    : [];

const ours = '$hfitname(challenge) =~ "^(WWW|Proxy)-Authenticate$"';
const md5 =
  '($hfitbody(challenge) =~ "^Digest[ \\t]" && (!($hfitbody(challenge) =~ "algorithm[ \\t]*=") || $hfitbody(challenge) =~ "algorithm[ \\t]*=[ \\t]*\\"?MD5\\"?[ \\t]*(,|$)"))';

const parts = `
loadmodule "uac.so"
modparam("uac", "restore_mode", "none")
modparam("uac", "auth_realm_avp", "$var(trunk_realm)")
modparam("uac", "auth_username_avp", "$var(trunk_user)")
modparam("uac", "auth_password_avp", "$var(trunk_password)")
modparam("htable", "htable", "trunks=>size=8;dbtable=trunks;")
modparam("xhttp_prom", "prom_counter", "name=${REFUSALS};label=destination")

# a flag of the request, which its replies are read by
route[TRUNK_AHEAD] {
  resetflag(${TO_TRUNK});
  $var(at) = "" + $xavp(_dsdst_=>grp) + " " + $xavp(_dsdst_=>uri);
  if ($sht(trunks=>$var(at)) != $null) setflag(${TO_TRUNK});
}

# RFC 8760: a trunk may ask in several ways, the one that it likes best first. Kamailio 5.6 looks at the first only.
route[CHALLENGES] {
  if (($T_req($mf) & ${2 ** TO_TRUNK}) == 0) return;
  $var(known) = 0;
  hf_iterator_start("challenge");
  while (hf_iterator_next("challenge")) {
    if (${ours} && ${md5}) $var(known) = 1;
  }
  hf_iterator_end("challenge");
  if ($var(known) == 0) return;
  hf_iterator_start("challenge");
  while (hf_iterator_next("challenge")) {
    if (${ours} && !(${md5})) hf_iterator_rm("challenge");
  }
  hf_iterator_end("challenge");
  msg_apply_changes();
}
`;

/** $var(at), set id and URI of the destination that challenged: sends the request again, where there are credentials. */
function answer(next: string): string {
  return `$var(login) = $sht(trunks=>$var(at));
  if ($var(login) != 0) {
    $var(trunk_realm) = "";
    $var(trunk_user) = $(var(login){s.select,0,.}{s.decode.base64});
    $var(trunk_password) = $(var(login){s.select,1,.}{s.decode.base64});
    $var(login) = 1;
    if (uac_auth()) {
      $var(trunk_password) = "";
      ${moveAnswer}
      t_on_failure("${next}");
      t_relay();
      exit;
    }
    $var(trunk_password) = "";
  }`;
}

/**
 * Lines of the failure route, before a challenge is passed to the caller. $var(refused): the trunk does not take its
 * credentials (or asks for what cannot be answered), so the next destination is tried. Some say so by 403; after it has rung
 * a 403 is about something else.
 */
export const answerTrunk = ({ trunks }: StructurePlan): string =>
  trunks === true
    ? `
  $var(refused) = 0;
  if ($T_reply_code == 401 || $T_reply_code == 407 || $T_reply_code == 403) {
    $var(at) = "" + $xavp(_dsdst_=>grp) + " " + $xavp(_dsdst_=>uri);
    if ($sht(trunks=>$var(at)) != $null) {
      if ($avp(answered) == $var(at)) {
        if ($T_reply_code != 403 || $dlg(state) != 2) $var(refused) = 1;
      } else if ($T_reply_code != 403) {
        $var(refused) = 1;
        $(avp(answered)[*]) = $var(at);
        $var(moved) = 0;
        if (is_method("INVITE")) $var(moved) = 1;
        ${answer("NEXT").replaceAll("\n", "\n      ")}
      }
      if ($var(refused) == 1) prom_counter_inc("${REFUSALS}", "1", "$xavp(_dsdst_=>uri)");
    }
  }`
    : "";

/** Right before a request is sent to a destination of a set. */
export const markTrunk = ({ trunks }: StructurePlan, indent = "  "): string =>
  trunks === true ? `\n${indent}route(TRUNK_AHEAD);` : "";

/** Lines of `reply_route`. */
export const trunkReplies = (structure: StructurePlan): string =>
  structure.trunks === true
    ? `
  if (($rs == 407 && $hdrc(Proxy-Authenticate) > 1) || ($rs == 401 && $hdrc(WWW-Authenticate) > 1)) route(CHALLENGES);${numberInReply(structure)}`
    : "";

/** Part of a condition of the failure route: `$var(refused)` and the rest, where there are trunks. */
export const trunkRefused = ({ trunks }: StructurePlan, rest: string): string =>
  trunks === true ? `$var(refused)${rest}` : "";
