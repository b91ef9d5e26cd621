/** What a call is looked up by: `ext`, the called numbers, and `domains`, the tenant of a domain. */
import type { DispatcherSetPlan, RouteEntry } from "../../ir/types.ts";
import { kamailioSetId } from "../../ir/index.ts";
import type { Algorithm } from "../../api/index.ts";
import { htableFields, htableShape, mtreeShape, openTable, type TableRow } from "./dataTable.ts";
import { integer, refuse } from "./quote.ts";

/** Characters of a called number that can be looked up. The first of a key is a digit of the tenant. */
export const MTREE_CHARS = "0123456789*#+";

/** Called numbers, see {@link routeRow}. */
export const routeTable = openTable(mtreeShape("ext"), ({ data }) => {
  const sets = new Map(data.sets.map((set) => [set.name, set]));
  return data.routes.map((route) => routeRow(route, sets));
});

/** Domain -> tenant as four digits. */
export const domainTable = openTable(htableShape("domains"), ({ data }) =>
  data.domains.map(({ domain, tenant }) => domainRow(domain, integer(`domain ${domain}: tenant`, tenant, 1, 9999))),
);

function domainRow(domain: string, tenant: string): TableRow {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(domain))
    refuse("routes[].match.domains", domain, "a lower case domain");
  return [domain, htableFields(domain, tenant.padStart(4, "0"))];
}

/**
 * Key: four digits of the tenant, two digits of the length of the number (00: any), leading digits of the number.
 * Value: `<E|R><T|A>|<strip>|<prefix>|<rule>|<set>/<route>`: E the key holds the whole number, R it leaves digits open,
 * which must be decimal unless the length is any; T for trusted callers only, A for anyone; the rule is the first
 * parameter of `ds_select_routes`.
 */
function routeRow(route: RouteEntry, sets: ReadonlyMap<string, DispatcherSetPlan>): TableRow {
  const what = `route ${route.route}`;
  const { digits, length } = route.pattern;
  if (!/^[0-9*#+]{0,20}$/.test(digits)) refuse(`${what}: number`, digits, "at most 20 of 0-9 * # +");
  if (!/^\+?[0-9*#]{0,19}$/.test(route.prefix)) refuse(`${what}: rewrite.prefix`, route.prefix, "digits, * and #");
  for (const name of [route.route, route.set])
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
      refuse(what, name, "lower case letters, digits and hyphens");
  const set = sets.get(route.set);
  if (set === undefined) return refuse(`${what}: set`, route.set, "the name of a dispatcher set");
  if (length !== undefined && digits.length > length) refuse(`${what}: number`, digits, "a number of its length");
  const key = [
    integer(`${what}: tenant`, route.tenant, 0, 9999).padStart(4, "0"),
    integer(`${what}: length`, length ?? 0, 0, 32).padStart(2, "0"),
    digits,
  ].join("");
  const kind = length === digits.length ? "E" : "R";
  const value = [
    `${kind}${route.callers === "Anyone" ? "A" : "T"}`,
    integer(`${what}: rewrite.strip`, route.strip, 0, 20),
    route.prefix,
    ruleOf(set),
    `${route.set}/${route.route}`,
  ].join("|");
  return [key, [key, value]];
}

/** Stands for CallLoad in a rule, see balance.ts. */
export const CALL_LOAD = 10;

/** Kamailio module dispatcher, algorithms of `ds_select_dst`. */
const algorithms: Record<Algorithm, number> = {
  HashCallId: 0,
  HashFrom: 1,
  HashTo: 2,
  RoundRobin: 4,
  Random: 6,
  Priority: 8,
  CallLoad: CALL_LOAD,
  Weighted: 11,
  Latency: 13,
};

/** One dispatcher set for each tier: a tier is tried when the one before has nobody, or as failover. */
const ruleOf = (set: DispatcherSetPlan): string =>
  set.tiers
    .toSorted((a, b) => a - b)
    .map((tier) => `${integer(`set ${set.name}`, kamailioSetId(set.id, tier), 100)}=${algorithms[set.algorithm]}`)
    .join(";");
