/**
 * The way to the side of a dialog that is no backend: what it wrote of it itself leads to nobody else. A proxy in front of the
 * router may record a route of its own, in the first request (the Record-Route of this router says so by a parameter `v`) or in
 * the answer of a phone that is called. What a backend sends along that route goes to the host that the first request or the
 * answer came from: to the port or the transport that the proxy names, else where it came from, with the Route as it is. The
 * host is known by the Contact as this router passed it on.
 */
import { isReplica, sharesLocation, unlessPeer } from "./replication.ts";
import { ROUTE_RECORDED } from "./requestFlags.ts";
import type { StructurePlan } from "../../ir/types.ts";

export const ROUTE_MARK = ";v=1";

/** A line of route[STRIP_IDENTITY]. */
export const noteRecordedRoute = `\n  if (is_present_hf("Record-Route")) setflag(${ROUTE_RECORDED});`;

/** A statement: says in Contact where its sender is, unless another replica has said it. */
export const aliasUnlessPeer = (structure: StructurePlan): string => `${unlessPeer(structure)}route(ALIAS);`;

/** A statement for a request within a dialog that has a further Route. */
export const followRecorded = "route(RECORDED_ROUTE);";

export const renderRecordedRoute = (structure: StructurePlan): readonly string[] =>
  `
# Written by the phone itself it would be taken for this router's, where this router has none to write.
route[ALIAS] {
  add_contact_alias();
  if ($rc == 2 && $(ct{s.select,1,~}) != "") subst_hf("Contact", "/;[ \\t]*alias[ \\t]*=[^;>]*//ig", "a");
}

route[RECORDED_ROUTE] {
  if (!ds_is_from_list("-1", "3")) return;
  route(WHOSE_ROUTE);
  if ($var(stranger) == 0) return;${
    sharesLocation(structure)
      ? `
  $var(host) = $(du{uri.host}{re.subst,/[][]//g});
  if (${isReplica(structure)}) return;`
      : ""
  }
  $var(recorded) = $du;
  $du = $null;
  handle_ruri_alias();
  if ($du == $null) $du = $ru;
  if ($(du{uri.host}) == $(var(recorded){uri.host})) $du = $var(recorded);
}
`.split("\n");
