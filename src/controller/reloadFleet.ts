/**
 * The pods of one router, brought to the desired revision: one pod first and read back, then growing batches. One run
 * does all that can be done now and says when to come again; it never waits for files, so a newer revision is taken up
 * at once.
 */
import type { Key } from "../api/index.ts";
import { decideFleet, type FleetPod } from "../reload/index.ts";
import type { DesiredData } from "../render/types.ts";
import {
  backendStatusKey,
  routerStatusKey,
  STATUS_DELAY_MS,
  tellUsedBackends,
  usablePods,
  type Context,
} from "./context.ts";
import { isProofUnsaid } from "./dataConfig.ts";
import { isRight, isUnseeded } from "./observations.ts";
import { readUnknown } from "./podReading.ts";
import { workOn, type Job } from "./podWork.ts";
import { markInSync, retarget } from "./progress.ts";
import type { RunInfo, RunResult } from "./queue.ts";
import { isRestoring, keepGood, retryHalted, stopChange, targetOf } from "./restore.ts";
import { newProgress, type RouterState } from "./state.ts";
import { forgetEnds, isDeadly, judgeSuspects, suspectsDueAt } from "./suspects.ts";

/** How long until another look at what is due already. */
const WAITING_MS = 50;

/** The last look at a fleet: when, and the names of the pods whose turn it was. */
interface Look {
  readonly at: number;
  readonly turn: readonly string[];
}

export async function reloadRouter(
  context: Context,
  key: Key,
  { isStopping }: Pick<RunInfo, "isStopping">,
): Promise<RunResult> {
  const state = context.states.get(key);
  if (state?.desired === undefined || state.token === undefined) return undefined;
  const tried = new Set<string>();
  let look: Look = { at: 0, turn: [] };
  while (!isStopping()) {
    look = { at: context.clock.now(), turn: [] };
    retryHalted(context, state);
    const desired = targetOf(state) ?? state.desired;
    // a pod that gets its first calls only now has to be told what the others know
    if (usablePods(context, key).some((pod) => !pod.ready)) await readUnknown(context, state);
    const jobs = refresh(context, state, desired);
    const { waitsFor, guilty } = judgeSuspects(context, state, desired);
    if (guilty !== undefined && stopChange(context, state, { ...guilty, ended: true, final: isDeadly(state) }))
      continue;
    const pods = jobs
      .filter(({ pod: { uid } }) => !state.apart.has(uid))
      .map((job) => fleetPod(context, state, desired, job, waitsFor));
    const { work, apart, halted } = decideFleet(pods);
    look = { ...look, turn: work };
    const culprit = jobs.find(({ pod }) => pod.name === halted)?.progress;
    const { name = "", message = "" } = culprit ?? {};
    if (culprit !== undefined && stopChange(context, state, { pod: name, message, ended: false })) continue;
    for (const { pod } of jobs) if (apart.includes(pod.name)) startApart(context, state, pod.uid);
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
  return nextRun(context, state, look);
}

function startApart(context: Context, state: RouterState, uid: string): void {
  state.apart.add(uid);
  context.queues.apart.add(`${state.key} ${uid}`);
}

/** One pod that nobody waits for. @param key "namespace/name uid" */
export async function reloadApart(
  context: Context,
  key: Key,
  { isStopping }: Pick<RunInfo, "isStopping">,
): Promise<undefined> {
  const [router, uid] = key.split(" ") as [Key, string];
  const state = context.states.get(router);
  const desired = state === undefined ? undefined : (targetOf(state) ?? state.desired);
  const pod = usablePods(context, router).find((one) => one.uid === uid);
  const progress = state?.pods.get(uid);
  if (state !== undefined && desired !== undefined && pod !== undefined && progress?.target === desired.revision)
    if (!isStopping()) await workOn(context, state, desired, { pod, progress });
  state?.apart.delete(uid);
  context.queues.reload.add(router);
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

const fleetPod = (
  context: Context,
  state: RouterState,
  desired: DesiredData,
  { pod, progress }: Job,
  waitsFor: ReadonlySet<string>,
): FleetPod => ({
  name: pod.name,
  state: progress.state,
  ready: pod.ready,
  // what is being put back is known to be good: a pod that does not take it holds up nobody
  current: !isRestoring(state) && (state.structureHash === undefined || pod.structureHash === state.structureHash),
  first: state.halt?.pod === pod.name,
  reachable: progress.reachable,
  ended: state.ends.has(pod.uid),
  unseeded: isUnseeded(desired, context.observations.last(pod.uid)),
  waits: waitsFor.size > 0 && !waitsFor.has(pod.uid),
  due: progress.dueAt <= context.clock.now(),
});

/** What the run has brought about: the revision is programmed, or the status has something else to tell. */
function finish(context: Context, state: RouterState): void {
  const desired = targetOf(state);
  if (desired === undefined) return;
  const ready = usablePods(context, state.key).filter((pod) => pod.ready);
  const right = ready.every((pod) => state.pods.get(pod.uid)?.state === "InSync");
  const stored = state.storedRevision === desired.revision;
  const done = right && stored;
  const isGood = done && ready.length > 0 && desired === state.desired;
  if (isGood) forgetEnds(state);
  const proven = isGood && keepGood(state);
  if (proven && isProofUnsaid(context, state)) context.queues.reconcile.add(state.key);
  if (right && ready.length > 0 && desired === state.desired && state.changedAt !== undefined) {
    context.metrics.changeToEffect(state.key, (context.clock.now() - state.changedAt) / 1000);
    state.changedAt = undefined;
  }
  // nobody was there to have an effect on
  if (ready.length === 0) state.changedAt = undefined;
  if (right) context.management.recheck();
  if (right) tellUntold(context, state);
  // of the first time all have to be heard, those that nobody waits for as well
  const first = !state.observed && state.apart.size === 0;
  if (first) state.observed = true;
  // A change that takes effect at once is one status, not two.
  context.queues.status.addAfter(routerStatusKey(state.key), done ? 0 : STATUS_DELAY_MS);
  if (first) tellUsedBackends(context, state.key);
}

function tellUntold(context: Context, { untold }: RouterState): void {
  for (const backend of untold) context.queues.status.add(backendStatusKey(backend));
  untold.clear();
}

/**
 * What was due when it was looked at and had no turn waits for something that has a time, or an event, of its own: another
 * pod that is to be right first, or one that is to be back. So it is with work under way.
 */
function nextRun(context: Context, state: RouterState, look: Look): RunResult {
  const now = context.clock.now();
  const pods = [...state.pods.values()].filter(
    ({ uid, state: is, dueAt }) => is !== "InSync" && dueAt > 0 && !state.apart.has(uid),
  );
  const turn = pods.filter(({ name }) => look.turn.includes(name)).map(({ dueAt }) => dueAt);
  const halts = state.halt?.trying === false && !state.halt.final ? [state.halt.retryAt] : [];
  const others = [...pods.map(({ dueAt }) => dueAt), ...suspectsDueAt(state), ...halts];
  const times = [...turn, ...others.filter((time) => time > look.at)];
  const next = times.map((time) => (time > now ? time : now + WAITING_MS));
  return next.length === 0 ? undefined : Math.max(1, Math.min(...next) - now);
}
