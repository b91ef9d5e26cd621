/** The Secret of a trunk: the user and the password with which the router answers the trunk's challenges. */
import { refOf, type PbxBackend } from "../api/index.ts";
import { unresolved } from "./issue.ts";
import { passwordFault, readSecret } from "./secretTexts.ts";
import type { Issue, Login, Snapshot } from "./types.ts";

const PATH = "spec.credentialsSecretName";

/** Issues never show a value. A Secret that is not there, or lacks a key, is told by `backendSecretIssues`. */
export function resolveLogin(
  snapshot: Snapshot,
  backend: PbxBackend,
): { readonly login?: Login; readonly issues: readonly Issue[] } {
  const { credentialsSecretName } = backend.spec;
  if (credentialsSecretName === undefined) return { issues: [] };
  const secret = readSecret(snapshot, backend.metadata.namespace, credentialsSecretName);
  const { username = "", password = "" } = secret?.texts ?? {};
  if (secret === undefined || username === "" || password === "") return { issues: [] };
  const { key, salt } = secret;
  const fault = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(username)
    ? passwordFault(password)
    : 'username has at most 128 printable ASCII characters without space, " and \\: correct it.';
  if (fault !== undefined)
    return { issues: [unresolved(refOf(backend), PATH, "SecretInvalid", `Secret ${key}: ${fault}`)] };
  return { login: { salt, username, password }, issues: [] };
}
