/** What came of work on one pod: how far it is, and when it is tried again. */
import { OperatorError } from "../errors.ts";
import type { PodView } from "../cluster/index.ts";
import type { SyncResult } from "../reload/index.ts";
import type { DesiredData } from "../render/types.ts";
import type { Context } from "./context.ts";
import type { PodProgress, RouterState } from "./state.ts";
import type { ReloadResult } from "./types.ts";

/** Tries in a row that change nothing for the better before a pod counts as failed. */
const MAX_ATTEMPTS = 5;
const STALE_FIRST_MS = 50;
const STALE_MAX_MS = 1000;
const SHORT_TRY_MS = 20_000;
const PATIENT_TRY = 4;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 10_000;

export function retarget(progress: PodProgress, revision: string): void {
  progress.target = revision;
  progress.state = "Pending";
  progress.attempts = 0;
  progress.dueAt = 0;
  progress.staleSince = undefined;
  progress.touches = 0;
  progress.untold = "";
  // why it does not answer is not about a revision
  if (progress.reachable) progress.message = "";
}

/** It answers. What it missed while it was cut off is no failure of the change: it is tried as one that was never asked. */
export function answers(progress: PodProgress): void {
  const { cutOff, state, reachable } = progress;
  progress.reachable = true;
  progress.cutOff = false;
  // no reason to wait any longer
  if (!reachable) progress.dueAt = 0;
  if (!cutOff) return;
  if (state === "Failed") progress.state = "Pending";
  progress.attempts = 0;
  progress.staleSince = undefined;
}

export function markInSync(progress: PodProgress, revision: string): void {
  progress.reachable = true;
  progress.cutOff = false;
  retarget(progress, revision);
  progress.state = "InSync";
  progress.revision = revision;
}

export function took(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  pod: PodView,
  progress: PodProgress,
  result: SyncResult,
): void {
  const { outcome, done, remaining } = result;
  const now = context.clock.now();
  answers(progress);
  if (progress.target !== desired.revision) return;
  const [next] = remaining;
  const fields = { router: state.key, pod: pod.name, revision: desired.revision, actions: done, reason: next?.reason };
  if (outcome === "inSync") {
    if (done > 0) countReload(context, state, "inSync");
    if (progress.state !== "InSync")
      context.log.info(fields, done > 0 ? "the pod was changed and read back" : "the pod was read back");
    return markInSync(progress, desired.revision);
  }
  if (outcome === "held") return;
  progress.message = next?.reason ?? "";
  if (outcome === "stale") {
    progress.staleSince ??= now;
    const since = Math.min(progress.staleSince, triedAt(state, progress));
    const late = now - since >= fileDeadline(context, state, progress);
    if (late && progress.state !== "Failed") {
      countReload(context, state, "failed");
      context.log.error(fields, "the pod did not get its files in time");
    }
    progress.state = late ? "Failed" : "Stale";
    const wait = Math.min(STALE_MAX_MS, STALE_FIRST_MS * 2 ** Math.min(progress.attempts, 10));
    progress.attempts += 1;
    progress.dueAt = now + (late ? RETRY_MAX_MS : wait);
    return;
  }
  countReload(context, state, "wrong");
  retryLater(context, progress, now);
  context.log.warn({ ...fields, attempt: progress.attempts }, "the pod was read back and is not right");
}

/** Of a router that is gone nothing is shown, though a pod of it may still be worked on. */
function countReload(context: Context, state: RouterState, result: ReloadResult): void {
  if (context.states.get(state.key) === state) context.metrics.reload(state.key, result);
}

/** Backends that come and go meanwhile give the pod that stopped the change no more time. */
const triedAt = ({ halt }: RouterState, { name }: PodProgress): number =>
  halt?.trying === true && halt.pod === name ? halt.triedAt : Number.POSITIVE_INFINITY;

/**
 * While what was halted is tried again, files of it are stored that a pod which starts would load. Where files come when a pod is
 * told to fetch them a short try will do; every fourth one is for those where they do not.
 */
function fileDeadline({ tuning }: Context, { halt }: RouterState, { untold }: PodProgress): number {
  const short = halt?.trying === true && halt.tries % PATIENT_TRY !== 0 && untold === "";
  return short ? Math.min(SHORT_TRY_MS, tuning.fileDeadlineMs) : tuning.fileDeadlineMs;
}

function retryLater(context: Context, progress: PodProgress, now: number): void {
  const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(progress.attempts, 10));
  progress.attempts += 1;
  // one that was lost is not on its way again before it answers
  const lost = progress.state === "Failed" && progress.cutOff;
  progress.state = lost || progress.attempts >= MAX_ATTEMPTS ? "Failed" : "Pending";
  progress.dueAt = now + wait * (0.75 + context.random() / 4);
}

/** @param wasRead it was read, shortly before what failed */
export function failed(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  pod: PodView,
  progress: PodProgress,
  error: unknown,
  wasRead: boolean,
): void {
  const now = context.clock.now();
  const unreachable = error instanceof OperatorError && error.code === "SIPR_RPC_UNREACHABLE";
  countReload(context, state, unreachable ? "unreachable" : "failed");
  progress.message = error instanceof Error ? error.message : String(error);
  if (unreachable) progress.reachable = false;
  else answers(progress);
  progress.cutOff = unreachable && !wasRead;
  retryLater(context, progress, now);
  const fields = {
    router: state.key,
    pod: pod.name,
    revision: desired.revision,
    attempt: progress.attempts,
    err: error,
  };
  if (pod.ready) context.log.warn(fields, "the pod could not be brought to the revision");
  else context.log.debug(fields, "the pod does not answer yet");
}
