/**
 * Replicas behind one advertised address: a BYE may come in at another replica than the one that began the call and counts
 * it. Who relays it tells the others, and the one that has the call ends it as if it had run out: nobody is sent a BYE for it.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { peerKeyInCfg } from "./tokens.ts";

export const tellsEnds = ({ sharedAddress }: StructurePlan): boolean => sharedAddress === true;

/** Only who has the Secret of the replicas knows its name. */
const CHANNEL = `${peerKeyInCfg}.ended`;

/** Line for a request of a dialog that is not known here, and which is going to be relayed. */
export const tellEnd = (structure: StructurePlan): string =>
  tellsEnds(structure) ? '\n  if (is_method("BYE")) route(TELL_END);' : "";

/** Lines of `request_route`, for what another replica sends. */
export const hearEnd = (structure: StructurePlan): string =>
  tellsEnds(structure)
    ? `
    if (is_method("KDMQ") && $rU == "${CHANNEL}") {
      route(HEAR_END);
      exit;
    }`
    : "";

/**
 * What is told is the key's word, which two sides of the call and no others have: a BYE without it ends no count. In base64
 * without separators of its own, whatever a Call-ID has.
 */
export const renderCallEnds = (structure: StructurePlan): readonly string[] =>
  tellsEnds(structure)
    ? `
route[TELL_END] {
  route(IS_KEYED);
  if ($var(keyed) == 0) return;
  # once for a request, however often it is sent
  if (t_precheck_trans()) exit;
  t_check_trans();
  dmq_bcast_message("${CHANNEL}", "$(ci{s.encode.base64}).$(ft{s.encode.base64}).$(tt{s.encode.base64})", "text/plain");
}

route[HEAR_END] {
  $var(ended_call) = $(rb{s.select,0,.}{s.decode.base64});
  $var(ended_from) = $(rb{s.select,1,.}{s.decode.base64});
  $var(ended_to) = $(rb{s.select,2,.}{s.decode.base64});
  # answered: dialog states 3 and 4
  if (dlg_get("$var(ended_call)", "$var(ended_from)", "$var(ended_to)") && $dlg(state) >= 3 && $dlg(state) <= 4)
    dlg_set_timeout("1");
  sl_send_reply("200", "OK");
}
`.split("\n")
    : [];
