/**
 * Tenants with users of their own (`authentication.domains`): who somebody is goes by his domain, and what he may call too. Their
 * table has a row `user@domain` for each user, and one `@domain` for each domain: which there are is data. It is not the table of
 * users without domains: pods that run without are not told of it, and know their users until they are replaced.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { PBX_DOMAIN } from "../layout.ts";

export const hasDomains = ({ authentication }: StructurePlan): boolean => authentication?.domains === true;

/** What a user is registered as: of PBXes that register themselves too, which are of no tenant's domain. */
export const registrantAor = (structure: StructurePlan, user: string): string =>
  hasDomains(structure) ? `${user}@${PBX_DOMAIN}` : user;

export const domainsTable = 'modparam("htable", "htable", "tenants=>size=12;dbtable=tenants;")';
export const REALM_OF_DOMAIN = "$(var(domain){s.substr,1,0})";

/** Key of a row: in the table, and as kamailio.cfg makes it of two variables. */
export const userRow = (user: string, domain: string): string => `${user}@${domain}`;
export const domainRow = (domain: string): string => `@${domain}`;
/** Value of the row of a domain: no hash that somebody could answer with. */
export const DOMAIN_VALUE = "domain";

/** An unlisted domain is nobody's, but for PBXes: these are asked in a realm of their own. */
const unlistedRegister = (realm: string | undefined): string =>
  realm === undefined
    ? ""
    : `
    # a PBX, or nobody: who asks is not told which
    if (is_method("REGISTER")) {
      $var(domain) = "@${realm}";
      $var(ha1) = $sht(pbxes=>$au);
      return;
    }`;

/**
 * In front of the challenge, so that nobody learns who is a user: all that is refused here goes by domains.
 * (A variable that is assigned $null becomes 0, and 0 equals any text: with the "@" it stays a text.)
 * @param pbxRealm as text of kamailio.cfg, where PBXes register themselves
 */
export const renderDomains = (structure: StructurePlan, pbxRealm: string | undefined): readonly string[] =>
  hasDomains(structure)
    ? [
        `
# $var(domain), "@" in front: the tenant whose user has to answer, that of To of a REGISTER, else of From; and $var(ha1) of him
# who does. Ends the script for who is of no tenant, and for who calls another one.
route[REALM] {
  $var(called) = "@" + $(rd{s.tolower});
  $var(domain) = "@" + $(fd{s.tolower});
  $var(own) = $var(domain);
  if (is_method("REGISTER")) $var(domain) = "@" + $(td{s.tolower});
  if ($sht(tenants=>$var(domain)) == $null) {${unlistedRegister(pbxRealm)}
    # who hides his name (RFC 3323 4.1.1.3) is of the tenant that he calls
    if (is_method("REGISTER") || $fU != "anonymous") route(NO_TENANT);
    $var(domain) = $var(called);
    if ($sht(tenants=>$var(domain)) == $null) route(NO_TENANT);
  }
  if (is_method("REGISTER") && $var(own) != $var(domain)) route(NO_TENANT);
  # within a dialog the URI is the Contact of the other side
  if ($var(called) != $var(domain) && $rd != $null && (is_method("REGISTER") || !has_totag())) {
    if ($sht(tenants=>$var(called)) != $null || $sht(domains=>$(rd{s.tolower})) != $null) route(NO_TENANT);
  }
  $var(row) = $au + $var(domain);
  $var(ha1) = $sht(tenants=>$var(row));
}

route[NO_TENANT] {
  sl_send_reply("403", "Forbidden");
  exit;
}
`,
      ]
    : [];

/** $var(known) is the row of the called user. */
export const calledUser = (structure: StructurePlan): string =>
  hasDomains(structure)
    ? `
  $var(row) = $rU + "@" + $(rd{s.tolower});
  $var(known) = $sht(tenants=>$var(row));`
    : `
  $var(known) = $sht(credentials=>$rU);`;

/** Lines of the route REGISTRANT: the users of a tenant are no PBXes, whatever their names. */
export const exceptTenants = (structure: StructurePlan): string =>
  hasDomains(structure)
    ? `
  $var(domain) = "@" + $(td{s.tolower});
  if ($sht(tenants=>$var(domain)) != $null) return;`
    : "";
