/** A set is never emptied: it keeps its last destinations, and what the tables say of them. Pure. */
import { compare } from "../api/index.ts";
import { destinationId, DRAIN_TIER, kamailioSetId } from "../ir/setId.ts";
import type { DataPlan, Destination, DispatcherSetPlan, RouterPlan } from "../ir/types.ts";

/**
 * A set that would lose its last destination keeps the ones it had: calls to a backend that may come back are better
 * than an empty set, and an empty list wipes everything. A PBX whose registration is over is kept in that case, too, but
 * gets no new calls. Pure.
 */
export function keepLastDestinations(
  plan: RouterPlan,
  last: RouterPlan | undefined,
): { plan: RouterPlan; kept: readonly string[] } {
  const before = new Map((last?.data.sets ?? []).map((set) => [`${set.id} ${set.name}`, set]));
  const registering = new Set(
    [last, plan].flatMap((one) => one?.data.registrants?.users.map(({ backend }) => backend) ?? []),
  );
  const kept: string[] = [];
  let changed = false;
  const sets = plan.data.sets.map((set): DispatcherSetPlan => {
    const old = before.get(`${set.id} ${set.name}`);
    if (set.destinations.length > 0 || old === undefined || old.destinations.length === 0) return set;
    const moved = old.destinations.map((one) => (registering.has(one.backend) ? drained(set, one) : one));
    const destinations = [...new Map(moved.map((one) => [destinationId(one), one])).values()];
    const serving = destinations.filter((one) => one.priority !== DRAIN_TIER).map((one) => one.priority);
    if (serving.length > 0) kept.push(set.name);
    changed = true;
    return { ...set, tiers: old.tiers.filter((tier) => serving.includes(tier)), destinations };
  });
  if (!changed || last === undefined) return { plan, kept };
  return { plan: { ...plan, data: { ...plan.data, sets, ...keepTables({ ...plan.data, sets }, last.data) } }, kept };
}

/** A destination that is kept keeps its login and its limit of calls. */
function keepTables({ sets, trunks, caps }: DataPlan, last: DataPlan): Pick<DataPlan, "trunks" | "caps"> {
  const listed = new Set(sets.flatMap(({ destinations }) => destinations.map(destinationId)));
  const uris = new Set(sets.flatMap(({ destinations }) => destinations.map(({ uri }) => uri)));
  const logins = new Set(trunks?.logins.map(destinationId));
  const oldLogins = (last.trunks?.logins ?? []).filter((one) => {
    const id = destinationId(one);
    return listed.has(id) && !logins.has(id);
  });
  const limited = new Set(caps?.map(({ uri }) => uri));
  const oldCaps = (last.caps ?? []).filter(({ uri }) => uris.has(uri) && !limited.has(uri));
  return {
    ...(trunks === undefined || oldLogins.length === 0
      ? {}
      : {
          trunks: {
            salt: [...new Set([trunks.salt, last.trunks?.salt ?? ""].flatMap((salt) => salt.split(" ")))]
              .filter((salt) => salt !== "")
              .toSorted()
              .join(" "),
            logins: [...trunks.logins, ...oldLogins].toSorted((a, b) => a.setId - b.setId || compare(a.uri, b.uri)),
          },
        }),
    ...(caps === undefined || oldCaps.length === 0
      ? {}
      : { caps: [...caps, ...oldCaps].toSorted((a, b) => compare(a.uri, b.uri)) }),
  };
}

const drained = (set: DispatcherSetPlan, one: Destination): Destination => ({
  ...one,
  setId: kamailioSetId(set.id, DRAIN_TIER),
  priority: DRAIN_TIER,
});
