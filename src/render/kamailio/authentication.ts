/**
 * Digest authentication (RFC 3261 22): who is asked who he is, and whom he may say that he is. With domains (domains.ts) each has
 * users of its own. Users and domains are data (securityTables.ts).
 */
import type { StructurePlan } from "../../ir/types.ts";
import { domainsTable, hasDomains, REALM_OF_DOMAIN, renderDomains } from "./domains.ts";
import { cfgText, isDomain, refuse } from "./quote.ts";
import { hasRegistrants, registrantPassword } from "./registrants.ts";
import { controlTokenInCfg } from "./tokens.ts";

/** Modules and parameters. */
export const authenticationModules = (structure: StructurePlan): readonly string[] => [
  ...(structure.authentication === undefined ? [] : [hasDomains(structure) ? domainsTable : credentials]),
  ...(asks(structure) ? authModules : []),
];

export const renderAuthentication = (structure: StructurePlan): readonly string[] =>
  asks(structure)
    ? [...renderDomains(structure, hasRegistrants(structure) ? realmOf(structure) : undefined), authenticate(structure)]
    : [];

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
  if (!isDomain(realm)) refuse("authentication.realm", realm, "a domain");
  return cfgText("authentication.realm", realm);
};

/** In a string: where each domain has its own it is known when somebody is asked. */
const realmInCfg = (structure: StructurePlan): string => (hasDomains(structure) ? REALM_OF_DOMAIN : realmOf(structure));

/** $var(ha1) of who authenticates; where there are domains, of which of them he is. */
const whoAnswers = (structure: StructurePlan): string =>
  hasDomains(structure)
    ? "  route(REALM);"
    : `  $var(ha1) = ${structure.authentication === undefined ? '""' : "$sht(credentials=>$au)"};${registrantPassword(structure)}`;

/** Module auth: an answer to a challenge of another time, call or address. It is told so (flag 16), and is no wrong password. */
const STALE = -4;

/**
 * RFC 3261 22. A user who does not exist is checked against a hash that nobody knows: same work, same answer. (The
 * generation of the table is no hash of 32 digits.)
 */
const authenticate = (structure: StructurePlan, realm = realmInCfg(structure)): string => `
route[AUTHENTICATE] {
${whoAnswers(structure)}
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
