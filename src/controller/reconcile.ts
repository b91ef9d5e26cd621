/** One router from its spec to its objects: resolve, plan, render, secret, apply, prune. The pods are brought along by reloadFleet.ts. */
import type { Key, ObjectRef, RawObject, Reason, SipRouterStatus } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import { destinationId, isDrainTier } from "../ir/setId.ts";
import type { Issue, ResolvedRouter, Snapshot } from "../model/types.ts";
import { controlName } from "../render/index.ts";
import { annotations } from "../render/layout.ts";
import type { DesiredData, RenderedRouter } from "../render/types.ts";
import { conditionOf, type SetInput } from "../status/index.ts";
import {
  backendStatusKey,
  findIn,
  nameWait,
  routerStatusKey,
  STATUS_DELAY_MS,
  tellChangedBackend,
  tellUsedBackends,
  type Context,
} from "./context.ts";
import type { RunInfo, RunResult } from "./queue.ts";
import { acceptedOf, resolveAccepted, resolveNewest } from "./accepted.ts";
import { filesOf, isDataConfig, objectsToStore, storedConfig, storedRevisionOf, withNonce } from "./dataConfig.ts";
import { findGood, followGood } from "./lastGood.ts";
import { haltOf, targetOf } from "./restore.ts";
import { controlSecretOf } from "./controlSecret.ts";
import { forgetSilent, rememberSilent } from "./silent.ts";
import { planRouter } from "./planRouter.ts";
import { setsFromStatus } from "./storedSets.ts";
import { forgetEnds } from "./suspects.ts";
import { isKnown, newRouterState, sameSpec, sameTables, type Planned, type RouterState } from "./state.ts";

/** A spec that cannot be rendered stays so until it is edited; a look from time to time costs nothing. */
const RENDER_RETRY_MS = 60_000;

/** @throws OperatorError when something could not be written: to be repeated */
export async function reconcileRouter(context: Context, key: Key, info: RunInfo): Promise<RunResult> {
  const object = findIn(context.snapshot().routers, key);
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
    dropRouter(context, key);
    return undefined;
  }
  const state = stateOf(context, object);
  const wait = nameWait(context, key);
  if (wait > 0) return wait;
  try {
    return await bringForward(context, state, object, info);
  } catch (error) {
    const reason = error instanceof OperatorError && error.code === "SIPR_NOT_OWNED" ? "NotOwned" : "ApplyFailed";
    state.failure = { reason, message: messageOf(error) };
    throw error;
  } finally {
    const first = !state.visited;
    state.visited = true;
    if (first && isKnown(state)) tellUsedBackends(context, key);
    const soon = state.pods.size > 0 && state.programmed !== state.desired?.revision && state.failure === undefined;
    context.queues.status.addAfter(routerStatusKey(key), soon ? STATUS_DELAY_MS : 0);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function stateOf(context: Context, object: RawObject): RouterState {
  const made = newRouterState(object);
  const known = context.states.get(made.key);
  if (known !== undefined && known.uid === made.uid) return known;
  if (known !== undefined) dropRouter(context, made.key);
  const state = made;
  const revision = (object.status as { revision?: string } | undefined)?.revision;
  if (conditionOf(object.status, "Programmed")?.status === "True") state.programmed = revision;
  context.states.set(state.key, state);
  return state;
}

async function bringForward(
  context: Context,
  state: RouterState,
  object: RawObject,
  info: RunInfo,
): Promise<RunResult> {
  const snapshot = context.snapshot();
  const { router, issues, view } = resolveNewest(context, state, object, snapshot);
  if (router === undefined) decide(context, state, object, issues);
  const served = router ?? resolveAccepted(context, state, object, snapshot);
  if (served === undefined) return serveWithoutPlan(context, state, object);
  // The same snapshot gives the same plan: what brought us here is an object that nobody plans with.
  const planned =
    state.planned.get(snapshot) ??
    planRouter(context, state, () => context.pipeline.buildPlan(served, context.defaults));
  if (planned === undefined || planned === "empty") {
    decide(context, state, object, issues);
    if (planned === "empty") return serveWithoutPlan(context, state, object);
    await serveLastGood(context, state, object);
    return RENDER_RETRY_MS;
  }
  state.planned.set(snapshot, planned);
  const wait = tableWait(context, state, planned.rendered.files.desired);
  if (wait > 0) return wait;
  await ensureToken(context, state, object);
  for (const one of planned.rendered.objects) if (one.kind === "Secret") await context.cluster.followSecret(one);
  if (!state.goodSought) state.good = findGood(context, state, object, planned.rendered, snapshot);
  state.goodSought = true;
  decide(context, state, object, issues);
  if (router !== undefined) accept(context, state, object, router, view);
  const before = targetOf(state);
  followGood(context, state, object, snapshot);
  adopt(context, state, planned, info.addedAt);
  if (!sameTables(before?.tables, (targetOf(state) ?? planned.rendered.files.desired).tables))
    state.tablesPending = true;
  if (isForPods(state)) await letPodsBeFirst(context, state);
  await applyObjects(context, state, planned.rendered);
  await pruneOld(context, state, planned.rendered);
  return undefined;
}

/** From here on the status is about this generation of the spec. */
function decide(context: Context, state: RouterState, object: RawObject, issues: readonly Issue[]): void {
  state.issues = issues;
  state.generation = object.metadata.generation;
  tellRejected(context, state);
  const asked = object.metadata.annotations?.[annotations.reloadRequested];
  const answered = state.readHandled ?? (object.status as SipRouterStatus | undefined)?.lastHandledReloadAt;
  if (asked === undefined || asked === answered) return;
  state.readAsked = asked;
  context.queues.reload.add(state.key);
}

function accept(
  context: Context,
  state: RouterState,
  object: RawObject,
  router: ResolvedRouter,
  snapshot: Snapshot,
): void {
  state.openExternal = router.object.spec.external?.callers === "Anyone";
  state.accepted = acceptedOf(object, snapshot, state.accepted);
  context.mapper.serve(object, undefined);
}

/**
 * The spec is refused, or what it names is not there. Never an empty list: Kamailio would forget every set and say Ok.
 * What is stored goes on, whole.
 */
async function serveWithoutPlan(context: Context, state: RouterState, object: RawObject): Promise<undefined> {
  await serveLastGood(context, state, object);
  if (state.rendered === undefined) state.failure = undefined;
  else await applyObjects(context, state, state.rendered);
  const serves = ({ destinations }: SetInput): boolean => destinations.some(({ setId }) => !isDrainTier(setId));
  state.keptSets = (state.sets ?? []).filter(serves).map((set) => set.name);
}

/** db_text sees a file's age in whole seconds: two tables written within one second may look like one. The first goes at once. */
function tableWait(context: Context, state: RouterState, desired: DesiredData): number {
  const now = targetOf(state);
  if (now === undefined || sameTables(now.tables, desired.tables)) return 0;
  return Math.max(0, state.tablesStoredAt + context.tuning.tableSpacingMs - context.clock.now());
}

async function ensureToken(context: Context, state: RouterState, object: RawObject): Promise<void> {
  // Running pods know the first token: what was lost is made again with the same one.
  const generate = (present?: Readonly<Record<string, string>>): Record<string, string> =>
    context.pipeline.generateControlSecret(present?.["token"] || state.token);
  const data = await context.cluster.ensureSecret(controlSecretOf(object), generate);
  state.token = data["token"];
}

/** From here on every pod is brought to this revision: what needs no file starts at once, beside the write of the files. */
function adopt(context: Context, state: RouterState, { plan: made, rendered, kept }: Planned, since: number): void {
  const { desired, structureHash } = rendered.files;
  const destinations = made.data.sets.flatMap((set) => set.destinations);
  const edited = state.halt !== undefined && !sameSpec(state.halt.accepted, state.accepted);
  if (edited || state.desired?.revision !== desired.revision) {
    context.log.info({ router: state.key, revision: desired.revision, from: state.desired?.revision }, "new revision");
    // what was stopped or refused before is not what this change took
    const waiting = state.halt === undefined ? state.changedAt : undefined;
    state.changedAt = state.desired === undefined ? undefined : (waiting ?? since);
    state.nonce = 0;
    state.halt = haltOf(state, desired);
    if (state.halt === undefined) forgetEnds(state);
  }
  const first = state.plan === undefined;
  state.plan = made;
  state.rendered = rendered;
  state.desired = desired;
  state.keptSets = kept;
  state.sets = made.data.sets.map((set): SetInput => ({ name: set.name, id: set.id, destinations: set.destinations }));
  const before = state.backendOf;
  state.backendOf = new Map(destinations.map((one) => [destinationId(one), one.backend]));
  if (first) rememberSilent(context, state);
  state.structureHash = structureHash;
  state.replicas = made.workload.replicas;
  // what follows is nothing that the pods wait for
  context.queues.reload.add(state.key);
  forgetSilent(state);
  context.management.recheck();
  const [old, now] = [new Set(before.values()), new Set(state.backendOf.values())];
  for (const backend of old.symmetricDifference(now))
    context.queues.status.addAfter(backendStatusKey(backend), STATUS_DELAY_MS);
}

/** Longest that the files wait for the pods. */
const PODS_FIRST_MS = 50;

/** A change of destinations alone: they reach the pods by RPC, and the files are their durable copy. */
const isForPods = ({ storedRevision, tablesPending, desired }: RouterState): boolean =>
  storedRevision !== undefined && storedRevision !== desired?.revision && !tablesPending;

/** Pods that serve are not made to wait while the API server takes the files in. */
async function letPodsBeFirst({ clock, queues }: Context, { key }: RouterState): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.setTimeout(late.resolve, PODS_FIRST_MS);
  await Promise.race([queues.reload.settled(key), late.promise]);
  clock.clearTimeout(timer);
}

async function applyObjects(context: Context, state: RouterState, rendered: RenderedRouter): Promise<void> {
  const revision = (targetOf(state) ?? rendered.files.desired).revision;
  const served = objectsToStore(state, rendered);
  const config = served.find((object) => isDataConfig(state, object));
  const stored = filesOf(storedConfig(context, state))?.["nonce"];
  // A nonce that is stored with this very revision stays: taking it out would be a write for nothing.
  const keepsNonce = stored !== undefined && storedRevisionOf(context, state) === revision;
  const nonce = state.nonce > 0 ? String(state.nonce) : keepsNonce ? stored : undefined;
  const objects = served.map((object) => (object === config ? withNonce(object, nonce) : object));
  await context.cluster.apply(objects);
  state.applied = rendered;
  state.failure = undefined;
  if (state.tablesPending) state.tablesStoredAt = context.clock.now();
  state.tablesPending = false;
  if (state.storedRevision === revision) return;
  state.storedRevision = revision;
  context.queues.reload.add(state.key);
}

/** Old structure ConfigMaps go when no pod can start from them any more. */
async function pruneOld(context: Context, state: RouterState, rendered: RenderedRouter): Promise<void> {
  const { structureHash } = rendered.files;
  const mark = rendered.objects.map((object) => `${object.kind}/${object.metadata.name}`).join(" ");
  state.prunePending = state.pruned !== mark;
  if (!state.prunePending || context.cluster.workload(state.key)?.rolledOut !== true) return;
  if (context.cluster.pods(state.key).some((pod) => pod.structureHash !== structureHash)) return;
  const keep = rendered.objects.map((object): ObjectRef => ({
    kind: object.kind,
    namespace: state.namespace,
    name: object.metadata.name,
  }));
  await context.cluster.prune(state.key, [
    ...keep,
    { kind: "Secret", namespace: state.namespace, name: controlName(state.name) },
  ]);
  state.pruned = mark;
  state.prunePending = false;
}

/** Nothing new is accepted: what is stored goes on, and pods that restart are brought to it. */
async function serveLastGood(context: Context, state: RouterState, object: RawObject): Promise<void> {
  if (state.desired === undefined) {
    const data = filesOf(storedConfig(context, state));
    if (data === undefined) return;
    await ensureToken(context, state, object);
    state.desired = context.pipeline.parseDataFiles(data);
    state.storedRevision = state.desired.revision;
    state.sets = setsFromStatus(object, state.desired);
    state.replicas = (object.spec as { replicas?: number } | undefined)?.replicas ?? 1;
  }
  context.queues.reload.add(state.key);
}

function tellRejected(context: Context, state: RouterState): void {
  const wrong = state.issues.filter((issue) => !issue.transient);
  const text = wrong.length === 0 ? undefined : JSON.stringify(wrong);
  if (text !== undefined && text !== state.rejected) {
    const [first] = wrong;
    const reason: Reason | undefined = first?.reason;
    context.log.warn(
      { router: state.key, reason, issues: wrong.map((issue) => `${issue.path}: ${issue.message}`) },
      "the spec is not accepted",
    );
    context.hooks.onRejected?.({ kind: "SipRouter", namespace: state.namespace, name: state.name }, wrong);
  }
  state.rejected = text;
}

/** The router is gone: its objects go by their owner references. */
function dropRouter(context: Context, key: Key): void {
  context.families.forget(key);
  const state = context.states.get(key);
  if (state === undefined) return;
  for (const uid of state.pods.keys()) context.observations.drop(uid);
  for (const backend of context.contacts.forget(key)) tellChangedBackend(context, backend);
  for (const backend of new Set(state.backendOf.values())) context.queues.status.add(backendStatusKey(backend));
  for (const progress of state.pods.values()) context.metrics.pod(key, progress.name, undefined);
  // a change that is under way has its effect on nobody
  state.changedAt = undefined;
  context.metrics.destinations(key, undefined);
  context.metrics.conditions("SipRouter", key, []);
  context.states.delete(key);
  context.queues.reload.forget(key);
  context.queues.status.forget(routerStatusKey(key));
  context.log.info({ router: key }, "the router is gone");
}
