/**
 * Pods that ended, or fell silent, while they were given a change: it may have been the change, and the next pod would end
 * the same way. Nobody else gets it until such a pod is right; when it ends again, or does not come back, the change is stopped.
 */
import type { PodView } from "../cluster/index.ts";
import type { DesiredData } from "../render/types.ts";
import type { PodReading } from "../kamailio/types.ts";
import type { Context } from "./context.ts";
import { canRestore, isRestoring } from "./restore.ts";
import type { RouterState, Suspect } from "./state.ts";

/** A container is started anew within this time. */
const BACK_MS = 10_000;
/** So often it is no coincidence. */
const PROVEN = 2;

/** Pods ended at it as often, and did so again when it was tried once more. */
export const isDeadly = (state: RouterState): boolean => state.halt !== undefined && endsOf(state) >= PROVEN;

const endsOf = ({ ends }: RouterState): number => [...ends.values()].reduce((sum, times) => sum + times, 0);

export function forgetEnds({ ends, mayHaveEnded }: RouterState): void {
  ends.clear();
  mayHaveEnded.clear();
}

/** A pod that fell silent at the change had ended when it is found started anew; else it was the network. */
export function noteStart({ ends, mayHaveEnded }: RouterState, { uid }: PodView, { fresh }: PodReading): void {
  if (fresh === true && mayHaveEnded.delete(uid)) ends.set(uid, (ends.get(uid) ?? 0) + 1);
}

export interface Suspicion {
  /** whom all others wait for: uids */
  readonly waitsFor: ReadonlySet<string>;
  readonly guilty?: Suspect;
}

/** Of a pod that gets calls, or did before it ended; what is put back is known to be good. */
export function suspect(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  pod: PodView,
  message: string,
  wasFresh: boolean,
): void {
  if (isRestoring(state) || pod.structureHash !== (state.structureHash ?? pod.structureHash)) return;
  if (!pod.ready && !state.suspects.has(pod.uid)) return;
  const { revision } = desired;
  const before = state.suspects.get(pod.uid);
  const times = before?.revision === revision ? before.times + 1 : 1;
  // of one that had just started nothing could be told
  if (!wasFresh) state.mayHaveEnded.add(pod.uid);
  state.suspects.set(pod.uid, { uid: pod.uid, pod: pod.name, revision, since: context.clock.now(), times, message });
  context.log.warn({ router: state.key, pod: pod.name, revision, times, reason: message }, "the pod ended at a change");
}

export function judgeSuspects(context: Context, state: RouterState, desired: DesiredData): Suspicion {
  const waitsFor = new Set<string>();
  let guilty: Suspect | undefined;
  const pods = new Map(context.cluster.pods(state.key).map((pod) => [pod.uid, pod]));
  const proven = endsOf(state) >= PROVEN && canRestore(state);
  for (const one of state.suspects.values()) {
    const pod = pods.get(one.uid);
    const late = context.clock.now() - one.since >= BACK_MS;
    const back = pod !== undefined && pod.ready && pod.running;
    const over =
      pod === undefined ||
      pod.terminating ||
      one.revision !== desired.revision ||
      isRestoring(state) ||
      (state.pods.get(one.uid)?.state === "InSync" && !proven) ||
      // Kubernetes calls it ready: it is cut off from the operator, as any other that does not answer
      (late && back && one.times < PROVEN);
    if (over) {
      state.suspects.delete(one.uid);
      continue;
    }
    waitsFor.add(one.uid);
    if (one.times >= PROVEN || proven || late) guilty ??= one;
  }
  return { waitsFor, ...(guilty === undefined ? {} : { guilty }) };
}

/** When the first of them is to be looked at again. */
export const suspectsDueAt = (state: RouterState): readonly number[] =>
  [...state.suspects.values()].map(({ since }) => since + BACK_MS);
