/** REGISTER of a PBX: kept. Of a phone: forwarded to the PBX that owns the extension, with Path, its lifetime capped; or refused. */
import type { StructurePlan } from "../../ir/types.ts";
import { authenticateAll, renderForwardAll } from "./forwardAll.ts";
import { greaterThan } from "./numberPattern.ts";
import { addPath, renderHandOver } from "./handOver.ts";
import { integer, refuse } from "./quote.ts";
import { renderRegistrants } from "./registrants.ts";
import { renderLocation, renderRegistrar } from "./registrar.ts";

export const renderRegistration = (structure: StructurePlan): readonly string[] => [
  ...renderLocation(structure),
  ...renderRegistrants(structure),
  ...registering(structure),
];

function registering(structure: StructurePlan): readonly string[] {
  const { registration } = structure;
  switch (registration.mode) {
    case "Reject":
      return rejecting;
    case "Forward":
      return [...forwarding(structure, false), ...renderHandOver(structure)];
    case "ForwardAll":
      return [...forwarding(structure, true), ...renderForwardAll(), ...renderHandOver(structure)];
    case "Registrar":
      return renderRegistrar(structure);
    default:
      return refuse("registration.mode", registration.mode, "Forward, ForwardAll, Registrar or Reject");
  }
}

const rejecting = `
route[REGISTER] {
  sl_send_reply("403", "Registration Not Allowed");
}
`.split("\n");

/**
 * The same phone goes to the same destination of a tier (algorithm 2, hash of the To URI): a digest challenge is good
 * only where it came from. `external` takes no registrations, routes for trusted callers only those of backends.
 */
function forwarding(structure: StructurePlan, all: boolean): readonly string[] {
  const maxExpires = structure.registration.maxExpiresSeconds;
  const max = integer("registration.maxExpiresSeconds", maxExpires, 30, 86_400);
  const longer = greaterThan(maxExpires);
  return `
route[REGISTER] {${all ? authenticateAll : ""}
  if ($rz != "sip") route(TO_SIP_URI);
  $var(user) = "";
  if ($tU != $null) $var(user) = $tU;
  route(LOOKUP);
  if ($var(found) == "") {
    sl_send_reply("404", "Not Found");
    exit;
  }
  if ($(var(found){s.select,4,|}{s.select,1,/}) == "external") {
    sl_send_reply("403", "Forbidden");
    exit;
  }
  if ($(var(found){s.substr,1,1}) == "T" && $var(trusted) == 0) {
    sl_send_reply("403", "Forbidden");
    exit;
  }
  route(CAP_EXPIRES);
  remove_hf("Route");
  # Asterisk answers 420 to a Path that no Supported header announces
  if (!($hdr(Supported) =~ "path")) append_hf("Supported: path\\r\\n");${addPath(structure)}
  $var(rule) = $(var(found){s.select,3,|}{re.subst,/=[0-9]+/=2/g});
  route(${all ? "TO_ALL" : "TO_SET"});
}

# A phone whose PBX fails is reached again after its next REGISTER: not later than ${max} s.
route[CAP_EXPIRES] {
  subst_hf("Contact", "/(;[ \\t]*expires[ \\t]*)=[ \\t]*\\"?${longer}/\\1=${max}/ig", "a");
  if ($hdr(Expires) == $null) {
    append_hf("Expires: ${max}\\r\\n");
  } else if ($hdr(Expires) =~ "^${longer}$") {
    remove_hf("Expires");
    append_hf("Expires: ${max}\\r\\n");
  }
}
`.split("\n");
}
