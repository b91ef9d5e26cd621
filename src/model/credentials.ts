/** The Secrets of `authentication`: one key per user, its value the password, or `ha1:` and the hash. */
import { quote } from "../api/quote.ts";
import { createHash } from "node:crypto";
import { compare, refOf, type SipRouter } from "../api/index.ts";
import { unresolved } from "./issue.ts";
import { readSecret } from "./secretTexts.ts";
import type { Credentials, Issue, Snapshot } from "./types.ts";

const MAX_PASSWORD_BYTES = 1024;

export interface CredentialsSource {
  /** of the field that names the Secret */
  readonly path: string;
  readonly secretName: string;
  readonly realm: string;
  /** where the router has users of several domains */
  readonly domain?: string;
}

/** In the order of the spec. */
export function credentialsSources({ authentication }: SipRouter["spec"]): readonly CredentialsSource[] {
  const { realm = "", credentialsSecretName, domains = [] } = authentication ?? {};
  const path = "spec.authentication";
  if (credentialsSecretName !== undefined)
    return [{ path: `${path}.credentialsSecretName`, secretName: credentialsSecretName, realm }];
  return domains.map(({ domain, credentialsSecretName: secretName }, index) => ({
    path: `${path}.domains[${index}].credentialsSecretName`,
    secretName,
    realm: domain,
    domain,
  }));
}

/** Issues name keys, never values. A Secret that is not there or empty is told by `routerSecretIssues`. */
export function resolveCredentials(
  snapshot: Snapshot,
  router: SipRouter,
): { readonly credentials?: Credentials; readonly issues: readonly Issue[] } {
  const sources = credentialsSources(router.spec);
  if (sources.length === 0) return { issues: [] };
  const read = sources.map((source) => readUsers(snapshot, router, source));
  const issues = read.flatMap((one) => one?.issues ?? []);
  const found = read.filter((one) => one !== undefined);
  if (issues.length > 0 || found.length < read.length) return { issues };
  const domains = sources.flatMap(({ domain }) => domain ?? []);
  const credentials: Credentials = {
    salt: [...new Set(found.map(({ salt }) => salt))].toSorted(compare).join(" "),
    ...(domains.length === 0 ? {} : { domains: domains.toSorted(compare) }),
    users: found.flatMap(({ users }) => users).toSorted(byDomain),
  };
  return { credentials, issues };
}

type User = Credentials["users"][number];
const byDomain = (a: User, b: User): number => compare(a.domain ?? "", b.domain ?? "") || compare(a.user, b.user);

/** undefined: there is no such Secret */
function readUsers(
  snapshot: Snapshot,
  router: SipRouter,
  { path, secretName, realm, domain }: CredentialsSource,
): { readonly salt: string; readonly users: readonly User[]; readonly issues: readonly Issue[] } | undefined {
  const secret = readSecret(snapshot, router.metadata.namespace, secretName);
  if (secret === undefined) return undefined;
  const { key, salt, texts } = secret;
  const issues: Issue[] = [];
  const users = Object.entries(texts).flatMap(([user, text]): readonly User[] => {
    const read = readHa1(user, realm, text);
    if ("ha1" in read) return [{ user, ha1: read.ha1, ...(domain === undefined ? {} : { domain }) }];
    issues.push(unresolved(refOf(router), path, "SecretInvalid", `Secret ${key}, key ${quote(user)}: ${read.why}`));
    return [];
  });
  return { salt, users, issues };
}

/** `text`: one character for each byte. */
function readHa1(user: string, realm: string, text: string): { readonly ha1: string } | { readonly why: string } {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(user))
    return { why: "a user has at most 64 letters, digits, dots, dashes and underscores: rename it." };
  if (text === "") return { why: "there is no password: set one, or remove the key." };
  if (/[\r\n]/.test(text)) return { why: "the password holds a line end: write it without one (printf, not echo)." };
  if (text.startsWith("ha1:")) {
    const hash = text.slice("ha1:".length).toLowerCase();
    if (/^[0-9a-f]{32}$/.test(hash)) return { ha1: hash };
    return { why: "after ha1: come 32 hexadecimal digits, the MD5 of user:realm:password: correct it." };
  }
  if (text.length > MAX_PASSWORD_BYTES)
    return { why: `the password has more than ${MAX_PASSWORD_BYTES} bytes: shorten it.` };
  return {
    ha1: createHash("md5")
      .update(Buffer.concat([Buffer.from(`${user}:${realm}:`), Buffer.from(text, "latin1")]))
      .digest("hex"),
  };
}
