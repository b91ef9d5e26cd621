/**
 * The last good revision, kept up: by an operator that starts, and with the backends that come, go and drain while another spec
 * is not proven yet, or halted.
 *
 * It outlives the operator in the data ConfigMap. What is stored there when the operator starts was good when the status says so,
 * or when the ConfigMap says that it was put back; else the spec that was proven last is there beside the one that is stored.
 */
import type { RawObject } from "../api/index.ts";
import type { Snapshot } from "../model/types.ts";
import { annotations } from "../render/index.ts";
import type { DesiredData, RenderedRouter } from "../render/types.ts";
import { conditionOf } from "../status/index.ts";
import { resolveSpec, storedSpec } from "./accepted.ts";
import type { Context } from "./context.ts";
import { filesOf, storedConfig } from "./dataConfig.ts";
import { keepLastDestinations } from "./keepLast.ts";
import { isData } from "./restore.ts";
import { sameSpec, type Accepted, type GoodRevision, type RouterState } from "./state.ts";
import { lastPlanOf } from "./storedSets.ts";

/** The last good spec with today's backends; as it is when that cannot be had. */
export function followGood(context: Context, state: RouterState, object: RawObject, snapshot: Snapshot): void {
  const { good, accepted } = state;
  if (good?.accepted === undefined || sameSpec(good.accepted, accepted)) return;
  // who comes or goes in it concerns the router; while its own spec is refused, what serves in its place is looked at
  if (accepted?.spec === object.spec) context.mapper.serve(object, { ...object, spec: good.accepted.spec });
  state.good = planGood(context, state, object, snapshot, good.accepted, good) ?? good;
}

function planGood(
  context: Context,
  state: RouterState,
  object: RawObject,
  snapshot: Snapshot,
  accepted: Accepted,
  last: Pick<GoodRevision, "desired" | "plan" | "structureHash">,
): GoodRevision | undefined {
  try {
    // a Secret that was renewed counts, as long as it is of use
    const router =
      resolveSpec(context, state, object, snapshot, { ...accepted, secrets: [] }) ??
      resolveSpec(context, state, object, snapshot, accepted);
    if (router === undefined) return undefined;
    const built = context.pipeline.buildPlan(router, context.defaults);
    const { plan } = keepLastDestinations(built, last.plan ?? lastPlanOf(built, last.desired, object.status));
    if (plan.data.sets.every((set) => set.destinations.length === 0)) return undefined;
    const { files, objects } = context.pipeline.renderRouter(plan);
    if (files.structureHash !== last.structureHash) return undefined;
    // the same revision is the same object: what was read is compared with it once
    const desired = files.desired.revision === last.desired.revision ? last.desired : files.desired;
    return {
      desired,
      plan,
      accepted,
      structureHash: files.structureHash,
      objects: objects.filter((one) => isData(state, one)),
    };
  } catch (error) {
    context.log.warn({ router: state.key, err: error }, "the last good spec does not follow its backends");
    return undefined;
  }
}

/** What is known to have been right when the operator starts, if it is not what is wanted now. */
export function findGood(
  context: Context,
  state: RouterState,
  object: RawObject,
  rendered: RenderedRouter,
  snapshot: Snapshot,
): GoodRevision | undefined {
  const stored = storedConfig(context, state);
  const structureHash = structureOf(context.cluster.owned("Deployment", state.namespace, state.name));
  if (stored === undefined || structureHash === undefined) return undefined;
  const { nonce: _nonce, ...data } = filesOf(stored) ?? {};
  const desired = parse(context, data);
  if (desired === undefined) return undefined;
  const proven = storedSpec(context, state, annotations.provenSpec);
  const isPutBack = stored.metadata.annotations?.[annotations.halted] !== undefined;
  const good = { desired, structureHash, plan: undefined };
  if (!isPutBack && !isProven(object, desired.revision))
    return proven && planGood(context, state, object, snapshot, proven, good);
  if (desired.revision === rendered.files.desired.revision) return undefined;
  const objects = storedObjects(context, state, rendered, desired.revision, data);
  const accepted = isPutBack ? proven : storedSpec(context, state, annotations.acceptedSpec);
  return objects && { ...good, accepted, objects };
}

function storedObjects(
  context: Context,
  state: RouterState,
  rendered: RenderedRouter,
  revision: string,
  data: Readonly<Record<string, string>>,
): readonly RawObject[] | undefined {
  const own = rendered.objects.filter((one) => isData(state, one));
  const objects = own.flatMap((one): readonly RawObject[] => {
    const metadata = { ...one.metadata, annotations: { [annotations.revision]: revision } };
    if (one.kind === "ConfigMap") return [{ ...one, metadata, data }];
    const secret = context.cluster.owned("Secret", state.namespace, one.metadata.name);
    return secret === undefined ? [] : [{ ...one, data: secret["data"] }];
  });
  return objects.length === own.length ? objects : undefined;
}

function isProven({ status }: RawObject, revision: string): boolean {
  const told = (status as { revision?: string } | undefined)?.revision;
  return told === revision && conditionOf(status, "Programmed")?.status === "True";
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
