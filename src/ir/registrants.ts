/** PBXes that register themselves: who they are, whether or not they have registered. */
import { createHash } from "node:crypto";
import { compare, keyOf, type SipRouterSpec } from "../api/index.ts";
import type { ResolvedSet } from "../model/index.ts";
import type { RegistrantsPlan } from "./types.ts";

/** By the specs, not by Secrets and contacts: those come and go without a restart. */
export const hasRegistrants = (sets: readonly ResolvedSet[]): boolean =>
  sets.some(({ named }) => named.some(({ spec }) => spec.registration !== undefined));

/** A PBX answers whatever realm it is asked for. */
const DEFAULT_REALM = "sip-router";

/** That of the router's users where there are any: a stranger learns nothing from it. */
export const registrationRealm = ({ authentication }: Pick<SipRouterSpec, "authentication">): string =>
  authentication?.realm ?? DEFAULT_REALM;

export function buildRegistrants(sets: readonly ResolvedSet[], realm: string): RegistrantsPlan {
  const users = new Map<string, RegistrantsPlan["users"][number]>();
  const salts = new Set<string>();
  for (const { backend } of sets.flatMap(({ members }) => members)) {
    if (backend.registrant === undefined) continue;
    const { username: user, password, salt } = backend.registrant;
    const secret = Buffer.concat([Buffer.from(`${user}:${realm}:`), Buffer.from(password, "latin1")]);
    users.set(user, { user, ha1: createHash("md5").update(secret).digest("hex"), backend: keyOf(backend.object) });
    salts.add(salt);
  }
  return {
    salt: [...salts].toSorted(compare).join(" "),
    users: [...users.values()].toSorted((a, b) => compare(a.user, b.user)),
  };
}
