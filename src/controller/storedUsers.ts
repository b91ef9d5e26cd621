/**
 * Users as the router's own Secret has them, for an operator that has just started while the Secret that they come from is
 * missing or of no use: they keep what they have, and everything else goes on.
 */
import { decodeSecretData, encodeSecretData, type RawObject, type SipRouterSpec } from "../api/index.ts";
import { credentialsSources } from "../model/credentials.ts";
import { credentialsName, parseUsers } from "../render/index.ts";
import type { Context } from "./context.ts";
import type { RouterState } from "./state.ts";

/** Secrets as `authentication` names them, with the hashes that the pods have; none for whoever has no user there. */
export function storedUsers(
  context: Context,
  { namespace, name }: RouterState,
  spec: RawObject["spec"],
): readonly RawObject[] {
  const stored = context.cluster.owned("Secret", namespace, credentialsName(name));
  if (stored === undefined) return [];
  const users = parseUsers(decodeSecretData(stored));
  return credentialsSources(spec as SipRouterSpec).flatMap((source): readonly RawObject[] => {
    const own = users.filter(({ domain }) => domain === source.domain);
    if (own.length === 0) return [];
    // what is made of them is salted with it: it must not be guessed
    const { uid } = stored.metadata;
    const metadata = { namespace, name: source.secretName, ...(uid === undefined ? {} : { uid }) };
    const data = encodeSecretData(Object.fromEntries(own.map(({ user, ha1 }) => [user, `ha1:${ha1}`])));
    return [{ apiVersion: "v1", kind: "Secret", metadata, data }];
  });
}
