/** Credentials of trunks: for each destination of a backend that has them. */
import { keyOf } from "../api/index.ts";
import type { Login, ResolvedSet } from "../model/index.ts";
import { buildSet } from "./destinations.ts";
import type { TrunksPlan } from "./types.ts";

/** By the specs, not by Secrets and endpoints: those come and go without a restart. */
export const hasTrunks = (sets: readonly ResolvedSet[]): boolean =>
  sets.some(({ named }) => named.some(({ spec }) => spec.credentialsSecretName !== undefined));

export function buildTrunks(sets: readonly ResolvedSet[]): TrunksPlan {
  const logins = new Map<string, Login>();
  for (const { backend } of sets.flatMap(({ members }) => members))
    if (backend.login !== undefined) logins.set(keyOf(backend.object), backend.login);
  return {
    salt: [...new Set([...logins.values()].map(({ salt }) => salt))].toSorted().join(" "),
    logins: sets
      .flatMap((set) => buildSet(set).destinations)
      .flatMap(({ setId, uri, backend }) => {
        const login = logins.get(backend);
        return login === undefined ? [] : [{ setId, uri, username: login.username, password: login.password }];
      })
      .toSorted((a, b) => a.setId - b.setId || (a.uri < b.uri ? -1 : 1)),
  };
}
