/** What a reading of a pod says of the PBXes that register themselves. Every reading is told: the first after a start counts. */
import type { PodView } from "../cluster/index.ts";
import type { PodReading } from "../kamailio/types.ts";
import { tellChangedBackend, usablePods, type Context } from "./context.ts";
import type { RouterState } from "./state.ts";

/** PBXes that registered, or are no longer: another list of destinations. */
export function takeContacts(context: Context, state: RouterState, pod: PodView, reading: PodReading): void {
  const users = state.plan?.data.registrants?.users ?? [];
  const pods = usablePods(context, state.key);
  const changed = context.contacts.read({
    router: state.key,
    pod: pod.uid,
    pods: pods.map(({ uid }) => uid),
    reading,
    backends: new Map(users.map(({ user, backend }) => [user, backend])),
    own: ownAddresses(context, state, pods),
    now: context.clock.now(),
  });
  for (const backend of changed) tellChangedBackend(context, backend);
}

/** Where calls to the router go. */
function ownAddresses(context: Context, state: RouterState, pods: readonly PodView[]): ReadonlySet<string> {
  const advertised = state.plan?.structure.advertise;
  const service = context.cluster.workload(state.key)?.addresses ?? [];
  return new Set([...pods.map(({ ip }) => ip), ...service, ...(advertised === undefined ? [] : [advertised])]);
}
