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

/** One destination among all sets: lists and tables are kept by it. */
export const destinationId = ({ setId, uri }: { readonly setId: number; readonly uri: string }): string =>
  `${setId} ${uri}`;
