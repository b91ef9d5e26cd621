/** Tenants with users of their own (`spec.authentication.domains`): what the pods know a user by, and whom he may call. Pure. */
import type { SipRouter } from "../../api/index.ts";
import { PBX_DOMAIN } from "../../render/layout.ts";
import type { Question } from "./explain.ts";

/** In lower case, as the API has them; undefined: a user is known without a domain. */
const domainsOf = ({ spec }: SipRouter): readonly string[] | undefined =>
  spec.authentication?.domains?.map(({ domain }) => domain);

/** The table in which the pods have the users. */
export const usersTable = (router: SipRouter): string => (domainsOf(router) === undefined ? "credentials" : "tenants");

/** `1001@a.example.com` -> user and domain */
function split(name: string): { readonly user: string; readonly domain: string | undefined } {
  const at = name.lastIndexOf("@");
  return at < 0
    ? { user: name, domain: undefined }
    : { user: name.slice(0, at), domain: name.slice(at + 1).toLowerCase() };
}

/** The names that a user, of one domain or of whichever, may be registered by; PBXes that register have a domain of their own. */
export function registeredNames(router: SipRouter, name: string): readonly string[] {
  const domains = domainsOf(router);
  if (domains === undefined) return [name];
  const { user, domain } = split(name);
  return (domain === undefined ? [...domains, PBX_DOMAIN] : [domain]).map((one) => `${user}@${one}`);
}

/** The called number as a user; undefined: it is in no tenant's domain, and no user's. */
export function calledName(router: SipRouter, { number, domain }: Question): string | undefined {
  const domains = domainsOf(router);
  if (domains === undefined) return number;
  const called = domain?.toLowerCase();
  return called !== undefined && domains.includes(called) ? `${number}@${called}` : undefined;
}

/** `name`: the user that he has to log in as; `refused`: he is not even asked; neither: it depends on what was not said. */
export interface CallerName {
  readonly name?: string;
  readonly refused?: string;
}

export function callerName(router: SipRouter, question: Question & { readonly from: string }): CallerName {
  const domains = domainsOf(router);
  const { user, domain } = split(question.from);
  if (domains === undefined) return { name: user };
  const called = question.domain?.toLowerCase();
  const isListed = (one: string | undefined): boolean => one !== undefined && domains.includes(one);
  const hides = user === "anonymous" && !isListed(domain);
  const own = domain === undefined || hides ? called : domain;
  if (own === undefined) return hides ? { refused: "403: who hides his name has to call a tenant's domain" } : {};
  if (!isListed(own)) return { refused: `403: ${own} is none of spec.authentication.domains` };
  if (called !== undefined && called !== own && isTenant(router, called))
    return { refused: `403: a user of ${own} does not call ${called}` };
  return hides ? {} : { name: `${user}@${own}` };
}

/** The domain is of a route, or has users. */
const isTenant = (router: SipRouter, domain: string): boolean =>
  domainsOf(router)?.includes(domain) === true ||
  (router.spec.routes ?? []).some(({ match }) => match.domains?.includes(domain) === true);
