/**
 * The last good revision of a router: what every ready pod was read back with last. A pod that does not come out right
 * with a newer one gets it back, files and all, until the next edit; the newer one is tried again at growing intervals.
 *
 * It outlives the operator in the data ConfigMap itself: what is stored there when the operator starts was good when the
 * status says so, or when the ConfigMap says that it was put back.
 */
import type { RawObject } from "../api/index.ts";
import { annotations, credentialsName, dataName } from "../render/index.ts";
import type { DesiredData, RenderedRouter } from "../render/types.ts";
import { conditionOf } from "../status/index.ts";
import type { Context } from "./context.ts";
import { sameTables, type GoodRevision, type Halt, type RouterState } from "./state.ts";

const RETRY_FIRST_MS = 10_000;
const RETRY_MAX_MS = 120_000;

/** What every pod must run now. */
export const targetOf = (state: RouterState): DesiredData | undefined =>
  state.halt !== undefined && !state.halt.trying && state.good !== undefined ? state.good.desired : state.desired;

export const isRestoring = (state: RouterState): boolean => state.halt?.trying === false && state.good !== undefined;

const isData = (state: RouterState, object: RawObject): boolean =>
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

/** Every ready pod was read back with it and its files are stored. */
export function keepGood(state: RouterState): void {
  const { desired, rendered, structureHash } = state;
  state.halt = undefined;
  if (desired === undefined || structureHash === undefined || rendered?.files.desired !== desired) return;
  if (state.good?.desired === desired && state.good.structureHash === structureHash) return;
  state.good = { desired, structureHash, objects: rendered.objects.filter((object) => isData(state, object)) };
}

/** Only files that the running structure reads can be put back. */
const canRestore = (state: RouterState): boolean =>
  state.good !== undefined &&
  state.good.structureHash === state.structureHash &&
  state.good.desired.revision !== state.desired?.revision;

/** A pod did not come out right: back to the last good revision. False when there is none to go back to. */
export function stopChange(
  context: Context,
  state: RouterState,
  { pod, message, ended }: Pick<Halt, "pod" | "message" | "ended">,
): boolean {
  const { desired, good } = state;
  if (desired === undefined || good === undefined || !canRestore(state)) return false;
  const tries = (state.halt?.tries ?? 0) + 1;
  const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (tries - 1));
  const retryAt = context.clock.now() + wait;
  state.halt = { revision: desired.revision, pod, message, tries, retryAt, trying: false, ended };
  if (!sameTables(desired.tables, good.desired.tables)) state.tablesPending = true;
  const fields = { router: state.key, pod, revision: desired.revision, restored: good.desired.revision };
  context.log.error(
    { ...fields, reason: message, retryInMs: wait },
    "the change is halted, the last good revision is restored",
  );
  context.queues.reconcile.add(state.key);
  return true;
}

/** Time to try again what was halted, or the pod that stopped it is gone. */
export function retryHalted(context: Context, state: RouterState): void {
  const { halt: halted, good, desired } = state;
  if (halted === undefined || halted.trying) return;
  const pod = context.cluster.pods(state.key).find(({ name, terminating }) => name === halted.pod && !terminating);
  if ((pod !== undefined || halted.ended) && context.clock.now() < halted.retryAt) return;
  // the next pod would end by it, too
  if (pod !== undefined && halted.ended && !(pod.running && pod.ready)) return;
  state.halt = { ...halted, trying: true };
  if (good !== undefined && !sameTables(desired?.tables, good.desired.tables)) state.tablesPending = true;
  context.queues.reconcile.add(state.key);
}

/** What is stored when the operator starts, if it is known to have been right. */
export function findGood(
  context: Context,
  state: RouterState,
  object: RawObject,
  rendered: RenderedRouter,
): GoodRevision | undefined {
  const stored = context.cluster.owned("ConfigMap", state.namespace, dataName(state.name));
  const deployment = context.cluster.owned("Deployment", state.namespace, state.name);
  const structureHash = structureOf(deployment);
  if (stored === undefined || structureHash === undefined) return undefined;
  const { nonce: _nonce, ...data } = (stored["data"] ?? {}) as Record<string, string>;
  const desired = parse(context, data);
  if (desired === undefined || desired.revision === rendered.files.desired.revision) return undefined;
  if (!wasGood(object, stored, desired.revision)) return undefined;
  const objects = rendered.objects
    .filter((one) => isData(state, one))
    .map((one): RawObject | undefined => {
      if (one.kind === "ConfigMap")
        return {
          ...one,
          metadata: { ...one.metadata, annotations: { [annotations.revision]: desired.revision } },
          data,
        };
      const secret = context.cluster.owned("Secret", state.namespace, one.metadata.name);
      return secret === undefined ? undefined : { ...one, data: secret["data"] };
    });
  if (objects.includes(undefined)) return undefined;
  return { desired, structureHash, objects: objects.filter((one) => one !== undefined) };
}

function wasGood(object: RawObject, stored: RawObject, revision: string): boolean {
  if (stored.metadata.annotations?.[annotations.halted] !== undefined) return true;
  const told = (object.status as { revision?: string } | undefined)?.revision;
  return told === revision && conditionOf(object.status, "Programmed")?.status === "True";
}

const structureOf = (deployment: RawObject | undefined): string | undefined =>
  (deployment?.spec as { template?: { metadata?: { annotations?: Record<string, string> } } } | undefined)?.template
    ?.metadata?.annotations?.[annotations.structureHash];

function parse(context: Context, data: Readonly<Record<string, string>>): DesiredData | undefined {
  try {
    return context.pipeline.parseDataFiles(data);
  } catch {
    return undefined;
  }
}
