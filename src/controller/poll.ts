/** Every pod read at a steady, bounded rate: what Kamailio says of its destinations, and whether it still runs what it must. */
import type { Key } from "../api/index.ts";
import type { Control } from "../kamailio/types.ts";
import type { PodView } from "../cluster/index.ts";
import { routerStatusKey, findIn, usablePods, type Context } from "./context.ts";
import { givingWay, readOnce } from "./podReading.ts";

export interface Observer {
  /** the pods of the router may have changed */
  watch(router: Key): void;
  stop(): void;
}

interface Polled {
  readonly router: Key;
  pod: PodView;
  timer: unknown;
  /** that its last reading took */
  requests: number;
  /** readings in a row that a change came between */
  overtaken: number;
}

/** However many changes there are, what registers with the pods is looked at every few seconds. */
const MOST_OVERTAKEN = 3;

/** of a reading that nobody has seen yet */
const USUAL_REQUESTS = 8;

function counting(control: Control): Control & { calls(): number } {
  let calls = 0;
  return {
    call(...request) {
      calls += 1;
      return control.call(...request);
    },
    calls: () => calls,
  };
}

export function createObserver(context: Context): Observer {
  const polled = new Map<string, Polled>();
  const ofRouter = new Map<Key, Set<string>>();
  /** also those that terminate: what is known of them is forgotten when they are gone */
  const known = new Map<Key, Set<string>>();
  let stopped = false;

  const drop = (uid: string, { router, timer }: Polled): void => {
    context.clock.clearTimeout(timer);
    polled.delete(uid);
    const uids = ofRouter.get(router);
    uids?.delete(uid);
    if (uids?.size === 0) ofRouter.delete(router);
  };

  /** when the next reading may begin, milliseconds since the epoch: one after the other, as far apart as its requests take */
  let free = 0;
  const schedule = (uid: string, entry: Polled): void => {
    if (stopped || polled.get(uid) !== entry) return;
    const { pollMs, requestsPerSecond } = context.tuning;
    const now = context.clock.now();
    const at = Math.max(now + pollMs, free);
    free = at + (entry.requests / requestsPerSecond) * 1000;
    entry.timer = context.clock.setTimeout(() => void poll(uid, entry), at - now);
  };

  const poll = async (uid: string, entry: Polled): Promise<void> => {
    const state = context.states.get(entry.router);
    // it waits for its first turn, or is gone
    if (state === undefined && findIn(context.snapshot().routers, entry.router) === undefined) return drop(uid, entry);
    if (state?.desired !== undefined && state.token !== undefined && !context.observations.isBusy(uid)) {
      const counted = counting(context.control);
      const { pod, overtaken } = entry;
      const control = overtaken < MOST_OVERTAKEN ? givingWay(context, pod, counted) : counted;
      const done = await readOnce(context, state, pod, control);
      entry.overtaken = done ? 0 : overtaken + 1;
      entry.requests = Math.max(1, counted.calls());
    }
    schedule(uid, entry);
  };

  const forgetGone = (router: Key): void => {
    const pods = new Set(context.cluster.pods(router).map((pod) => pod.uid));
    for (const uid of known.get(router) ?? []) if (!pods.has(uid)) context.observations.drop(uid);
    if (pods.size > 0) known.set(router, pods);
    else known.delete(router);
  };

  return {
    watch(router) {
      forgetGone(router);
      const pods = usablePods(context, router);
      const there = new Map(pods.map((pod) => [pod.uid, pod]));
      for (const uid of [...(ofRouter.get(router) ?? [])]) {
        const entry = polled.get(uid);
        if (entry === undefined) continue;
        const pod = there.get(uid);
        if (pod === undefined) drop(uid, entry);
        else entry.pod = pod;
        there.delete(uid);
      }
      for (const [uid, pod] of there) {
        const entry: Polled = { router, pod, timer: undefined, requests: USUAL_REQUESTS, overtaken: 0 };
        polled.set(uid, entry);
        ofRouter.set(router, (ofRouter.get(router) ?? new Set()).add(uid));
        schedule(uid, entry);
      }
    },
    stop() {
      stopped = true;
      for (const [uid, entry] of polled) drop(uid, entry);
    },
  };
}

/**
 * All pods at once where somebody asked for it; what differs is put right by the run that follows. Returns what asked, to be
 * {@link handled} when that run is over.
 */
export async function readAsked(context: Context, router: Key): Promise<string | undefined> {
  const state = context.states.get(router);
  const asked = state?.readAsked;
  if (state === undefined || asked === undefined) return undefined;
  const pods = usablePods(context, router);
  context.log.info({ router, pods: pods.map((pod) => pod.name) }, "all pods are read back as asked");
  await Promise.all(pods.map((pod) => readOnce(context, state, pod)));
  return asked;
}

/** Whoever asked for the pods to be read sees in the status that it was done. */
export function handled(context: Context, router: Key, asked: string | undefined): void {
  const state = context.states.get(router);
  if (state === undefined || asked === undefined) return;
  state.readHandled = asked;
  if (state.readAsked === asked) state.readAsked = undefined;
  context.queues.status.add(routerStatusKey(router));
}
