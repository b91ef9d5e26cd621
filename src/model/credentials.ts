/** The Secret of `authentication`: one key per user, its value the password, or `ha1:` and the hash. */
import { quote } from "../api/quote.ts";
import { createHash } from "node:crypto";
import { refOf, type SipRouter } from "../api/index.ts";
import { unresolved } from "./issue.ts";
import { readSecret } from "./secretTexts.ts";
import type { Credentials, Issue, Snapshot } from "./types.ts";

const PATH = "spec.authentication.credentialsSecretName";
const MAX_PASSWORD_BYTES = 1024;

/** Issues name keys, never values. A Secret that is not there or empty is told by `routerSecretIssues`. */
export function resolveCredentials(
  snapshot: Snapshot,
  router: SipRouter,
): { readonly credentials?: Credentials; readonly issues: readonly Issue[] } {
  const { authentication } = router.spec;
  if (authentication === undefined) return { issues: [] };
  const secret = readSecret(snapshot, router.metadata.namespace, authentication.credentialsSecretName);
  if (secret === undefined) return { issues: [] };
  const { key, salt, texts } = secret;
  const issues: Issue[] = [];
  const users = Object.entries(texts)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([user, text]) => {
      const read = readHa1(user, authentication.realm, text);
      if ("ha1" in read) return [{ user, ha1: read.ha1 }];
      issues.push(unresolved(refOf(router), PATH, "SecretInvalid", `Secret ${key}, key ${quote(user)}: ${read.why}`));
      return [];
    });
  return issues.length > 0 ? { issues } : { credentials: { salt, users }, issues };
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
