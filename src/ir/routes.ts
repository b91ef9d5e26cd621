/**
 * Routes to rows of the lookup table. Precedence, documented: the called domain before no domain; exact extension before
 * range before prefix; among ranges the narrower, among prefixes the longer one; what is left is `external`.
 */
import { compare, type SipRouterSpec } from "../api/index.ts";
import { claimsOf, EXTERNAL, MAX_TENANTS, scopesOf, type Claim, type Scope } from "../model/index.ts";
import { hashOf } from "./hash.ts";
import { blocksOfRange, compactTable } from "./blocks.ts";
import type { DataPlan, RouteEntry } from "./types.ts";

type RouteSpec = SipRouterSpec["routes"][number];
type Action = Pick<RouteEntry, "route" | "set" | "callers" | "strip" | "prefix">;

export function buildRoutes(
  routes: readonly RouteSpec[],
  external: SipRouterSpec["external"],
): Pick<DataPlan, "domains" | "routes"> {
  const scopes = scopesOf(routes);
  const tenants = tenantNumbers(scopes);
  const entries = scopes.flatMap((scope, index) =>
    entriesOf(routes, scope, tenants[index] ?? 0, index === 0 ? external : undefined),
  );
  const domains = scopes.flatMap((scope, index) =>
    scope.domains.map((domain) => ({ domain, tenant: tenants[index] ?? 0 })),
  );
  return { domains: domains.toSorted((a, b) => compare(a.domain, b.domain)), routes: entries.toSorted(compareEntries) };
}

/**
 * 0 for the scope without domains; else a number made from the first domain, the next free one where two meet. Domains
 * that come and go leave the numbers of the others alone: the tables of domains and of routes are not reloaded in one
 * moment, and a number that changed hands would send calls to another tenant.
 */
function tenantNumbers(scopes: readonly Scope[]): readonly number[] {
  const taken = new Set<number>();
  return scopes.map(({ domains: [first] }) => {
    if (first === undefined) return 0;
    let number = (Number.parseInt(hashOf(first), 16) % MAX_TENANTS) + 1;
    while (taken.has(number)) number = (number % MAX_TENANTS) + 1;
    taken.add(number);
    return number;
  });
}

/** What decides between two claims that hold the same numbers: lower wins. */
interface Ranked extends Action {
  /** 0 for an exact extension, else how many numbers the range holds */
  readonly width: bigint;
}

function entriesOf(
  routes: readonly RouteSpec[],
  scope: Scope,
  tenant: number,
  external: SipRouterSpec["external"],
): readonly RouteEntry[] {
  const fixed = new Map<number, Map<string, Ranked>>();
  const open = new Map<string, Action>();
  if (external !== undefined)
    open.set("", { route: EXTERNAL, set: external.set, callers: external.callers, strip: 0, prefix: "" });
  for (const index of scope.routes) {
    const route = routes[index];
    if (route === undefined) continue;
    const action = actionOf(route);
    for (const { claim } of claimsOf(route, index)) {
      if (claim.kind === "prefix") open.set(claim.digits, action);
      else addFixed(fixed, claim, action);
    }
  }
  const row = (digits: string, action: Action, length?: number): RouteEntry => ({
    tenant,
    pattern: { digits, ...(length === undefined ? {} : { length }) },
    ...strip(action),
  });
  return [
    ...[...fixed].flatMap(([length, table]) =>
      [...compactTable<Action>(table, sameAction, length)].map(([digits, action]) => row(digits, action, length)),
    ),
    ...[...compactTable(open, sameAction)].map(([digits, action]) => row(digits, action)),
  ];
}

function addFixed(
  fixed: Map<number, Map<string, Ranked>>,
  claim: Exclude<Claim, { kind: "prefix" }>,
  action: Action,
): void {
  const length = claim.kind === "exact" ? claim.digits.length : claim.from.length;
  const table = fixed.get(length) ?? new Map<string, Ranked>();
  fixed.set(length, table);
  const width = claim.kind === "exact" ? 0n : BigInt(claim.to) - BigInt(claim.from) + 1n;
  for (const block of claim.kind === "exact" ? [claim.digits] : blocksOfRange(claim.from, claim.to)) {
    const other = table.get(block);
    if (other === undefined || width < other.width) table.set(block, { ...action, width });
  }
}

const actionOf = (route: RouteSpec): Action => ({
  route: route.name,
  set: route.set,
  callers: route.callers,
  strip: route.rewrite?.strip ?? 0,
  prefix: route.rewrite?.prefix ?? "",
});

const strip = ({ route, set, callers, strip: digits, prefix }: Action): Action => ({
  route,
  set,
  callers,
  strip: digits,
  prefix,
});

/** Names of routes are unique, and none is called as the external rule. */
const sameAction = (a: Action, b: Action): boolean => a.route === b.route;

const compareEntries = (a: RouteEntry, b: RouteEntry): number =>
  a.tenant - b.tenant ||
  (a.pattern.length ?? 0) - (b.pattern.length ?? 0) ||
  compare(a.pattern.digits, b.pattern.digits);
