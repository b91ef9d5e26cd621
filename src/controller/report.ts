/** Status and Events of one object, computed whole from what is known now and written only when it differs. */
import type { Key, ObjectRef, PodState, RawObject } from "../api/index.ts";
import { destinationId } from "../ir/setId.ts";
import type { DestinationState, PodReading } from "../kamailio/types.ts";
import type { PodView, WorkloadView } from "../cluster/index.ts";
import { podSelector } from "../render/index.ts";
import {
  announceBackend,
  announceRouter,
  buildBackendStatus,
  buildRouterStatus,
  conditionOf,
  sameJson,
  timeOf,
  type Announcement,
  type BackendUse,
  type PodInput,
} from "../status/index.ts";
import { findIn, usablePods, type Context } from "./context.ts";
import { isKnown, type RouterState } from "./state.ts";

/** @param key "SipRouter namespace/name" or "PbxBackend namespace/name" */
export async function reportStatus(context: Context, key: Key): Promise<undefined> {
  const [kind, object] = key.split(" ") as [string, Key];
  if (kind === "SipRouter") await reportRouter(context, object);
  else await reportBackend(context, object);
  return undefined;
}

/** With the status as it was last written, which the list may not have yet. */
function newest(context: Context, listed: RawObject | undefined): RawObject | undefined {
  if (listed === undefined || listed.metadata.deletionTimestamp !== undefined) return undefined;
  const { namespace, name, uid } = listed.metadata;
  const found = context.cluster.owned(listed.kind, namespace, name);
  return found !== undefined && found.metadata.uid === uid ? { ...listed, status: found.status } : listed;
}

async function reportRouter(context: Context, key: Key): Promise<void> {
  const object = newest(context, findIn(context.snapshot().routers, key));
  const state = context.states.get(key);
  if (object === undefined || !isKnown(state)) return;
  const pods = context.cluster.pods(key).filter((pod) => !pod.terminating);
  const workload = context.cluster.workload(key);
  const status = buildRouterStatus({
    object,
    issues: state.issues,
    openExternal: state.openExternal,
    ...(state.sets === undefined ? {} : { sets: state.sets }),
    ...(state.desired === undefined ? {} : { revision: state.desired.revision }),
    ...(state.generation === undefined ? {} : { generation: state.generation }),
    ...(state.readHandled === undefined ? {} : { reloadHandled: state.readHandled }),
    stored: state.storedRevision === state.desired?.revision,
    applied: state.applied === state.rendered,
    keptLastList: state.keptSets.length > 0,
    ...(state.halt === undefined || state.good === undefined
      ? {}
      : { halt: { ...state.halt, restored: state.good.desired.revision } }),
    ...(state.failure === undefined ? {} : { failure: state.failure }),
    replicas: state.replicas,
    ...(workload === undefined ? {} : { workload }),
    pods: pods.map((pod) => podInput(context, state, pod, conditionOf(object.status, "Programmed")?.reason)),
    selector: Object.entries(podSelector(state.name))
      .map(([label, value]) => `${label}=${value}`)
      .join(","),
    now: timeOf(context.clock.timeOfDay()),
  });
  countDestinations(context, state);
  context.metrics.revisions(
    key,
    (status.pods ?? []).map((pod) => ({ name: pod.name, inSync: pod.state === "InSync" })),
  );
  context.metrics.conditions("SipRouter", key, status.conditions ?? []);
  const programmed = conditionOf(status, "Programmed")?.status === "True" ? state.desired?.revision : undefined;
  const told = await store(context, object, status, announceRouter(object, status, progressOf(state, programmed)));
  // once it is written and told, so that a write that fails loses no Event
  if (told && programmed !== undefined) state.programmed = programmed;
  tellHooks(context, state, workload, pods, conditionOf(status, "Programmed")?.status === "True");
}

/** @param told the reason of Programmed so far */
function podInput(context: Context, state: RouterState, pod: PodView, told: string | undefined): PodInput {
  const progress = state.pods.get(pod.uid);
  const reading = context.observations.last(pod.uid);
  const stopped = state.halt?.pod === pod.name;
  // it does not answer still: neither another change nor an operator that starts makes that another matter
  const silent = pod.ready && progress?.reachable === false && told === "NotAnswering";
  const behind = state.halt !== undefined && progress?.state === "InSync";
  const lag: PodState = stopped || silent ? "Failed" : behind ? "Pending" : (progress?.state ?? "Pending");
  return {
    name: pod.name,
    ready: pod.ready,
    state: lag,
    reachable: progress?.reachable ?? true,
    ...(progress?.revision === undefined ? {} : { revision: progress.revision }),
    message:
      pod.message !== ""
        ? pod.message
        : lag === "InSync"
          ? ""
          : lag === "Pending"
            ? ""
            : ((stopped ? state.halt?.message : progress?.message) ?? ""),
    ...(lag === "InSync" || !progress?.untold ? {} : { untold: progress.untold }),
    ...(reading === undefined ? {} : { destinations: reading.destinations }),
    ...(reading?.mediaProxies === undefined ? {} : { mediaProxies: reading.mediaProxies }),
  };
}

/** From which revision to which the pods have come since the last time all were right. */
function progressOf(state: RouterState, to: string | undefined): { from: string; to: string } | undefined {
  const from = state.programmed;
  return to === undefined || from === undefined || from === to ? undefined : { from, to };
}

/** A Kamailio that does not run sends nobody anywhere, whatever it said last. */
function countDestinations(context: Context, state: RouterState): void {
  const counts: Record<DestinationState, number> = { Active: 0, Inactive: 0, Probing: 0, Disabled: 0 };
  for (const pod of usablePods(context, state.key))
    for (const one of context.observations.last(pod.uid)?.destinations ?? []) counts[one.state] += 1;
  context.metrics.destinations(state.key, counts);
}

function tellHooks(
  context: Context,
  state: RouterState,
  workload: WorkloadView | undefined,
  pods: readonly PodView[],
  programmed: boolean,
): void {
  const revision = state.desired?.revision;
  const wanted = Math.min(state.replicas, workload?.room ?? state.replicas);
  const all = pods.length >= wanted && pods.every((pod) => state.pods.get(pod.uid)?.state === "InSync");
  if (!programmed || workload?.rolledOut !== true || !all || revision === undefined || state.announced === revision)
    return;
  state.announced = revision;
  context.hooks.onProgrammed?.(state.key, revision);
}

async function reportBackend(context: Context, key: Key): Promise<void> {
  const snapshot = context.snapshot();
  const object = newest(context, findIn(snapshot.backends, key));
  if (object === undefined) {
    context.metrics.conditions("PbxBackend", key, []);
    return void context.management.follow(key, undefined);
  }
  // one that is being deleted is looked at no more: for as long as its pods run nobody knows which calls they have
  const users = [...context.mapper.usersOf(object)].filter((user) => findIn(snapshot.routers, user) !== undefined);
  const routers = users.filter((user) => findIn(snapshot.routers, user)?.metadata.deletionTimestamp === undefined);
  if (!routers.every((router) => isKnown(context.states.get(router)))) return;
  const resolution = context.pipeline.resolveBackend(snapshot, key);
  const { backend, issues } = resolution;
  const status = buildBackendStatus({
    object,
    issues,
    endpoints: backend?.endpoints ?? [],
    uses: routers.map((router) => useOf(context, router, key)),
    ...context.management.follow(key, { object, resolution, routers: users }),
    now: timeOf(context.clock.timeOfDay()),
  });
  context.metrics.conditions("PbxBackend", key, status.conditions ?? []);
  await store(context, object, status, announceBackend(object, status));
}

function useOf(context: Context, router: Key, backend: Key): BackendUse {
  const state = context.states.get(router);
  const pods = context.cluster.pods(router).filter((pod) => pod.ready && !pod.terminating);
  return {
    router,
    pods: pods.map((pod) => {
      const reading = context.observations.last(pod.uid);
      return reading === undefined ? undefined : (byBackend(reading, state).get(backend) ?? []);
    }),
  };
}

type Destinations = PodReading["destinations"];
const sorted = new WeakMap<
  PodReading,
  { readonly of: RouterState["backendOf"] | undefined; readonly found: ReadonlyMap<Key | undefined, Destinations> }
>();

/** One reading is looked through once, however many backends ask for their part of it. */
function byBackend(reading: PodReading, state: RouterState | undefined): ReadonlyMap<Key | undefined, Destinations> {
  const known = sorted.get(reading);
  if (known !== undefined && known.of === state?.backendOf) return known.found;
  const found = Map.groupBy(reading.destinations, (one) => state?.backendOf.get(destinationId(one)));
  sorted.set(reading, { of: state?.backendOf, found });
  return found;
}

/** False: it is written later. */
async function store(
  context: Context,
  object: RawObject,
  status: object,
  announcements: readonly Announcement[],
): Promise<boolean> {
  const ref: ObjectRef = { kind: object.kind, namespace: object.metadata.namespace, name: object.metadata.name };
  if (sameJson(object.status, status) && announcements.length === 0) return true;
  const changed = !sameJson(object.status, status);
  const key = `${ref.kind} ${ref.namespace}/${ref.name}`;
  const wait = changed ? context.damper.wait(key, object.status, status, context.clock.now()) : 0;
  if (wait > 0) {
    context.queues.status.addAfter(key, wait);
    return false;
  }
  if (changed) {
    await context.cluster.writeStatus(ref, status);
    context.metrics.statusWrite(ref.kind);
  }
  for (const announcement of announcements) context.cluster.emit(ref, announcement);
  return true;
}
