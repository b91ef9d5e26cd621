/**
 * Kamailio's dispatcher set ids: a dispatcher set of the spec takes one hundred of them, one for each tier (priority).
 * A tier keeps its number when others come or go.
 */

/** Holds what drains: probed and trusted as a caller, never selected. */
export const DRAIN_TIER = 99;
const TIERS = 100;

export const kamailioSetId = (setId: number, tier: number): number => setId * TIERS + tier;
/** id of the dispatcher set of the spec */
export const setIdOf = (kamailioSet: number): number => Math.floor(kamailioSet / TIERS);
export const tierOf = (kamailioSet: number): number => kamailioSet % TIERS;
export const isDrainTier = (kamailioSet: number): boolean => tierOf(kamailioSet) === DRAIN_TIER;

interface Placed {
  readonly setId: number;
  readonly uri: string;
}

/** One destination among all sets: lists and tables are kept by it. */
export const destinationId = ({ setId, uri }: Placed): string => `${setId} ${uri}`;

const grouped = new WeakMap<readonly Placed[], ReadonlyMap<string, readonly Placed[]>>();

/** A list by destination, which may be in it twice. Lists are never changed, only replaced: each is looked through once. */
export function byDestination<One extends Placed>(list: readonly One[]): ReadonlyMap<string, readonly One[]> {
  const known = grouped.get(list) as ReadonlyMap<string, readonly One[]> | undefined;
  if (known !== undefined) return known;
  const made = Map.groupBy(list, destinationId);
  grouped.set(list, made);
  return made;
}
