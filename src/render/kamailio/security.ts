/**
 * Who is served: access lists, rate limits, digest authentication, and what every router refuses from strangers. Lists,
 * limits and credentials are data (securityTables.ts); a router without a feature has no line of it.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { cfgText, refuse } from "./quote.ts";
import { hasRegistrants, registrantPassword } from "./registrants.ts";
import { notHandedOver } from "./handOver.ts";
import { noteRecordedRoute } from "./recordedRoute.ts";
import { ROUTE_RECORDED } from "./requestFlags.ts";
import { limitFirst, renderRateLimit } from "./rateLimit.ts";
import { countRequest, counterParameters } from "./messageCounters.ts";
import { groups } from "./securityTables.ts";
import { controlTokenInCfg } from "./tokens.ts";

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
    ...(structure.authentication === undefined ? [] : [credentials]),
    ...(asks(structure) ? authModules : []),
    admission(structure),
    stripIdentity(structure),
    smallOptions(structure),
    ...(structure.accessControl ? [refuseSource] : []),
    ...renderRateLimit(structure),
    ...(asks(structure) ? [authenticate(structure)] : []),
  ].flatMap((text) => text.split("\n"));

const accessModules = [
  'loadmodule "permissions.so"',
  'modparam("permissions", "address_file", "SIPR_DATA_DIR/address.list")',
  'modparam("permissions", "max_subnets", 8192)',
  'modparam("permissions", "reload_delta", 0)',
  'modparam("counters", "script_counter", "sipr.access_refused Requests of sources that are not served")',
];

/**
 * All replicas accept each other's nonces: the secret is made of the Secret that all have. A nonce is good for one
 * source address (flag 8 of `auth_checks_*`), one Call-ID (2) and, where it does not register, one URI (1): an answer that
 * somebody overhears is good for nothing else. A phone that uses it for its next call is told that it is stale.
 */
const authModules = [
  'loadmodule "auth.so"',
  `modparam("auth", "secret", "${controlTokenInCfg}")`,
  'modparam("auth", "nonce_expire", 300)',
  'modparam("auth", "auth_checks_register", 10)',
  'modparam("auth", "auth_checks_no_dlg", 11)',
  'modparam("auth", "auth_checks_in_dlg", 10)',
  'modparam("counters", "script_counter", "sipr.authentication_failed Requests with wrong credentials")',
];

const credentials = 'modparam("htable", "htable", "credentials=>size=12;dbtable=credentials;")';

/** Everybody, or at least PBXes that register themselves. */
const asks = (structure: StructurePlan): boolean => structure.authentication !== undefined || hasRegistrants(structure);

const realmOf = ({ authentication, registrants }: StructurePlan): string => {
  const realm = authentication?.realm ?? registrants?.realm ?? "";
  if (!/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(realm)) refuse("authentication.realm", realm, "a domain");
  return cfgText("authentication.realm", realm);
};

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

/**
 * RFC 3325 5: who calls and who pays is said by those whom the network trusts: backends, and sources of an access list.
 * Applied at once: two changes of one header, such as that of topology hiding, take the next one along. Not twice for one
 * request: between, its own Route has been taken off, and is still to be read.
 */
const stripIdentity = ({ accessControl }: StructurePlan): string => `
route[STRIP_IDENTITY] {
  if (!(${[...assertions, "Record-Route"].map((name) => `is_present_hf("${name}")`).join(" || ")}) || isflagset(${ROUTE_RECORDED})) return;
  if (ds_is_from_list("-1", "3")) return;${
    accessControl
      ? `
  if (allow_source_address("${groups.allow}")) return;`
      : ""
  }${noteRecordedRoute}
${assertions.map((name) => `  remove_hf("${name}");`).join("\n")}
  msg_apply_changes();
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

/** Module auth: an answer to a challenge of another time, call or address. It is told so (flag 16), and is no wrong password. */
const STALE = -4;

/**
 * RFC 3261 22. A user who does not exist is checked against a hash that nobody knows: same work, same answer. (The
 * generation of the table is no hash of 32 digits.)
 */
const authenticate = (structure: StructurePlan, realm = realmOf(structure)): string => `
route[AUTHENTICATE] {
  $var(ha1) = ${structure.authentication === undefined ? '""' : "$sht(credentials=>$au)"};${registrantPassword(structure)}
  $var(known) = 1;
  if ($(var(ha1){s.len}) != 32) {
    $var(known) = 0;
    $var(ha1) = "${controlTokenInCfg}";
    $var(ha1) = $(var(ha1){s.substr,0,32});
  }
  if (is_method("REGISTER")) {
    if (!pv_www_authenticate("${realm}", "$var(ha1)", "1") || $var(known) == 0) {
      if ($rc == ${STALE}) {
        www_challenge("${realm}", "17");
        exit;
      }
      if ($hdr(Authorization) != $null) cnt_inc("sipr.authentication_failed");
      www_challenge("${realm}", "1");
      exit;
    }
    if ($au != $tU || $au != $fU) {
      sl_send_reply("403", "Forbidden");
      exit;
    }
  } else if (!pv_proxy_authenticate("${realm}", "$var(ha1)", "1") || $var(known) == 0) {
    if ($rc == ${STALE}) {
      proxy_challenge("${realm}", "17");
      exit;
    }
    if ($hdr(Proxy-Authorization) != $null) cnt_inc("sipr.authentication_failed");
    proxy_challenge("${realm}", "1");
    exit;
  } else if (!has_totag() && $au != $fU && $fU != "anonymous") {
    # he is who answered the challenge, not whom he says; RFC 3323 4.1.1.3
    sl_send_reply("403", "Forbidden");
    exit;
  }
  consume_credentials();
  $var(trusted) = 1;
}
`;
