/**
 * Calls of trunks that have challenged. The number of a request (CSeq) goes up by one with each answer to a challenge (RFC
 * 3261 22.2), on the trunk's side only; so from then on all that the caller sends within the call is moved by as much, and
 * the replies are moved back. By how much, and whose credentials are asked for again, is in a row that every replica has: each
 * of them serves the call, whichever it came in at first. Calls that nobody challenges have none.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { ofGroup } from "./nextHop.ts";
import { replicatedTable } from "./replication.ts";
import { TO_TRUNK } from "./requestFlags.ts";

/** Digest of the Call-ID and the caller's tag -> `<moved by>|<the last INVITE>|<set id> <uri>`, no destination: it asked nothing yet. */
const row = "$sht(moved=>$var(call))";
/** $var(call): of a message whose caller has that tag */
const callOf = (callId: string, tag: string): string =>
  `$var(call) = ${callId} + " " + ${tag}; $var(call) = $(var(call){s.md5});`;
const call = callOf("$ci", "$ft");
const good = "$rs >= 200 && $rs < 300";
/** as long as module dialog knows a call */
const MOST_SECONDS = 43_200;
/** from its end on: its last requests are answered */
const LAST_SECONDS = 60;

const keepNotLong = `$shtex(moved=>$var(call)) = ${LAST_SECONDS};`;
/** Line for a reply to BYE: the replica that has the call may have died. */
const end = `if (((${good}) || $rs == 481) && ${row} != $null) ${keepNotLong}`;

const when = ({ trunks }: StructurePlan, text: string): string => (trunks === true ? text : "");

/** In `reply_route`, for what belongs to a transaction or a call of this replica. */
export const numberInReply = (structure: StructurePlan): string =>
  when(
    structure,
    `
  ${call}
  $var(row) = ${row};
  if ($var(row) != 0) route(TRUNK_REPLY);
  else if (is_method("BYE")) {
    ${callOf("$ci", "$tt")}
    ${end}
  }`,
  );

/** When the next destination is tried: it was asked nothing yet. */
export const forgetTrunk = (structure: StructurePlan): string =>
  when(
    structure,
    `
    if (is_method("INVITE")) {
      ${call}
      if (${row} != $null) ${row} = "0|0|";
    }`,
  );

/** Before an answer is sent, $var(moved) is by how much its number is moved, and before that was $var(invite) for the INVITE. */
export const moveAnswer = `if ($var(moved) > 0) {
        if (is_method("INVITE")) $var(invite) = $var(moved);
        $(avp(moved)[*]) = $var(moved);
        ${call}
        ${row} = "" + $var(moved) + "|" + $var(invite) + "|" + $var(at);
        t_on_branch("TRUNK_NUMBER");
      }`;

/** $var(row) -> its fields */
const fields = `$var(moved) = $(var(row){s.select,0,|}{s.int});
  $var(invite) = $(var(row){s.select,1,|}{s.int});
  $var(at) = $(var(row){s.select,2,|});`;
const setNumber = 'subst_hf("CSeq", "/^[0-9]+/$var(number)/", "f");';

/** Lines for a BYE of this router itself: its number comes next behind those of the caller, as the trunk knows them. */
export const numberOfOwn = (structure: StructurePlan): string =>
  when(
    structure,
    `
  if (is_method("BYE")) {
    ${call}
    $var(row) = ${row};
    $var(number) = $(cs{s.int}) + $(var(row){s.select,0,|}{s.int});
    if ($var(row) != 0) ${setNumber}
  }`,
  );

/** @param answer sends the request again, see trunks.ts; nothing where there are no credentials */
export const renderTrunkCalls = (structure: StructurePlan, answer: string, otherwise: string): string => `
modparam("htable", "htable", "moved=>size=10;autoexpire=${MOST_SECONDS};updateexpire=0;${replicatedTable(structure)}")

# A request of the caller within a call of a trunk that has challenged: it may challenge again. An ACK has the number of its
# INVITE, and so has RAck (RFC 3262 7.2), as the trunk knows it.
route[TRUNK_WITHIN] {
  ${call}
  $var(row) = ${row};
  if ($var(row) == 0) return;
  ${fields}
  if (is_method("ACK")) {
    $var(number) = $(cs{s.int}) + $var(invite);
    if ($var(invite) > 0) ${setNumber}
    return;
  }
  if (is_method("PRACK") && $var(invite) > 0) {
    $var(number) = $(hdr(RAck){re.subst,/^[0-9]+[[:space:]]+([0-9]+).*$/\\1/}{s.int}) + $var(invite);
    subst_hf("RAck", "/^([0-9]+[ \\t]+)[0-9]+/\\1$var(number)/", "a");
  }
  $avp(moved) = $var(moved);
  if ($var(moved) > 0) t_on_branch("TRUNK_NUMBER");
  if ($var(at) == "") return;
  setflag(${TO_TRUNK});
  t_on_failure("TRUNK_WITHIN");
}

branch_route[TRUNK_NUMBER] {
  $var(number) = $(cs{s.int}) + $avp(moved);
  ${setNumber}
}

failure_route[TRUNK_WITHIN] {
  if (t_is_canceled()) exit;
  if ($T_reply_code != 401 && $T_reply_code != 407) {
    route(TRUNK_REFUSES);${otherwise}
    exit;
  }
  ${call}
  $var(row) = ${row};
  ${fields}
  route(TRUNK_ASKS);
  if ($var(good) == 0) exit;
  if ($var(moved) < $avp(moved)) $var(moved) = $avp(moved);
  $var(moved) = $var(moved) + 1;
  # of a BYE another replica may hear later than of its end
  if (!is_method("BYE")) $shtex(moved=>$var(call)) = ${MOST_SECONDS};
  ${answer}
}

# $var(good): not a backend of another set, where a caller may send what has no dialog here; that one is told nothing of $var(at)
route[TRUNK_ASKS] {
  $var(next) = $du;
  if ($du == $null) $var(next) = $ru;
  $var(good) = 0;
  route(IS_BACKEND);
  if ($var(good) == 0) {
    $var(good) = 1;
    return;
  }
  $var(group) = $(var(at){re.subst,/^([0-9]+).*$/\\1/});
${ofGroup}
}

# Its challenge is for this router and not for the caller, who could answer it with credentials of his own.
failure_route[TRUNK_REFUSED] {
  if (t_is_canceled()) exit;
  route(TRUNK_REFUSES);
  if ($T_reply_code == 401 || $T_reply_code == 407) {
    t_reply("403", "Forbidden");
    exit;
  }${otherwise}
}

# refused or not answered: who sends a BYE has ended the call (RFC 3261 15.1.1)
route[TRUNK_REFUSES] {
  if (!is_method("BYE")) return;
  ${call}
  if (${row} != $null) ${keepNotLong}
}

# $var(row): the reply gets the number of its request again; a 2xx whose transaction is over answers the last INVITE
route[TRUNK_REPLY] {
  ${fields}
  if ($T_req($cs) != $null) $var(number) = $(T_req($cs){s.int});
  else $var(number) = $(cs{s.int}) - $var(invite);
  $var(by) = $(cs{s.int}) - $var(number);
  if (${good} && is_method("INVITE") && $var(by) != $var(invite)) ${row} = "" + $var(moved) + "|" + $var(by) + "|" + $var(at);
  if (is_method("BYE")) ${end}
  if ($var(by) == 0) return;
  ${setNumber}
  # a reply that is kept is kept without what has been changed
  msg_apply_changes();
}

# a BYE has come, or none for too long
event_route[dialog:end] {
  ${callOf("$dlg(callid)", "$dlg(from_tag)")}
  if (${row} != $null) ${keepNotLong}
}

event_route[dialog:failed] {
  ${callOf("$dlg(callid)", "$dlg(from_tag)")}
  if (${row} != $null) ${row} = $null;
}
`;
