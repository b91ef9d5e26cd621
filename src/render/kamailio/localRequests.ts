/**
 * Requests that the router itself begins: health checks, and the BYE to both sides of a call that it ends (`dlg.end_dlg`, or no
 * media). Module dialog sends a BYE to the Contact of a side, and a phone behind NAT names an address there that nobody
 * reaches: it gets one where it really is, in the same transaction.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { CALLED_BY_BACKEND, PHONE_CALLED } from "./nextHop.ts";
import { integer } from "./quote.ts";
import { proveTable } from "./replication.ts";
import { numberOfOwn } from "./trunkCalls.ts";

export const renderLocalRequests = (structure: StructurePlan): readonly string[] =>
  `
# The health checks have a timeout of their own. (The parameter of 6.1, ds_ping_fr_timeout, counts in sixteenths of a
# second and is not in 5.6.)
event_route[tm:local-request] {
  if (is_method("OPTIONS")) t_set_fr("0", "${integer("healthCheck.timeoutSeconds", structure.healthCheck.timeoutSeconds * 1000)}");
  else if (is_method("BYE")) route(BYE_TO_PHONE);${numberOfOwn(structure)}${proveTable(structure)}
}

route[BYE_TO_PHONE] {
  # a proxy in front of it, or another replica
  if ($hdr(Route) != $null) return;
  if (!dlg_get("$ci", "$ft", "$tt")) return;
  if ($ft == $dlg(from_tag)) {${
    structure.topologyHiding
      ? `
    # who is called knows the call by other names, which only what module topoh sends has
    return;`
      : `
    if (!dlg_isflagset("${PHONE_CALLED}")) return;
    $var(side) = $dlg_var(callee);`
  }
  } else {
    if (dlg_isflagset("${CALLED_BY_BACKEND}")) return;
    $var(side) = $dlg_var(caller);
  }
  if ($var(side) == 0) return;
  $var(uri) = $ru;
  route(ADDRESS);
  $var(wanted) = $var(address);
  $var(uri) = $var(side);
  route(ADDRESS);
  if ($var(address) != $var(wanted)) send_data("$var(side)", "$mb");
}
`.split("\n");
