/** The Secret of a trunk: the user and the password with which the router answers the trunk's challenges. */
import { refOf, type PbxBackend } from "../api/index.ts";
import { unresolved } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import type { Issue, Login, Snapshot } from "./types.ts";

const PATH = "spec.credentialsSecretName";
const MAX_BYTES = 256;

/** Issues never show a value. A Secret that is not there, or lacks a key, is told by `backendSecretIssues`. */
export function resolveLogin(
  snapshot: Snapshot,
  backend: PbxBackend,
): { readonly login?: Login; readonly issues: readonly Issue[] } {
  const name = backend.spec.credentialsSecretName;
  if (name === undefined) return { issues: [] };
  const key = `${backend.metadata.namespace}/${name}`;
  const secret = indexOf(snapshot).secrets.get(key);
  const data = (secret?.["data"] ?? {}) as Readonly<Record<string, unknown>>;
  const username = textOf(data["username"]);
  const password = textOf(data["password"]);
  if (secret === undefined || username === "" || password === "") return { issues: [] };
  const wrong = (why: string): { readonly issues: readonly Issue[] } => ({
    issues: [unresolved(refOf(backend), PATH, "SecretInvalid", `Secret ${key}: ${why}`)],
  });
  if (!/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(username))
    return wrong('username has at most 128 printable ASCII characters without space, " and \\: correct it.');
  if (/[\0\r\n]/.test(password))
    return wrong("the password holds a line end: write it without one (printf, not echo).");
  if (password.length > MAX_BYTES) return wrong(`the password has more than ${MAX_BYTES} bytes: shorten it.`);
  return { login: { salt: secret.metadata.uid ?? key, username, password }, issues: [] };
}

/** One character for each byte. */
const textOf = (base64: unknown): string =>
  typeof base64 === "string" ? Buffer.from(base64, "base64").toString("latin1") : "";
