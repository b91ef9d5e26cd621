/** Work on one pod: its files are sent, it is changed and read back, and what came of it is noted. */
import type { PodView } from "../cluster/index.ts";
import { isBrokenOff } from "../kamailio/brokenOff.ts";
import type { PodReading } from "../kamailio/types.ts";
import { syncPod, type SyncInput } from "../reload/index.ts";
import type { DesiredData } from "../render/types.ts";
import { tellBackends, tellBackendsLater, type Context } from "./context.ts";
import { isDataConfig, objectsToStore, withNonce } from "./dataConfig.ts";
import { addressOf } from "./podReading.ts";
import { failed, took } from "./progress.ts";
import type { PodProgress, RouterState } from "./state.ts";
import { noteSilent, silentElsewhere } from "./silent.ts";
import { noteStart, suspect } from "./suspects.ts";
import { takeContacts } from "./takeContacts.ts";

/** Files that are not there after this long are sent again; each time twice as long. */
const RESEND_FIRST_MS = 2500;

const MOST_POLLS_MISSED = 5;

export interface Job {
  readonly pod: PodView;
  readonly progress: PodProgress;
}

export async function workOn(
  context: Context,
  state: RouterState,
  desired: DesiredData,
  { pod, progress }: Job,
  order: Pick<SyncInput, "onAdded" | "goOn"> = {},
): Promise<void> {
  const known = knownOf(context, pod);
  context.observations.begin(pod.uid);
  let [answers, actions] = [0, 0];
  let wasFresh = known?.fresh === true;
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
        answers += 1;
        noteStart(state, pod, reading);
        wasFresh = reading.fresh === true;
        takeContacts(context, state, pod, reading);
        return reading;
      },
      readDestinations: () => context.pipeline.readDestinations(context.control, address),
      ...(known === undefined ? {} : { known }),
      hints: { inactive: silentElsewhere(context, state, pod) },
      filesSent,
      now: () => context.clock.now(),
      ...order,
      onAction: (action) => {
        actions += 1;
        context.log.info({ router: state.key, pod: pod.name, revision: desired.revision, action }, action.reason);
      },
    });
    const before = context.observations.last(pod.uid);
    context.observations.end(pod.uid, result.reading, context.clock.now(), answers > 0);
    noteSilent(state, result.reading);
    // what is shown of a pod goes with its progress
    if (answers > 0 && state.pods.get(pod.uid) === progress) context.metrics.pod(state.key, pod.name, result.reading);
    took(context, state, desired, pod, progress, result);
    // after the new reading is in place: a backend's status may be built at once
    if (before === undefined) tellBackends(context, state, before, result.reading);
    else tellBackendsLater(context, state, before, result.reading);
  } catch (error) {
    context.observations.end(pod.uid, undefined, context.clock.now());
    failed(context, state, desired, pod, progress, error, answers > 0 || known !== undefined);
    // it was there when it was given the change
    if (!progress.reachable && actions > 0 && (answers > 0 || actions > 1 || isBrokenOff(error)))
      suspect(context, state, desired, pod, progress.message, wasFresh);
  }
}

/**
 * What a change need not read again. A pod that changes keep busy, so that nobody else gets to read it, is read as a whole by
 * one of them from time to time: its contacts, calls and tables are somebody's business as well.
 */
function knownOf({ observations, clock, tuning }: Context, { uid }: PodView): PodReading | undefined {
  const now = clock.now();
  if (observations.wholeAge(uid, now) > tuning.pollMs * MOST_POLLS_MISSED) return undefined;
  return observations.fresh(uid, now, tuning.freshMs);
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
  try {
    if (again) await renewFiles(context, state, now);
    const times = progress.touches + 1;
    await context.cluster.touchPod(pod, times === 1 ? desired.revision : `${desired.revision}-${times}`);
    progress.touches = times;
    progress.touchedAt = now;
    progress.untold = "";
  } catch (error) {
    // nothing is wrong with the pod: the kubelet brings the files in its own time, and it is told with the next try
    progress.untold = error instanceof Error ? error.message : String(error);
    context.log.warn({ router: state.key, pod: pod.name, err: error }, "the pod could not be told to fetch its files");
  }
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
