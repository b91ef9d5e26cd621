/** The whole status of a SipRouter. */
import { byName, routerConditionTypes, type SipRouterStatus } from "../api/index.ts";
import { destinationId, isDrainTier } from "../ir/setId.ts";
import { mergeConditions } from "./merge.ts";
import { judgeRouter } from "./routerChecks.ts";
import type { RouterInput, SetInput, SetStatus } from "./types.ts";

export function buildRouterStatus(input: RouterInput): SipRouterStatus {
  const stored = input.object.status as SipRouterStatus | undefined;
  const generation = input.generation ?? input.object.metadata.generation ?? 0;
  const lastHandledReloadAt = input.reloadHandled ?? stored?.lastHandledReloadAt;
  const sets = input.sets === undefined ? (stored?.sets ?? []) : setStatuses(input, input.sets);
  const active = sets.reduce((sum, set) => sum + set.active, 0);
  const destinations = sets.reduce((sum, set) => sum + set.destinations, 0);
  return {
    observedGeneration: generation,
    conditions: mergeConditions(stored, judgeRouter(input, sets), routerConditionTypes, generation, input.now),
    replicas: input.workload?.replicas ?? 0,
    readyReplicas: input.workload?.readyReplicas ?? 0,
    selector: input.selector,
    addresses: [...(input.workload?.addresses ?? [])],
    sets: [...sets],
    active: `${active}/${destinations}`,
    ...(input.revision === undefined ? {} : { revision: input.revision }),
    pods: input.pods.toSorted(byName).map((pod) => ({
      name: pod.name,
      ...(pod.revision === undefined ? {} : { revision: pod.revision }),
      state: pod.state,
      ...(pod.message === "" ? {} : { message: pod.message.slice(0, 512) }),
    })),
    ...(lastHandledReloadAt === undefined ? {} : { lastHandledReloadAt }),
  };
}

/** A destination is active when at least one ready pod sends calls to it; one that drains never is. */
function setStatuses(input: RouterInput, sets: readonly SetInput[]): SetStatus[] {
  const serving = new Set(
    input.pods
      .filter((pod) => pod.ready)
      .flatMap((pod) => pod.destinations ?? [])
      .filter((one) => one.state === "Active" || one.state === "Probing")
      .filter((one) => !isDrainTier(one.setId))
      .map(destinationId),
  );
  return sets.toSorted(byName).map(({ name, id, destinations }) => ({
    name,
    id,
    destinations: destinations.length,
    active: destinations.filter((one) => serving.has(destinationId(one))).length,
  }));
}
