/**
 * The last good revision of a router: what every ready pod was read back with last. A pod that does not come out right
 * with a newer one gets it back, files and all, until the next edit; the newer one is tried again at growing intervals.
 */
import type { RawObject } from "../api/index.ts";
import { annotations, credentialsName, dataName } from "../render/index.ts";
import type { DesiredData, RenderedRouter } from "../render/types.ts";
import type { Context } from "./context.ts";
import { sameSpec, sameTables, type Halt, type RouterState } from "./state.ts";

const RETRY_FIRST_MS = 10_000;
const RETRY_MAX_MS = 120_000;

/** What every pod must run now. */
export const targetOf = (state: RouterState): DesiredData | undefined =>
  state.halt !== undefined && !state.halt.trying && state.good !== undefined ? state.good.desired : state.desired;

export const isRestoring = (state: RouterState): boolean => state.halt?.trying === false && state.good !== undefined;

export const isData = (state: RouterState, object: RawObject): boolean =>
  (object.kind === "ConfigMap" && object.metadata.name === dataName(state.name)) ||
  (object.kind === "Secret" && object.metadata.name === credentialsName(state.name));

/** The objects to be stored now: those of the last plan, with the data of what every pod must run. */
export function servedObjects(state: RouterState, rendered: RenderedRouter): readonly RawObject[] {
  const { good, halt } = state;
  if (good === undefined || halt === undefined || !isRestoring(state)) return rendered.objects;
  return rendered.objects.map((object) => {
    const kept = good.objects.find((one) => one.kind === object.kind && one.metadata.name === object.metadata.name);
    if (kept === undefined) return object;
    if (kept.kind !== "ConfigMap") return kept;
    const marks = { ...kept.metadata.annotations, [annotations.halted]: halt.revision };
    return { ...kept, metadata: { ...kept.metadata, annotations: marks } };
  });
}

/** Every ready pod was read back with it and its files are stored. True when it was not known to be good. */
export function keepGood(state: RouterState): boolean {
  const { desired, rendered, structureHash, accepted, plan, good } = state;
  state.halt = undefined;
  if (desired === undefined || structureHash === undefined || rendered?.files.desired !== desired) return false;
  const objects = rendered.objects.filter((object) => isData(state, object));
  state.good = { desired, structureHash, accepted, plan, objects };
  return good?.desired !== desired || good.structureHash !== structureHash || !sameSpec(good.accepted, accepted);
}

/** Only files that the running structure reads can be put back. */
export const canRestore = (state: RouterState): boolean =>
  state.good !== undefined &&
  state.good.structureHash === state.structureHash &&
  state.good.desired.revision !== state.desired?.revision;

/** A pod did not come out right: back to the last good revision. False when there is none to go back to. */
export function stopChange(
  context: Context,
  state: RouterState,
  { pod, message, ended, final = false }: Pick<Halt, "pod" | "message" | "ended"> & Partial<Pick<Halt, "final">>,
): boolean {
  const { desired, good, accepted } = state;
  if (desired === undefined || good === undefined || !canRestore(state)) return false;
  const tries = (state.halt?.tries ?? 0) + 1;
  const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (tries - 1));
  const triedAt = context.clock.now();
  const retryAt = triedAt + wait;
  state.halt = {
    revision: desired.revision,
    accepted,
    pod,
    message,
    tries,
    retryAt,
    trying: false,
    triedAt,
    ended,
    final,
  };
  if (!sameTables(desired.tables, good.desired.tables)) state.tablesPending = true;
  const fields = { router: state.key, pod, revision: desired.revision, restored: good.desired.revision };
  context.log.error(
    { ...fields, reason: message, retryInMs: wait },
    "the change is halted, the last good revision is restored",
  );
  context.queues.reconcile.add(state.key);
  return true;
}

/**
 * The halt that goes on when the backends have changed: it is the spec that was halted, and the one that serves follows them.
 * Whatever else asks for another revision is tried at once.
 */
export function haltOf({ halt, good, accepted }: RouterState, { revision }: DesiredData): Halt | undefined {
  if (halt === undefined || good?.accepted === undefined) return undefined;
  const goesOn = sameSpec(halt.accepted, accepted) && !sameSpec(good.accepted, accepted);
  return goesOn && good.desired.revision !== revision ? halt : undefined;
}

/** Time to try again what was halted, or the pod that stopped it is gone. */
export function retryHalted(context: Context, state: RouterState): void {
  const { halt: halted, good, desired } = state;
  if (halted === undefined || halted.trying || halted.final) return;
  const pod = context.cluster.pods(state.key).find(({ name, terminating }) => name === halted.pod && !terminating);
  if ((pod !== undefined || halted.ended) && context.clock.now() < halted.retryAt) return;
  // the next pod would end by it, too
  if (pod !== undefined && halted.ended && !(pod.running && pod.ready)) return;
  state.halt = { ...halted, trying: true, triedAt: context.clock.now() };
  if (good !== undefined && !sameTables(desired?.tables, good.desired.tables)) state.tablesPending = true;
  context.queues.reconcile.add(state.key);
}
