/** Secrets that a spec names: there, and with the keys that are needed. Their values are never put into a message. */
import { refOf, type ObjectRef, type PbxBackend, type SipRouter } from "../api/index.ts";
import { credentialsSources } from "./credentials.ts";
import { unresolved } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import { managementIssues } from "./management.ts";
import type { Issue, Snapshot } from "./types.ts";

interface Need {
  readonly path: string;
  readonly name: string;
  /** keys that must hold something; empty: at least one key, whatever its name */
  readonly keys: readonly string[];
}

/** username and password as in a Secret of type kubernetes.io/basic-auth */
const LOGIN = ["username", "password"];

export function backendSecretIssues(snapshot: Snapshot, backend: PbxBackend): readonly Issue[] {
  const { credentialsSecretName, management, registration } = backend.spec;
  const needs: Need[] = [];
  if (credentialsSecretName !== undefined)
    needs.push({ path: "spec.credentialsSecretName", name: credentialsSecretName, keys: LOGIN });
  if (management !== undefined)
    needs.push({ path: "spec.management.ami.secretName", name: management.ami.secretName, keys: LOGIN });
  if (registration !== undefined)
    needs.push({ path: "spec.registration.secretName", name: registration.secretName, keys: ["password"] });
  return [...needs.flatMap((need) => check(snapshot, refOf(backend), need)), ...managementIssues(snapshot, backend)];
}

export function routerSecretIssues(snapshot: Snapshot, router: SipRouter): readonly Issue[] {
  const needs: Need[] = router.spec.listeners.flatMap((listener, index) =>
    listener.tls === undefined
      ? []
      : [
          {
            path: `spec.listeners[${index}].tls.secretName`,
            name: listener.tls.secretName,
            keys: ["tls.crt", "tls.key"],
          },
        ],
  );
  needs.push(...credentialsSources(router.spec).map(({ path, secretName }) => ({ path, name: secretName, keys: [] })));
  return needs.flatMap((need) => check(snapshot, refOf(router), need));
}

function check(snapshot: Snapshot, object: ObjectRef, need: Need): readonly Issue[] {
  const key = `${object.namespace}/${need.name}`;
  const secret = indexOf(snapshot).secrets.get(key);
  if (secret === undefined) {
    const message = `Secret ${key} does not exist: create it, or correct the name.`;
    return [unresolved(object, need.path, "SecretNotFound", message)];
  }
  const data = (secret["data"] ?? {}) as Record<string, unknown>;
  const filled = (name: string): boolean => typeof data[name] === "string" && data[name] !== "";
  const missing = need.keys.filter((name) => !filled(name));
  if (missing.length > 0) {
    const message = `Secret ${key} lacks ${missing.join(" and ")}: add ${missing.length === 1 ? "it" : "them"}.`;
    return [unresolved(object, need.path, "SecretInvalid", message)];
  }
  if (need.keys.length > 0 || Object.keys(data).some(filled)) return [];
  return [unresolved(object, need.path, "SecretInvalid", `Secret ${key} is empty: add one key for each user.`)];
}
