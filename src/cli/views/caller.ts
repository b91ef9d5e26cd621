/** `route explain`: would this caller be served, by his address and by his user. Pure. */
import { BlockList, isIPv6 } from "node:net";
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import type { RouteEntry } from "../../ir/types.ts";
import { answered } from "../print/output.ts";
import type { ExplainData, Question } from "./explain.ts";
import { backendsOfRouter } from "./members.ts";
import { nameResources } from "./naming.ts";
import { callerName } from "./tenants.ts";

export const asksForLogin = (router: SipRouter): boolean => router.spec.authentication !== undefined;

export interface Verdict {
  /** undefined: it depends on what was not asked */
  readonly admitted: boolean | undefined;
  readonly text: string;
  /** the caller is a backend: never asked to log in */
  readonly backend?: true;
}

/** Would a caller of this address be served. */
export function judgeSource(
  router: SipRouter,
  backends: readonly PbxBackend[],
  question: Question,
  winner: RouteEntry | undefined,
): Verdict {
  const { source } = question;
  // who has logged in is trusted
  const trusted = winner?.callers === "Trusted" && !asksForLogin(router);
  const { allow = [], deny = [] } = router.spec.accessControl ?? {};
  if (source === undefined) {
    if (allow.length > 0)
      return {
        admitted: undefined,
        text: "only backends and accessControl.allow are served: say who calls with --source IP",
      };
    if (trusted)
      return { admitted: undefined, text: "only backends may use this route: say who calls with --source IP" };
    if (deny.length > 0)
      return {
        admitted: undefined,
        text: "any caller who is not in accessControl.deny may use this route: say who calls with --source IP",
      };
    return { admitted: true, text: winner === undefined ? "any caller is served" : "any caller may use this route" };
  }
  const list = (cidrs: readonly string[]): BlockList => {
    const found = new BlockList();
    for (const one of cidrs) {
      const [address = "", bits] = one.split("/");
      const family = isIPv6(address) ? "ipv6" : "ipv4";
      found.addSubnet(address, bits === undefined ? (family === "ipv6" ? 128 : 32) : Number(bits), family);
    }
    return found;
  };
  const family = isIPv6(source) ? "ipv6" : "ipv4";
  if (list(deny).check(source, family)) return { admitted: false, text: `403: ${source} is in accessControl.deny` };
  // a backend of another router is no backend here
  const naming = nameResources(router, backendsOfRouter(router, backends));
  const backend = naming.backend(`sip:${family === "ipv6" ? `[${source}]` : source}:5060`);
  if (backend !== "") return { admitted: true, backend: true, text: `${source} is backend ${backend}: trusted` };
  if (list(allow).check(source, family))
    return { admitted: true, text: `${source} is in accessControl.allow: trusted` };
  if (allow.length > 0)
    return { admitted: false, text: `403: ${source} is neither a backend nor in accessControl.allow` };
  if (trusted) return { admitted: false, text: `403: the route is for trusted callers only, and ${source} is none` };
  return { admitted: true, text: `${source} is not trusted, and the route takes any caller` };
}

/** Must the caller log in, and can he. `admitted: undefined`: with the right password. */
export function judgeLogin(data: ExplainData, source: Verdict): Verdict | undefined {
  const { question, router } = data;
  if (!asksForLogin(router) || source.admitted === false || source.backend) return undefined;
  const whom = router.spec.authentication?.domains === undefined ? "USER" : "USER@DOMAIN";
  const unsaid = { admitted: undefined, text: `must log in (407); say as whom with --from ${whom}` };
  if (question.from === undefined) return unsaid;
  const { name: from, refused } = callerName(router, { ...question, from: question.from });
  if (refused !== undefined) return { admitted: false, text: refused };
  if (from === undefined) return unsaid;
  const known = answered(data.answers).map(({ value }) => value.known === true);
  if (known.length === 0)
    return { admitted: undefined, text: `must log in (407) as ${from}; no pod says whether it knows him` };
  const count = known.filter(Boolean).length;
  if (count === 0) return { admitted: false, text: `407: ${from} is no user of spec.authentication` };
  const where = count === known.length ? "" : ` on ${count} of ${known.length} pods only`;
  return {
    admitted: count === known.length ? undefined : false,
    text: `must log in (407) as ${from}: a known user${where}`,
  };
}
