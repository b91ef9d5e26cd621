/**
 * Tenants that share extensions on a router that keeps registrations itself: its users are known by their number alone, unless
 * each of the domains has users of its own (`authentication.domains`).
 */
import { compare, refOf, type SipRouter } from "../api/index.ts";
import { wrong } from "./issue.ts";
import { describeClaim } from "./numbers.ts";
import { claimsOf, type RouteClaim } from "./routes.ts";
import type { Issue } from "./types.ts";

interface Numbers {
  readonly claim: RouteClaim;
  readonly from: string;
  readonly to: string;
  readonly domains: ReadonlySet<string>;
  /** the first of them that has no users of its own */
  readonly unlisted: string | undefined;
}

/** The first place where routes of different domains claim the same extension: its phones would get each other's calls. */
export function sharedUsers(router: SipRouter): readonly Issue[] {
  const { routes, registration, authentication } = router.spec;
  if (registration.mode !== "Registrar") return [];
  const listed = new Set(authentication?.domains?.map(({ domain }) => domain));
  const found = firstShared(routes.flatMap((route, index) => numbersOf(route, index, listed)));
  if (found === undefined) return [];
  const name = ({ claim }: Numbers): string =>
    `the route ${routes[claim.route]?.name} (${claim.path}, ${describeClaim(claim.claim)})`;
  const [one, other] = found[0].claim.route < found[1].claim.route ? found : [found[1], found[0]];
  const both = `${name(one)} and ${name(other)} claim the same numbers in different domains`;
  const missing = one.unlisted ?? other.unlisted;
  const message =
    authentication?.domains === undefined
      ? `in the mode Registrar users are known by their number alone, and ${both}: give each domain users of its own in spec.authentication.domains, give each tenant a router of its own, or use registration.mode Forward.`
      : `${both}, and ${missing} has no users of its own: add it to spec.authentication.domains, with the Secret of its users, or correct the domain.`;
  return [wrong(refOf(router), other.claim.path, "NotSupported", message)];
}

function numbersOf(
  route: SipRouter["spec"]["routes"][number],
  index: number,
  listed: ReadonlySet<string>,
): readonly Numbers[] {
  const domains = new Set(route.match.domains);
  if (domains.size === 0) return [];
  const unlisted = [...domains].find((domain) => !listed.has(domain));
  return claimsOf(route, index).flatMap((claim): readonly Numbers[] => {
    if (claim.claim.kind === "prefix") return [];
    const { from, to } =
      claim.claim.kind === "range" ? claim.claim : { from: claim.claim.digits, to: claim.claim.digits };
    return [{ claim, from, to, domains, unlisted }];
  });
}

/**
 * One sweep over the numbers of each length, by the first one; `open`: those that may still overlap what comes. Domains
 * that have users of their own are no trouble to each other.
 */
function firstShared(numbers: readonly Numbers[]): readonly [Numbers, Numbers] | undefined {
  if (numbers.every(({ unlisted }) => unlisted === undefined)) return undefined;
  let open: Numbers[] = [];
  for (const next of numbers.toSorted((a, b) => a.from.length - b.from.length || compare(a.from, b.from))) {
    open = open.filter(({ from, to }) => from.length === next.from.length && to >= next.from);
    const other = open.find(
      ({ domains, unlisted }) => (unlisted ?? next.unlisted) !== undefined && domains.isDisjointFrom(next.domains),
    );
    if (other !== undefined) return [other, next];
    open.push(next);
  }
  return undefined;
}
