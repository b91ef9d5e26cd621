/**
 * The pool of addresses that stand for pod IPs. Who has one keeps it; the rest is shared out in the order of router name
 * and replica. Pure.
 */
import { keyOf, type Key, type RawObject } from "../api/index.ts";

/** A router's wish. */
export interface Claim {
  readonly router: Key;
  readonly replicas: number;
}

export interface Pool {
  readonly addresses: readonly string[];
  /** most replicas of one router; absent: as many as there are addresses */
  readonly maxReplicas?: number;
}

/** Routers that are not refused want addresses, in the order of their names, whether or not they run yet. */
export function claimsOf(objects: readonly RawObject[]): Claim[] {
  return objects.flatMap((object) => {
    if (object.kind !== "SipRouter") return [];
    const { conditions } = (object.status ?? {}) as { conditions?: readonly { type: string; status: string }[] };
    const refused = conditions?.some(({ type, status }) => type === "Accepted" && status === "False") ?? false;
    const { replicas } = (object.spec ?? {}) as { replicas?: unknown };
    const router: Key = keyOf(object);
    return refused ? [] : [{ router, replicas: Number.isInteger(replicas) ? Number(replicas) : 2 }];
  });
}

/**
 * The share of each router: as many addresses as it wants, fewer when the pool ends. `held`: what its pods have, those
 * that go on first.
 */
export function shareAddresses(
  pool: Pool,
  claims: readonly Claim[],
  held: ReadonlyMap<Key, readonly string[]> = new Map(),
): ReadonlyMap<Key, readonly string[]> {
  const sorted = claims.toSorted((a, b) => (a.router < b.router ? -1 : 1));
  const wish = ({ replicas }: Claim): number => Math.min(replicas, pool.maxReplicas ?? replicas);
  const kept = new Map(
    sorted.map((claim) => {
      const own = (held.get(claim.router) ?? []).filter((address) => pool.addresses.includes(address));
      return [claim.router, own.slice(0, wish(claim))];
    }),
  );
  const taken = new Set([...kept.values()].flat());
  const rest = pool.addresses.filter((address) => !taken.has(address));
  const shares = new Map<Key, readonly string[]>();
  for (const claim of sorted) {
    const own = kept.get(claim.router) ?? [];
    shares.set(claim.router, [...own, ...rest.splice(0, wish(claim) - own.length)]);
  }
  return shares;
}

/** A free address for a new pod of the router: of its own share first, else one that is in nobody's share. */
export function chooseAddress(
  pool: Pool,
  shares: ReadonlyMap<Key, readonly string[]>,
  taken: ReadonlySet<string>,
  router: Key,
): string | undefined {
  const shared = new Set([...shares.values()].flat());
  const spare = pool.addresses.filter((address) => !shared.has(address));
  return [...(shares.get(router) ?? []), ...spare].find((address) => !taken.has(address));
}
