/**
 * Users as the router's own Secret has them, for an operator that has just started while the Secret that they come from is
 * missing or of no use: they keep what they have, and everything else goes on.
 */
import { decodeSecretData, encodeSecretData, type RawObject, type SipRouterSpec } from "../api/index.ts";
import { credentialsSources, type CredentialsSource } from "../model/credentials.ts";
import { credentialsName, parseUsers } from "../render/index.ts";
import type { Context } from "./context.ts";
import type { RouterState, StoredUsers } from "./state.ts";

type Spec = RawObject["spec"];

const made = new WeakSet<RawObject>();
/** It stands in for a Secret that is missing: its hashes are good for one realm. */
export const isStandIn = (secret: RawObject): boolean => made.has(secret);

/**
 * Secrets as `spec` names them, with the hashes that the pods have. Where the spec that was accepted gives a Secret to another
 * realm, or several have it, the hashes are of no use: none for those.
 */
export function standIns(context: Context, state: RouterState, spec: Spec, accepted: Spec): readonly RawObject[] {
  // what is stored later is this operator's own work, or an edit that it mends
  state.storedUsers ??= readUsers(context, state);
  const { users, salt } = state.storedUsers;
  const before = sourcesOf(accepted);
  return sourcesOf(spec).flatMap((source, _index, all): readonly RawObject[] => {
    const { secretName, realm, domain } = source;
    const isOnly = [before, all].every((some) => some.filter((one) => one.secretName === secretName).length === 1);
    const isSame = before.some((one) => one.secretName === secretName && one.realm === realm && one.domain === domain);
    const own = users.filter((user) => user.domain === domain);
    if (!isOnly || !isSame || own.length === 0) return [];
    const data = encodeSecretData(Object.fromEntries(own.map(({ user, ha1 }) => [user, `ha1:${ha1}`])));
    const metadata = { namespace: state.namespace, name: secretName, ...(salt === undefined ? {} : { uid: salt }) };
    const secret = { apiVersion: "v1", kind: "Secret", metadata, data };
    made.add(secret);
    return [secret];
  });
}

const sourcesOf = (spec: Spec): readonly CredentialsSource[] => credentialsSources(spec as SipRouterSpec);

function readUsers(context: Context, { namespace, name }: RouterState): StoredUsers {
  const stored = context.cluster.owned("Secret", namespace, credentialsName(name));
  return stored === undefined
    ? { users: [], salt: undefined }
    : { users: parseUsers(decodeSecretData(stored)), salt: stored.metadata.uid };
}
