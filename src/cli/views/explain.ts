/**
 * `route explain`: what happens to a call to a number, from the router's spec as the operator reads it, and what the
 * running pods say to the same question. Pure.
 */
import type { PbxBackend, SipRouter, SipRouterSpec } from "../../api/index.ts";
import { buildRoutes } from "../../ir/routes.ts";
import { lookupRoute } from "../../ir/lookup.ts";
import { destinationId, isDrainTier, tierOf } from "../../ir/setId.ts";
import type { DataPlan, RouteEntry } from "../../ir/types.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import { claimsOf, EXTERNAL, type Claim } from "../../model/index.ts";
import { judgeLogin, judgeSource, type Verdict } from "./caller.ts";
import { judgePhones, lacksPhones, type Phones, type PhonesVerdict } from "./phones.ts";
import { backendsOfRouter } from "./members.ts";
import { nameResources } from "./naming.ts";
import { answered, type Answer } from "../print/output.ts";

export interface Question {
  readonly number: string;
  /** host part of the called URI */
  readonly domain?: string | undefined;
  /** IP address of the caller */
  readonly source?: string | undefined;
  /** user part of the caller's address */
  readonly from?: string | undefined;
}

/** What one pod answers. */
export interface PodView {
  /** value of the deciding row of the table, or undefined: nobody's number */
  readonly row: string | undefined;
  readonly destinations: readonly ObservedDestination[];
  readonly draining: boolean;
  /** it has credentials of the caller; absent when nobody has to log in, or no caller was named */
  readonly known?: boolean;
  /** the called number as a user of the registrar; absent where the router is none */
  readonly phones?: Phones;
}

export interface ExplainData {
  readonly router: SipRouter;
  readonly backends: readonly PbxBackend[];
  readonly question: Question;
  readonly answers: readonly Answer<PodView>[];
}

export type RouteTable = Pick<DataPlan, "domains" | "routes">;
export const routeTable = (router: SipRouter): RouteTable =>
  buildRoutes(router.spec.routes ?? [], router.spec.external);

/** Keys to ask of `mtree.match ext KEY 0`, in the order in which kamailio.cfg looks them up. */
export function lookupKeys(table: RouteTable, { number, domain }: Question): readonly string[] {
  const tenant = table.domains.find((one) => one.domain === domain?.toLowerCase())?.tenant ?? 0;
  const length = String(number.length).padStart(2, "0");
  return (tenant === 0 ? [0] : [tenant, 0]).flatMap((one) => {
    const head = String(one).padStart(4, "0");
    return [`${head}${length}${number}`, `${head}00${number}`];
  });
}

/** A row that leaves digits open holds decimal numbers only, unless it is for numbers of any length. */
export const rowCounts = (row: string, key: string, number: string): boolean =>
  key.slice(4, 6) === "00" || row.startsWith("E") || /^[0-9]+$/.test(number);

export interface Candidate {
  readonly route: string;
  readonly set: string;
  /** as the spec writes it, e.g. "range 1000-1999, any domain" */
  readonly claim: string;
  readonly wins: boolean;
  readonly why: string;
}

type RouteSpec = SipRouterSpec["routes"][number];

const holds = (claim: Claim, number: string): boolean => {
  if (claim.kind === "exact") return claim.digits === number;
  if (claim.kind === "prefix") return number.startsWith(claim.digits);
  return /^[0-9]+$/.test(number) && number.length === claim.from.length && claim.from <= number && number <= claim.to;
};
const describe = (claim: Claim): string => {
  if (claim.kind === "range") return `range ${claim.from}-${claim.to}`;
  if (claim.kind === "exact") return `extension ${claim.digits}`;
  return claim.digits === "" ? "every number" : `prefix ${claim.digits}`;
};

interface Match {
  readonly route: RouteSpec;
  readonly claim: Claim;
  /** the route names the called domain */
  readonly scoped: boolean;
}

const kinds = ["exact", "range", "prefix"] as const;
const width = (claim: Claim): bigint => (claim.kind === "range" ? BigInt(claim.to) - BigInt(claim.from) : 0n);
const size = (claim: Claim): number => (claim.kind === "prefix" ? claim.digits.length : 0);

/** Winner first: domain before none, exact before range before prefix, narrower range, longer prefix. */
function compareMatches(a: Match, b: Match): number {
  const narrower = width(a.claim) - width(b.claim);
  return (
    Number(b.scoped) - Number(a.scoped) ||
    kinds.indexOf(a.claim.kind) - kinds.indexOf(b.claim.kind) ||
    (narrower < 0n ? -1 : narrower > 0n ? 1 : 0) ||
    size(b.claim) - size(a.claim)
  );
}

function whyLost(lost: Match, winner: Match): string {
  if (lost.scoped !== winner.scoped) return `a route for the called domain comes first: ${winner.route.name}`;
  if (lost.claim.kind !== winner.claim.kind) {
    const order = { exact: "an exact extension", range: "a range", prefix: "a prefix" };
    return `${order[winner.claim.kind]} comes before ${order[lost.claim.kind]}: ${winner.route.name}`;
  }
  if (lost.claim.kind === "range") return `${winner.route.name} has the narrower range`;
  return lost.claim.kind === "prefix"
    ? `${winner.route.name} has the longer prefix`
    : `${winner.route.name} claims the same`;
}

/** All that claim the number; the winner is the row that decides in the table that the pods are given. */
export function candidatesOf(
  router: SipRouter,
  { number, domain }: Question,
  winner: RouteEntry | undefined,
): readonly Candidate[] {
  const { routes = [], external } = router.spec;
  const called = domain?.toLowerCase();
  const matches = routes
    .flatMap((route, index): Match[] => {
      const domains = route.match.domains ?? [];
      const scoped = domains.length > 0;
      if (scoped && (called === undefined || !domains.includes(called))) return [];
      return claimsOf(route, index).flatMap((one) =>
        "claim" in one && holds(one.claim, number) ? [{ route, claim: one.claim, scoped }] : [],
      );
    })
    .toSorted(compareMatches);
  const best = matches[0];
  const listed = matches.map((match): Candidate => {
    const where = match.scoped ? `domain ${called}` : "any domain";
    const wins = match === best;
    return {
      route: match.route.name,
      set: match.route.set,
      claim: `${describe(match.claim)}, ${where}`,
      wins,
      why: wins || best === undefined ? "" : whyLost(match, best),
    };
  });
  if (external === undefined) return listed;
  const wins = winner?.route === EXTERNAL;
  const rest: Candidate = {
    route: EXTERNAL,
    set: external.set,
    claim: "what no route claims",
    wins,
    why: wins ? "" : "a route claims the number",
  };
  return [...listed, rest];
}

export const rewritten = (number: string, row: Pick<RouteEntry, "strip" | "prefix">): string =>
  row.prefix + number.slice(row.strip);

export interface Target {
  readonly order: number;
  readonly priority: number;
  readonly backend: string;
  readonly uri: string;
  readonly state: string;
  /** "8 of 9 pods would try it", or why it is not tried */
  readonly note: string;
}

/** Destinations of the winning set: those that would be tried, tier by tier, then those that would not. */
export function targetsOf(data: ExplainData, winner: RouteEntry): readonly Target[] {
  const naming = nameResources(data.router, data.backends);
  const pods = answered(data.answers);
  const all = new Map<string, { one: ObservedDestination; active: number; states: Set<string> }>();
  for (const { value } of pods)
    for (const one of value.destinations) {
      if (naming.set(one.setId) !== winner.set) continue;
      const key = destinationId(one);
      const entry = all.get(key) ?? { one, active: 0, states: new Set() };
      entry.states.add(one.state);
      if ((one.state === "Active" || one.state === "Probing") && !isDrainTier(one.setId)) entry.active += 1;
      all.set(key, entry);
    }
  const sorted = [...all.values()].toSorted(
    (a, b) =>
      Number(b.active > 0) - Number(a.active > 0) || a.one.setId - b.one.setId || (a.one.uri < b.one.uri ? -1 : 1),
  );
  const tiers = [...new Set(sorted.filter((entry) => entry.active > 0).map((entry) => entry.one.setId))];
  const attempts = attemptsOf(data.router);
  return sorted.map(({ one, active, states }) => {
    const earlier = sorted.filter(
      (other) => other.active > 0 && tiers.indexOf(other.one.setId) < tiers.indexOf(one.setId),
    );
    const late = active > 0 && earlier.length >= attempts;
    const backend = naming.backend(one.uri);
    const off = isDrainTier(one.setId) ? "draining: no new calls" : `not tried: ${[...states].join("/")}`;
    const notes = [
      ...(active < pods.length ? [`on ${active} of ${pods.length} pods`] : []),
      ...capNote(data, backend),
      ...(late ? [`not tried: a call has at most ${attempts} attempts`] : []),
    ];
    return {
      order: active > 0 && !late ? tiers.indexOf(one.setId) + 1 : 0,
      priority: tierOf(one.setId),
      backend,
      uri: one.uri,
      state: states.size > 1 ? "Mixed" : ([...states][0] ?? ""),
      note: active > 0 ? notes.join("; ") : off,
    };
  });
}

export const attemptsOf = ({ spec }: SipRouter): number => spec.failover?.maxAttempts ?? 4;

/** A limit is shared by the pods; how many calls they count to it is not asked. */
function capNote({ router, backends }: ExplainData, backend: string): string[] {
  const names = backend.split(",");
  const limits = backendsOfRouter(router, backends).flatMap(({ metadata, spec }) =>
    names.includes(metadata.name) && spec.maxCalls !== undefined ? [spec.maxCalls] : [],
  );
  if (limits.length === 0) return [];
  const each = Math.ceil(Math.min(...limits) / Math.max(1, router.spec.replicas ?? 1));
  return [`passed over by a pod with ${each} calls to it`];
}

const expectedRow = (winner: RouteEntry): string => `${winner.set}/${winner.route}`;

/** Of each pod: the same as the spec says, or what else. */
export function podVerdicts(
  data: ExplainData,
  winner: RouteEntry | undefined,
  phones?: PhonesVerdict,
): readonly { pod: string; agrees: boolean; text: string }[] {
  const wanted =
    phones?.to === "phones" ? "registered" : winner === undefined ? "nobody's number: 404" : expectedRow(winner);
  return answered(data.answers).map(({ pod, value }) => {
    const routed = value.row === undefined ? "nobody's number: 404" : (value.row.split("|")[4] ?? value.row);
    const said = phones?.to === "phones" && !lacksPhones(phones, value.phones) ? "registered" : routed;
    const agrees = said === wanted;
    const drain = value.draining ? "; it drains: 503 to new calls" : "";
    return { pod: pod.name, agrees, text: `${agrees ? "the same" : `${said}, not ${wanted}`}${drain}` };
  });
}

export interface Explanation {
  readonly winner: RouteEntry | undefined;
  readonly number: string;
  readonly source: Verdict;
  readonly login: Verdict | undefined;
  /** at a registrar, when the number is a user's; "phones": no route is asked, and what follows is what else would be so */
  readonly phones: PhonesVerdict | undefined;
  readonly candidates: readonly Candidate[];
  readonly targets: readonly Target[];
  readonly pods: readonly { readonly pod: string; readonly agrees: boolean; readonly text: string }[];
  /** a call of this caller would get through to some destination, and every pod agrees */
  readonly served: boolean;
}

export function explain(data: ExplainData): Explanation {
  const { router, backends, question } = data;
  const table = routeTable(router);
  const plan = { ...table, sets: [], access: { allow: [], deny: [] } };
  const winner = lookupRoute(plan, question.number, question.domain?.toLowerCase());
  // a user may be called by everybody who is served, whatever a route for the number says
  const byAddress = judgeSource(router, backends, question, undefined);
  const phones = judgePhones(data, byAddress);
  const source = phones?.to === "phones" ? byAddress : judgeSource(router, backends, question, winner);
  const targets = winner === undefined ? [] : targetsOf(data, winner);
  const pods = podVerdicts(data, winner, phones);
  const login = judgeLogin(data, source);
  const arrives =
    phones?.to === "phones" ||
    (phones?.to !== "nobody" && winner !== undefined && targets.some((one) => one.order > 0));
  return {
    winner,
    number: winner === undefined ? question.number : rewritten(question.number, winner),
    source,
    login,
    phones,
    candidates: candidatesOf(router, question, winner),
    targets,
    pods,
    served: arrives && source.admitted !== false && login?.admitted !== false && pods.every((one) => one.agrees),
  };
}
