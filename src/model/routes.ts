/** Routes: what each claims, and where two claim the same. */
import { refOf, compare, type SipRouter, type SipRouterSpec } from "../api/index.ts";
import { wrong } from "./issue.ts";
import { describeClaim, parseExtension, type Claim } from "./numbers.ts";
import type { Issue } from "./types.ts";

type RouteSpec = SipRouterSpec["routes"][number];

/** Stands for spec.external where a route is named. */
export const EXTERNAL = "external";

/** Groups of domains with routes of their own that one router can tell apart: four digits in a table. */
export const MAX_TENANTS = 9999;

export interface RouteClaim {
  /** index in spec.routes */
  readonly route: number;
  /** of the field that makes the claim */
  readonly path: string;
  readonly claim: Claim;
}

/** Domains that occur in exactly the same routes; `domains` empty: the routes that name no domain. */
export interface Scope {
  /** sorted */
  readonly domains: readonly string[];
  /** indexes in spec.routes, ascending */
  readonly routes: readonly number[];
}

/** Claims of one route. One that names domains only claims every number. */
export function claimsOf(route: RouteSpec, index: number): readonly RouteClaim[] {
  const base = `spec.routes[${index}].match`;
  const { extensions = [], prefixes = [], domains = [] } = route.match;
  const claims: RouteClaim[] = [
    ...extensions.map((text, at) => ({ route: index, path: `${base}.extensions[${at}]`, claim: parseExtension(text) })),
    ...prefixes.map((digits, at) => ({
      route: index,
      path: `${base}.prefixes[${at}]`,
      claim: { kind: "prefix", digits } as const,
    })),
  ];
  if (claims.length > 0 || domains.length === 0) return claims;
  return [{ route: index, path: `${base}.domains`, claim: { kind: "prefix", digits: "" } }];
}

/** The scope without domains first (always there), then by first domain. */
export function scopesOf(routes: readonly RouteSpec[]): readonly Scope[] {
  const byDomain = new Map<string, number[]>();
  const anywhere: number[] = [];
  for (const [index, route] of routes.entries()) {
    const domains = new Set(route.match.domains ?? []);
    if (domains.size === 0) anywhere.push(index);
    for (const domain of domains) {
      const list = byDomain.get(domain) ?? [];
      list.push(index);
      byDomain.set(domain, list);
    }
  }
  const grouped = new Map<string, Scope & { domains: string[] }>();
  for (const domain of [...byDomain.keys()].toSorted(compare)) {
    const indexes = byDomain.get(domain) ?? [];
    const group = grouped.get(indexes.join(",")) ?? { domains: [], routes: indexes };
    group.domains.push(domain);
    grouped.set(indexes.join(","), group);
  }
  return [{ domains: [], routes: anywhere }, ...grouped.values()];
}

/** Places where two routes claim the same numbers and neither comes before the other. Never transient. */
export function routeConflicts(router: SipRouter): readonly Issue[] {
  const { routes } = router.spec;
  const claims = routes.map((route, index) => claimsOf(route, index));
  const scopes = scopesOf(routes);
  if (scopes.length - 1 > MAX_TENANTS) {
    const message = `the routes tell ${scopes.length - 1} groups of domains apart, and ${MAX_TENANTS} are possible: share them among several routers.`;
    return [wrong(refOf(router), "spec.routes", "Invalid", message)];
  }
  return scopes.flatMap((scope) => {
    const where = scope.domains.length === 0 ? "" : ` in the domain ${scope.domains[0]}`;
    const own = scope.routes.flatMap((index) => claims[index] ?? []);
    return [...equalClaims(own), ...partialOverlaps(own)].map(({ one, other, equal }) => {
      const name = (claim: RouteClaim): string =>
        `the route ${routes[claim.route]?.name} (${claim.path}, ${describeClaim(claim.claim)})`;
      const what = equal ? "claim the same numbers" : "overlap, and neither range contains the other";
      const remedy = equal
        ? "remove one of the two"
        : "change one of the two so that they are apart or one is inside the other";
      return wrong(
        refOf(router),
        other.path,
        "RouteConflict",
        `${name(one)} and ${name(other)}${where} ${what}: ${remedy}.`,
      );
    });
  });
}

interface Conflict {
  readonly one: RouteClaim;
  readonly other: RouteClaim;
  readonly equal: boolean;
}

function equalClaims(claims: readonly RouteClaim[]): readonly Conflict[] {
  const first = new Map<string, RouteClaim>();
  return claims.flatMap((other) => {
    const { claim } = other;
    const key = claim.kind === "range" ? `range ${claim.from}-${claim.to}` : `${claim.kind} ${claim.digits}`;
    const one = first.get(key);
    if (one === undefined) first.set(key, other);
    return one === undefined || one.route === other.route ? [] : [{ one, other, equal: true }];
  });
}

interface RangeClaim extends RouteClaim {
  readonly claim: Extract<Claim, { kind: "range" }>;
}

/**
 * One sweep over the ranges of each length, by first number. `open` holds the ranges that may still overlap, the one
 * that ends first on top: as long as ranges are nested or apart, only the top is looked at.
 */
function partialOverlaps(claims: readonly RouteClaim[]): readonly Conflict[] {
  const ranges = claims
    .filter((claim): claim is RangeClaim => claim.claim.kind === "range")
    .toSorted(
      ({ claim: a }, { claim: b }) => a.from.length - b.from.length || compare(a.from, b.from) || compare(b.to, a.to),
    );
  const found: Conflict[] = [];
  let open: RangeClaim[] = [];
  for (const range of ranges) {
    const { from, to } = range.claim;
    if (open[0]?.claim.from.length !== from.length) open = [];
    while (open.length > 0 && (open.at(-1) as RangeClaim).claim.to < from) open.pop();
    let at = open.length;
    for (; at > 0; at -= 1) {
      const other = open[at - 1] as RangeClaim;
      if (other.claim.to >= to) break;
      if (other.route !== range.route && other.claim.from !== from) {
        const [one, two] = other.route < range.route ? [other, range] : [range, other];
        found.push({ one, other: two, equal: false });
      }
    }
    open.splice(at, 0, range);
  }
  return found;
}
