/** One SipRouter with everything it names, or what is wrong with it. */
import { refOf, type Key, type SipRouter } from "../api/index.ts";
import { credentialsSources, resolveCredentials } from "./credentials.ts";
import { sortIssues, unresolved } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import { parseRouter } from "./parse.ts";
import { podTemplateIssues } from "./podTemplate.ts";
import { separateRegistrants } from "./registrants.ts";
import { routeConflicts } from "./routes.ts";
import { routerSecretIssues } from "./secrets.ts";
import { resolveTls } from "./tls.ts";
import { assignSetIds, resolveSet } from "./sets.ts";
import { sharedUsers } from "./tenants.ts";
import type { Credentials, Issue, Resolution, ResolvedSet, Snapshot } from "./types.ts";
import { refuseUnsupported } from "./unsupported.ts";

/** More than that helps nobody, and a status has its limits. */
const MAX_ISSUES = 100;

/**
 * The router is absent when its own spec is wrong, when a Secret that its pods cannot start without is not there, and
 * when no backend at all is usable: an empty list of destinations is never an improvement on the last one.
 * No object of that key: no router and no issue.
 */
export function resolveRouter(snapshot: Snapshot, key: Key): Resolution {
  const raw = indexOf(snapshot).routers.get(key);
  if (raw === undefined) return { issues: [] };
  const parsed = parseRouter(raw);
  if (!("object" in parsed)) return { issues: limit(sortIssues(parsed.issues)) };
  const router = parsed.object;
  const own = [
    ...refuseUnsupported("SipRouter", refOf(router), router.spec),
    ...routeConflicts(router),
    ...sharedUsers(router),
    ...podTemplateIssues(router),
  ];
  const { tls, issues: tlsIssues } = resolveTls(snapshot, router);
  const { credentials, issues: wrongCredentials } = resolveCredentials(snapshot, router);
  const secrets = [...routerSecretIssues(snapshot, router), ...tlsIssues, ...wrongCredentials];
  const sets = resolveSets(snapshot, router, credentials);
  const issues = limit(sortIssues([...own, ...secrets, ...sets.issues]));
  const usable = own.length === 0 && secrets.length === 0 && sets.sets.some((set) => set.members.length > 0);
  if (!usable) return { issues, ...unusableOf(router, secrets) };
  const secured = { ...(tls === undefined ? {} : { tls }), ...(credentials === undefined ? {} : { credentials }) };
  return { router: { object: router, sets: sets.sets, ...secured }, issues };
}

function unusableOf(router: SipRouter, issues: readonly Issue[]): Pick<Resolution, "unusable"> {
  const paths = new Set(issues.map(({ path }) => path));
  const tenants = credentialsSources(router.spec).filter(({ domain, path }) => domain !== undefined && paths.has(path));
  return tenants.length === 0 ? {} : { unusable: tenants.map(({ secretName }) => secretName) };
}

/** sorted by id */
function resolveSets(
  snapshot: Snapshot,
  router: SipRouter,
  credentials: Credentials | undefined,
): { readonly sets: readonly ResolvedSet[]; readonly issues: readonly Issue[] } {
  const ids = assignSetIds(router.spec.dispatcherSets, router.status);
  const resolved = router.spec.dispatcherSets.map((set, index) =>
    resolveSet(snapshot, router, index, ids.get(set.name) ?? 0),
  );
  const { sets, issues: shared } = separateRegistrants(
    router,
    resolved.map(({ set }) => set),
    credentials,
  );
  const issues = [...resolved.flatMap((one) => one.issues), ...shared];
  if (sets.length > 1 && sets.every((set) => set.members.length === 0)) {
    const message = "no set has a usable backend: what served before goes on until one has.";
    issues.push(unresolved(refOf(router), "spec.dispatcherSets", "NoBackends", message));
  }
  return { sets: sets.toSorted((a, b) => a.id - b.id), issues };
}

function limit(issues: readonly Issue[]): readonly Issue[] {
  const [first] = issues;
  if (issues.length <= MAX_ISSUES || first === undefined) return issues;
  const rest = issues.length - MAX_ISSUES;
  return [
    ...issues.slice(0, MAX_ISSUES),
    { ...first, path: "", message: `${rest} more issues are not listed: correct these first.` },
  ];
}
