/**
 * What the stored list says of a router's sets, for an operator that has just started and knows no plan before its first: a
 * set that has lost its last backend meanwhile keeps its destinations. Pure.
 */
import type { RawObject, SipRouterStatus, Transport } from "../api/index.ts";
import { DRAIN_TIER, setIdOf, tierOf } from "../ir/setId.ts";
import type { Destination, DispatcherSetPlan, RouterPlan } from "../ir/types.ts";
import type { DesiredData, DispatcherEntry } from "../render/types.ts";
import type { SetInput } from "../status/index.ts";

/** A plan with the sets as stored; undefined when there are none, or when PBXes register and their contacts say more. */
export function lastPlanOf(
  plan: RouterPlan,
  stored: Pick<DesiredData, "dispatcher"> | undefined,
  status: unknown,
): RouterPlan | undefined {
  if (stored === undefined || plan.structure.registrants !== undefined) return undefined;
  const known = (status as Partial<SipRouterStatus> | undefined)?.sets ?? [];
  const sets = plan.data.sets.flatMap((set): readonly DispatcherSetPlan[] => {
    if (!known.some(({ name, id }) => name === set.name && id === set.id)) return [];
    const destinations = stored.dispatcher
      .filter((entry) => setIdOf(entry.setId) === set.id)
      .flatMap((entry) => destinationOf(entry) ?? []);
    const tiers = destinations.map(({ priority }) => priority).filter((tier) => tier !== DRAIN_TIER);
    return [{ ...set, tiers: [...new Set(tiers)].toSorted((a, b) => a - b), destinations }];
  });
  return { ...plan, data: { ...plan.data, sets } };
}

/** Whose it was is not stored: no backend's status shows it. */
function destinationOf({ setId, uri, flags, attrs }: DispatcherEntry): Destination | undefined {
  const [, host, port, transport] = /^sip:(\[[^\]]+\]|[^:]+):([0-9]+);transport=(udp|tcp|tls)$/.exec(uri) ?? [];
  if (host === undefined || port === undefined || transport === undefined) return undefined;
  const weight = /(?:^|;)rweight=([0-9]+)/.exec(attrs)?.[1];
  return {
    setId,
    uri,
    host: host.replaceAll(/[[\]]/g, ""),
    port: Number(port),
    transport: transport.toUpperCase() as Transport,
    priority: tierOf(setId),
    ...(weight === undefined ? {} : { weight: Number(weight) }),
    backend: "",
    disabled: flags !== 0,
  };
}

/** The sets that the status names, with the stored destinations. */
export function setsFromStatus(object: RawObject, desired: DesiredData): readonly SetInput[] {
  const sets = (object.status as { sets?: readonly { name: string; id: number }[] } | undefined)?.sets ?? [];
  return sets.map(({ name, id }) => ({
    name,
    id,
    destinations: desired.dispatcher.filter((entry) => setIdOf(entry.setId) === id),
  }));
}
