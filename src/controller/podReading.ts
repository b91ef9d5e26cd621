/** One pod is read, and whoever has to do with what it says is told. */
import type { PodView } from "../cluster/index.ts";
import type { Control, ControlAddress, PodReading } from "../kamailio/types.ts";
import { CONTROL_PORT } from "../render/layout.ts";
import { backendStatusKey, routerStatusKey, tellBackends, usablePods, type Context } from "./context.ts";
import { FAILED_POLLS, isRight } from "./observations.ts";
import { noteSilent } from "./silent.ts";
import { takeContacts } from "./takeContacts.ts";
import { answers } from "./progress.ts";
import { targetOf } from "./restore.ts";
import type { RouterState } from "./state.ts";
import { noteStart } from "./suspects.ts";

export const addressOf = (pod: PodView, token: string): ControlAddress => ({ host: pod.ip, port: CONTROL_PORT, token });

/** Ready pods of which nothing is known, as after a start of the operator; one that does not answer is not asked again. */
export async function readUnknown(context: Context, state: RouterState): Promise<void> {
  const unknown = usablePods(context, state.key).filter((pod) => pod.ready && !context.observations.isKnown(pod.uid));
  await Promise.all(unknown.map((pod) => readOnce(context, state, pod)));
}

/** The pod is being changed: what was read of it so far is void. */
class Overtaken extends Error {}

/** Control by which a reading asks no further once the pod is worked on, which would have to wait for every answer. */
export const givingWay = (context: Context, { uid }: PodView, control: Control): Control => {
  const epoch = context.observations.epoch(uid);
  return {
    async call(...request) {
      if (context.observations.epoch(uid) !== epoch) throw new Overtaken();
      return control.call(...request);
    },
  };
};

/** False: it gave way to a change. */
export async function readOnce(
  context: Context,
  state: RouterState,
  pod: PodView,
  control: Control = context.control,
): Promise<boolean> {
  const { token } = state;
  const desired = targetOf(state);
  if (desired === undefined || token === undefined) return true;
  const epoch = context.observations.epoch(pod.uid);
  try {
    const before = context.observations.last(pod.uid);
    const reading = await context.pipeline.readPod(control, addressOf(pod, token), desired);
    // nothing may be remembered of a pod that has gone meanwhile
    if (!isThere(context, state, pod)) return true;
    if (context.observations.put(pod.uid, reading, epoch, context.clock.now())) {
      noteSilent(state, reading);
      noteStart(state, pod, reading);
      compare(context, state, pod, before, reading);
    }
    takeContacts(context, state, pod, reading);
  } catch (error) {
    if (error instanceof Overtaken) return false;
    context.log.debug({ router: state.key, pod: pod.name, err: error }, "the pod did not answer");
    if (!isThere(context, state, pod)) return true;
    if (context.observations.fail(pod.uid) === FAILED_POLLS) lost(context, state, pod, error);
  }
  return true;
}

const isThere = (context: Context, state: RouterState, { uid }: PodView): boolean =>
  context.states.get(state.key) === state && context.cluster.pods(state.key).some((pod) => pod.uid === uid);

/** Whatever differs from before, or from what the pod must run, is somebody's business. */
function compare(
  context: Context,
  state: RouterState,
  pod: PodView,
  before: PodReading | undefined,
  reading: PodReading,
): void {
  const progress = state.pods.get(pod.uid);
  // what is shown of a pod goes with its progress: of one that began to end while it was read, nothing is
  if (progress !== undefined) context.metrics.pod(state.key, pod.name, reading);
  const changed = tellBackends(context, state, before, reading);
  const media = JSON.stringify(before?.mediaProxies) !== JSON.stringify(reading.mediaProxies);
  if (changed || media || before === undefined) context.queues.status.add(routerStatusKey(state.key));
  if (progress?.reachable === false) {
    answers(progress);
    context.queues.reload.add(state.key);
  }
  const desired = targetOf(state);
  const right = desired !== undefined && isRight(desired, reading);
  // it has started anew: whatever waits for another pod, this one is to be told what the others know
  const started = reading.fresh === true && before?.fresh !== true;
  if (started || right !== (progress?.state === "InSync")) context.queues.reload.add(state.key);
}

function lost(context: Context, state: RouterState, pod: PodView, error: unknown): void {
  const progress = state.pods.get(pod.uid);
  if (progress !== undefined) {
    progress.state = "Failed";
    progress.reachable = false;
    progress.cutOff = true;
    progress.message = error instanceof Error ? error.message : String(error);
    progress.dueAt = 0;
  }
  context.queues.reload.add(state.key);
  context.queues.status.add(routerStatusKey(state.key));
  for (const backend of new Set(state.backendOf.values())) context.queues.status.add(backendStatusKey(backend));
}
