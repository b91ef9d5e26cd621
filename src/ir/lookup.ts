/** How the data plane looks a called number up in a plan: the same two steps, first for the domain, then for none. */
import type { DataPlan, RouteEntry } from "./types.ts";

/**
 * The row that decides, or undefined: nobody's number. Of the rows for numbers of exactly this length the longest
 * pattern decides (digits that it leaves open are decimal); else, of the rows for any length, the longest. What cannot
 * be dialled (a name, more than 32 characters) is nobody's, not even `external`'s.
 */
export function lookupRoute(data: DataPlan, number: string, domain?: string): RouteEntry | undefined {
  if (!/^[0-9*#+]{1,32}$/.test(number)) return undefined;
  const tenant = data.domains.find((entry) => entry.domain === domain)?.tenant;
  const tenants = tenant === undefined ? [0] : [tenant, 0];
  for (const one of tenants) {
    const rows = data.routes.filter((row) => row.tenant === one && number.startsWith(row.pattern.digits));
    const fixed = rows.filter(
      ({ pattern }) => pattern.length === number.length && /^[0-9]*$/.test(number.slice(pattern.digits.length)),
    );
    const found = longest(fixed) ?? longest(rows.filter((row) => row.pattern.length === undefined));
    if (found !== undefined) return found;
  }
  return undefined;
}

const longest = (rows: readonly RouteEntry[]): RouteEntry | undefined =>
  rows.reduce<RouteEntry | undefined>(
    (best, row) => (best === undefined || row.pattern.digits.length > best.pattern.digits.length ? row : best),
    undefined,
  );
