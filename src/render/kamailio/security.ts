/**
 * Who is served: access lists, rate limits, digest authentication (authentication.ts), and what every router refuses from
 * strangers. Lists, limits and credentials are data (securityTables.ts); a router without a feature has no line of it.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { authenticationModules, renderAuthentication } from "./authentication.ts";
import { notHandedOver } from "./handOver.ts";
import { noteRecordedRoute } from "./recordedRoute.ts";
import { ROUTE_RECORDED } from "./requestFlags.ts";
import { limitFirst, renderRateLimit } from "./rateLimit.ts";
import { countRequest, counterParameters } from "./messageCounters.ts";
import { groups } from "./securityTables.ts";

/** Programs that look for open servers and weak passwords; matched anywhere in User-Agent, in any case. */
const scanners = [
  "friendly-scanner",
  "sipvicious",
  "sip-scan",
  "sipscan",
  "sundayddr",
  "sipcli",
  "siparmyknife",
  "vaxs?ipuseragent",
  "pplsip",
  "sivus",
  "iwar",
].join("|");

/** Bytes of an answer to OPTIONS beside what it repeats of the request, source address and port, and the tag of To. */
const ANSWER_BYTES = 59 + 37;
/** How much longer any other answer to OPTIONS may be than its 200. */
const LONGER_ANSWER = 48;

export const renderSecurity = (structure: StructurePlan): readonly string[] =>
  [
    'loadmodule "counters.so"',
    ...counterParameters,
    // sanity_reply() answers, where the answer may be sent
    'modparam("sanity", "noreply", 1)',
    // else a failed check ends the script before it
    'modparam("sanity", "autodrop", 0)',
    'modparam("counters", "script_counter", "sipr.scanners_dropped Requests of known scanners, dropped")',
    'modparam("counters", "script_counter", "sipr.small_options_dropped OPTIONS shorter than their answer, dropped")',
    ...(structure.accessControl ? accessModules : []),
    ...authenticationModules(structure),
    admission(structure),
    stripIdentity(structure),
    smallOptions(structure),
    ...(structure.accessControl ? [refuseSource] : []),
    ...renderRateLimit(structure),
    ...renderAuthentication(structure),
  ].flatMap((text) => text.split("\n"));

const accessModules = [
  'loadmodule "permissions.so"',
  'modparam("permissions", "address_file", "SIPR_DATA_DIR/address.list")',
  'modparam("permissions", "max_subnets", 8192)',
  'modparam("permissions", "reload_delta", 0)',
  'modparam("counters", "script_counter", "sipr.access_refused Requests of sources that are not served")',
];

/** Lines of `request_route`, before all else. */
export const everyRequest = (structure: StructurePlan): string =>
  `${countRequest(`if ($pr == "udp"${notHandedOver(structure)}) route(SMALL_OPTIONS);`)}${limitFirst(structure)}`;

/**
 * $var(backend): it comes from a backend. $var(trusted): it may call where a route says `callers: Trusted`. Ends the
 * script for whom it does not admit.
 */
const admission = (structure: StructurePlan): string => `
route[ADMIT] {
  $var(backend) = 0;
  $var(trusted) = 0;
  if (ds_is_from_list("-1", "3")) {
    $var(backend) = 1;
    $var(trusted) = 1;
    ${structure.accessControl ? `if (allow_source_address("${groups.deny}")) route(REFUSE_SOURCE);\n    ` : ""}return;
  }${
    structure.accessControl
      ? `
  if (allow_source_address("${groups.deny}")) route(REFUSE_SOURCE);`
      : ""
  }
  route(STRIP_IDENTITY);
  # RFC 3261 16.3: nothing that it asks of a proxy is known here
  if ($hdr(Proxy-Require) != $null) {
    append_to_reply("Unsupported: $hdr(Proxy-Require)\\r\\n");
    $var(code) = 420;
    $var(reason) = "Bad Extension";
    route(REFUSE);
  }
  if ($ua =~ "${scanners}") {
    cnt_inc("sipr.scanners_dropped");
    exit;
  }${
    structure.accessControl
      ? `
  if (allow_source_address("${groups.allow}")) $var(trusted) = 1;
  else if (!allow_source_address("${groups.served}")) route(REFUSE_SOURCE);`
      : ""
  }${
    structure.authentication === undefined
      ? ""
      : `
  # every method that starts something; within a dialog those that the other side may take for a start
  if (is_method("OPTIONS|ACK|CANCEL|BYE|PRACK|UPDATE|INFO")) return;
  route(AUTHENTICATE);`
  }
}
`;

/** Backends and sources of the access list are believed. */
const passTrusted = ({ accessControl }: StructurePlan): string =>
  `  if (ds_is_from_list("-1", "3")) return;${
    accessControl ? `\n  if (allow_source_address("${groups.allow}")) return;` : ""
  }`;

/**
 * RFC 3325 5: who calls and who pays is said by those whom the network trusts: backends, and sources of an access list.
 * Applied at once: two changes of one header, such as that of topology hiding, take the next one along. Not twice for one
 * request: between, its own Route has been taken off, and is still to be read.
 */
const stripIdentity = (structure: StructurePlan): string => `
route[STRIP_IDENTITY] {
  if (!is_method("ACK|BYE") && (!($mb =~ "\\n\\r?\\n") || $mb =~ "\\r[^\\n]")) route(CHECK_LINES);
  if (!(${[...assertions, "Record-Route"].map((name) => `is_present_hf("${name}")`).join(" || ")}) || isflagset(${ROUTE_RECORDED})) return;
${passTrusted(structure)}${noteRecordedRoute}
${assertions.map((name) => `  remove_hf("${name}");`).join("\n")}
  msg_apply_changes();
}

# Here a CR alone is part of a line, for Asterisk it ends one: what is behind it would be a header field that nobody has looked
# at. No expression looks behind a NUL, which no header field has. A body may have both.
route[CHECK_LINES] {
${passTrusted(structure)}
  $var(size) = $(mb{s.len}) - $(rb{s.len});
  $var(head) = $(mb{s.substr,0,$var(size)});
  if ($var(head) =~ "\\n\\r?\\n" && !($var(head) =~ "\\r[^\\n]")) return;
  $var(code) = 400;
  $var(reason) = "Bad Line";
  route(REFUSE);
}
`;

const assertions = ["P-Asserted-Identity", "Remote-Party-ID", "P-Charging-Vector", "P-Charging-Function-Addresses"];

/**
 * An answer that is longer than its request makes the router an amplifier for who forges the source. What an answer does
 * not repeat has to be at least as long as what it adds.
 */
const smallOptions = (structure: StructurePlan): string => `
route[SMALL_OPTIONS] {
  $var(room) = 21 + $(ru{s.len});
  if ($hdr(Max-Forwards) != $null) $var(room) = $var(room) + 15 + $(hdr(Max-Forwards){s.len});
  if ($hdr(User-Agent) != $null) $var(room) = $var(room) + 13 + $(hdr(User-Agent){s.len});
  if ($hdr(Accept) != $null) $var(room) = $var(room) + 9 + $(hdr(Accept){s.len});
  if ($hdr(Allow) != $null) $var(room) = $var(room) + 8 + $(hdr(Allow){s.len});
  if ($hdr(Contact) != $null) $var(room) = $var(room) + 4 + $(hdr(Contact){s.len});
  if ($hdr(Supported) != $null) $var(room) = $var(room) + 4 + $(hdr(Supported){s.len});
  if ($hdr(Content-Length) != $null) $var(room) = $var(room) + 4 + $(hdr(Content-Length){s.len});
  if ($mb =~ "\\nContent-Length *:") $var(room) = $var(room) + 13;
  if ($mb =~ "\\nContact *:") $var(room) = $var(room) + 6;
  $var(room) = $var(room) - ${ANSWER_BYTES} - $(si{s.len}) - $(sp{s.len});
  $var(terse) = 0;
  if ($var(room) < ${LONGER_ANSWER}) $var(terse) = 1;
  if ($var(room) >= 0) return;
  if (ds_is_from_list("-1", "3")) return;${
    structure.accessControl
      ? `
  if (allow_source_address("${groups.allow}")) return;`
      : ""
  }
  cnt_inc("sipr.small_options_dropped");
  exit;
}

# an answer other than 200
route[REFUSE] {
  if (is_method("ACK")) exit;
  if (is_method("OPTIONS") && $pr == "udp" && $var(terse) == 1) exit;
  sl_send_reply("$var(code)", "$var(reason)");
  exit;
}
`;

const refuseSource = `
route[REFUSE_SOURCE] {
  cnt_inc("sipr.access_refused");
  $var(code) = 403;
  $var(reason) = "Forbidden";
  route(REFUSE);
}
`;
