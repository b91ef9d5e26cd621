/**
 * The pods of one router, brought to the desired revision: one pod first and read back, then growing batches. One run
 * does all that can be done now and says when to come again; it never waits for files, so a newer revision is taken up
 * at once.
 */
import type { Key } from "../api/index.ts";
import type { PodView } from "../cluster/index.ts";
import { decideFleet, syncPod, type FleetPod, type SyncInput } from "../reload/index.ts";
import type { DesiredData } from "../render/types.ts";
import {
  routerStatusKey,
  STATUS_DELAY_MS,
  tellBackends,
  tellUsedBackends,
  usablePods,
  type Context,
} from "./context.ts";
import { isDataConfig, objectsToStore, withNonce } from "./dataConfig.ts";
import { isRight } from "./observations.ts";
import { addressOf, readUnknown } from "./podReading.ts";
import type { RunInfo, RunResult } from "./queue.ts";
import { takeContacts } from "./takeContacts.ts";
import { isRestoring, keepGood, retryHalted, stopChange, targetOf } from "./restore.ts";
import { failed, markInSync, retarget, took } from "./progress.ts";
import { newProgress, type PodProgress, type RouterState } from "./state.ts";

/** Files that are not there after this long are sent again; each time twice as long. */
const RESEND_FIRST_MS = 2500;

interface Job {
  readonly pod: PodView;
  readonly progress: PodProgress;
}

export async function reloadRouter(
  context: Context,
  key: Key,
  { isStopping }: Pick<RunInfo, "isStopping">,
): Promise<RunResult> {
  const state = context.states.get(key);
  if (state?.desired === undefined || state.token === undefined) return undefined;
  const tried = new Set<string>();
  while (!isStopping()) {
    retryHalted(
      context,
      state,
      usablePods(context, key).map((pod) => pod.name),
    );
    const desired = targetOf(state) ?? state.desired;
    // a pod that gets its first calls only now has to be told what the others know
    if (usablePods(context, key).some((pod) => !pod.ready)) await readUnknown(context, state);
    const jobs = refresh(context, state, desired);
    const pods = jobs.map(({ pod, progress }) => fleetPod(context, state, pod, progress));
    const { work, halted } = decideFleet(pods);
    const culprit = jobs.find(({ pod }) => pod.name === halted)?.progress;
    if (culprit !== undefined && stopChange(context, state, culprit.name, culprit.message)) continue;
    const isUntried = ({ pod }: Job): boolean => !tried.has(`${pod.uid} ${desired.revision}`);
    const named = (names: readonly string[]): readonly Job[] =>
      jobs.filter((job) => names.includes(job.pod.name) && isUntried(job));
    const batch = named(work);
    if (batch.length === 0) break;
    for (const { pod } of batch) tried.add(`${pod.uid} ${desired.revision}`);
    const followers = (): readonly Job[] => (isStopping() ? [] : named(followersOf(pods, work)));
    await workOnBoth(context, state, desired, batch, followers);
  }
  // whoever comes next reads for himself what runs where
  if (isStopping()) return undefined;
  finish(context, state);
  return nextRun(context, state);
}

/** Whose turn it is when these have come out right. */
const followersOf = (pods: readonly FleetPod[], work: readonly string[]): readonly string[] =>
  decideFleet(pods.map((pod) => (work.includes(pod.name) ? { ...pod, state: "InSync" } : pod))).work;

/**
 * The followers are given what is new once the batch has it, read back; what is old goes there when the batch is right
 * as a whole.
 */
async function workOnBoth(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  batch: readonly Job[],
  followers: () => readonly Job[],
): Promise<void> {
  const right = Promise.withResolvers<boolean>();
  const added = batch.map(() => Promise.withResolvers<boolean>());
  const following = Promise.all(added.map(({ promise }) => promise)).then(async (all) => {
    if (!all.every((one) => one)) return;
    await Promise.all(followers().map((job) => workOn(context, state, desired, job, { goOn: right.promise })));
  });
  const leading = batch.map(async (job, index) => {
    const has = (what: boolean): void => added[index]?.resolve(what);
    await workOn(context, state, desired, job, { onAdded: () => has(true) });
    has(false);
  });
  await Promise.all(leading);
  right.resolve(batch.every(({ progress }) => progress.state === "InSync"));
  await following;
}

/** Progress of the pods that are there; a reading that is fresh says at once which of them are right. */
function refresh(context: Context, state: RouterState, desired: DesiredData): readonly Job[] {
  const pods = usablePods(context, state.key);
  const there = new Set(pods.map((pod) => pod.uid));
  for (const [uid, progress] of state.pods) {
    if (there.has(uid)) continue;
    state.pods.delete(uid);
    if (!context.cluster.pods(state.key).some((pod) => pod.uid === uid)) context.observations.drop(uid);
    context.metrics.pod(state.key, progress.name, undefined);
  }
  return pods.map((pod) => {
    const progress = state.pods.get(pod.uid) ?? newProgress(pod.uid, pod.name, desired.revision);
    state.pods.set(pod.uid, progress);
    if (progress.target !== desired.revision) retarget(progress, desired.revision);
    const reading = context.observations.fresh(pod.uid, context.clock.now(), context.tuning.freshMs);
    if (reading === undefined) return { pod, progress };
    if (isRight(desired, reading)) markInSync(progress, desired.revision);
    else if (progress.state === "InSync") retarget(progress, desired.revision);
    return { pod, progress };
  });
}

const fleetPod = (context: Context, state: RouterState, pod: PodView, progress: PodProgress): FleetPod => ({
  name: pod.name,
  state: progress.state,
  ready: pod.ready,
  // what is being put back is known to be good: a pod that does not take it holds up nobody
  current: !isRestoring(state) && (state.structureHash === undefined || pod.structureHash === state.structureHash),
  first: state.halt?.pod === pod.name,
  reachable: progress.reachable,
  due: progress.dueAt <= context.clock.now(),
});

async function workOn(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  { pod, progress }: Job,
  order: Pick<SyncInput, "onAdded" | "goOn"> = {},
): Promise<void> {
  const known = context.observations.fresh(pod.uid, context.clock.now(), context.tuning.freshMs);
  context.observations.begin(pod.uid);
  try {
    const filesSent = await sendFiles(
      context,
      state,
      desired,
      pod,
      progress,
      known !== undefined && desired.tables.some((table) => known.tables[table.name] !== table.generation),
    );
    const address = addressOf(pod, state.token ?? "");
    const result = await syncPod({
      control: context.control,
      address,
      desired,
      read: async () => {
        const reading = await context.pipeline.readPod(context.control, address, desired);
        takeContacts(context, state, pod, reading);
        return reading;
      },
      readDestinations: () => context.pipeline.readDestinations(context.control, address),
      ...(known === undefined ? {} : { known }),
      hints: { inactive: inactiveElsewhere(context, state, pod) },
      filesSent,
      ...order,
      onAction: (action) =>
        context.log.info({ router: state.key, pod: pod.name, revision: desired.revision, action }, action.reason),
    });
    const before = context.observations.last(pod.uid);
    context.observations.end(pod.uid, result.reading, context.clock.now());
    // after the new reading is in place: a backend's status may be built at once
    tellBackends(context, state, before, result.reading);
    took(context, state, desired, pod, progress, result);
  } catch (error) {
    context.observations.end(pod.uid, undefined, context.clock.now());
    failed(context, state, desired, pod, progress, error);
  }
}

/** Destinations that no other pod of the router sees answer. */
function inactiveElsewhere(context: Context, state: RouterState, pod: PodView): ReadonlySet<string> {
  const inactive = new Set<string>();
  const answering = new Set<string>();
  for (const uid of state.pods.keys()) {
    if (uid === pod.uid) continue;
    for (const one of context.observations.last(uid)?.destinations ?? [])
      (one.state === "Inactive" ? inactive : answering).add(one.uri);
  }
  return inactive.difference(answering);
}

/** True when the pod was told to fetch this revision's files. Told again, with a new nonce in them, when they do not come. */
async function sendFiles(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  pod: PodView,
  progress: PodProgress,
  needed: boolean,
): Promise<boolean> {
  if (state.storedRevision !== desired.revision) return false;
  const now = context.clock.now();
  const again = progress.touches > 0 && now - progress.touchedAt >= RESEND_FIRST_MS * 2 ** (progress.touches - 1);
  if (progress.touches > 0 ? !again : !needed) return true;
  if (again) await renewFiles(context, state, now);
  progress.touches += 1;
  progress.touchedAt = now;
  await context.cluster.touchPod(
    pod,
    progress.touches === 1 ? desired.revision : `${desired.revision}-${progress.touches}`,
  );
  return true;
}

async function renewFiles(context: Context, state: RouterState, now: number): Promise<void> {
  const objects = state.rendered === undefined ? [] : objectsToStore(state, state.rendered);
  const config = objects.find((object) => isDataConfig(state, object));
  if (config === undefined || now - state.nonceAt < RESEND_FIRST_MS) return;
  state.nonce += 1;
  state.nonceAt = now;
  context.log.warn(
    { router: state.key, nonce: state.nonce },
    "a pod still runs old table files: they are written again",
  );
  await context.cluster.apply([withNonce(config, String(state.nonce))]);
}

/** What the run has brought about: the revision is programmed, or the status has something else to tell. */
function finish(context: Context, state: RouterState): void {
  const desired = targetOf(state);
  if (desired === undefined) return;
  const ready = usablePods(context, state.key).filter((pod) => pod.ready);
  const right = ready.every((pod) => state.pods.get(pod.uid)?.state === "InSync");
  const stored = state.storedRevision === desired.revision;
  if (right && stored && ready.length > 0 && desired === state.desired) keepGood(state);
  if (right && ready.length > 0 && desired === state.desired && state.changedAt !== undefined) {
    context.metrics.changeToEffect(state.key, (context.clock.now() - state.changedAt) / 1000);
    state.changedAt = undefined;
  }
  // nobody was there to have an effect on
  if (ready.length === 0) state.changedAt = undefined;
  if (right) context.management.recheck();
  const first = !state.observed;
  state.observed = true;
  // A change that takes effect at once is one status, not two.
  const done = right && stored;
  context.queues.status.addAfter(routerStatusKey(state.key), done ? 0 : STATUS_DELAY_MS);
  if (first) tellUsedBackends(context, state.key);
}

function nextRun(context: Context, state: RouterState): RunResult {
  // What waits for another pod has no time of its own: it goes on when that pod is right.
  const open = [...state.pods.values()].filter((progress) => progress.state !== "InSync" && progress.dueAt > 0);
  const times = open.map((progress) => progress.dueAt);
  if (state.halt?.trying === false) times.push(state.halt.retryAt);
  return times.length === 0 ? undefined : Math.max(1, Math.min(...times) - context.clock.now());
}
