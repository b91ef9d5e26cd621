/**
 * Trunks that challenge: a 401 or 407 is answered with the credentials of the very destination that sent it, and of no
 * other. The number of the request (CSeq) goes up by one with each answer (RFC 3261 22.2), for this side of the call
 * only: module dialog, `track_cseq_updates`.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { htableFields, htableShape, secretTable } from "./dataTable.ts";
import { integer, refuse } from "./quote.ts";

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

export const renderTrunks = ({ trunks }: StructurePlan): readonly string[] => (trunks === true ? parts : []);

const parts = `
loadmodule "uac.so"
modparam("uac", "restore_mode", "none")
modparam("uac", "auth_realm_avp", "$var(trunk_realm)")
modparam("uac", "auth_username_avp", "$var(trunk_user)")
modparam("uac", "auth_password_avp", "$var(trunk_password)")
modparam("dialog", "track_cseq_updates", 1)
modparam("htable", "htable", "trunks=>size=8;dbtable=trunks;")
modparam("xhttp_prom", "prom_counter", "name=${REFUSALS};label=destination")

# A request within a call that a trunk has challenged: it may challenge again. RFC 3262 7.2: RAck has the number of the
# request that is answered, as the trunk knows it.
route[TRUNK_WITHIN] {
  if (is_method("PRACK") && $ft == $dlg(from_tag) && $dlg_var(cseq_diff) != $null) {
    $var(number) = $(hdr(RAck){re.subst,/^[0-9]+[[:space:]]+([0-9]+).*$/\\1/}{s.int}) + $(dlg_var(cseq_diff){s.int});
    subst_hf("RAck", "/^([0-9]+[ \\t]+)[0-9]+/\\1$var(number)/", "a");
  }
  if ($dlg_var(trunk) != $null && $ft == $dlg(from_tag) && !is_method("ACK")) t_on_failure("TRUNK_WITHIN");
}

failure_route[TRUNK_WITHIN] {
  if (t_is_canceled()) exit;
  if ($T_reply_code != 401 && $T_reply_code != 407) exit;
  $var(at) = $dlg_var(trunk);
  ${answer("TRUNK_REFUSED")}
}

# Its challenge is for this router and not for the caller, who could answer it with credentials of his own.
failure_route[TRUNK_REFUSED] {
  if (t_is_canceled()) exit;
  if ($T_reply_code == 401 || $T_reply_code == 407) t_reply("403", "Forbidden");
}
`.split("\n");

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
        if (is_method("INVITE")) $dlg_var(trunk) = $var(at);
        ${answer("NEXT").replaceAll("\n", "\n      ")}
      }
      if ($var(refused) == 1) prom_counter_inc("${REFUSALS}", "1", "$xavp(_dsdst_=>uri)");
    }
  }`
    : "";

/** When the next destination is tried: it was asked nothing yet. */
export const forgetTrunk = ({ trunks }: StructurePlan): string =>
  trunks === true
    ? `
    if (is_method("INVITE") && $dlg_var(cseq_diff) != $null) $dlg_var(cseq_diff) = "0";`
    : "";

/** Part of a condition of the failure route: `$var(refused)` and the rest, where there are trunks. */
export const trunkRefused = ({ trunks }: StructurePlan, rest: string): string =>
  trunks === true ? `$var(refused)${rest}` : "";
