/**
 * Backends that take no new calls: whether every pod leaves them out by now, and how many calls of the routers are left at
 * each. Looked at every few seconds while there are any, seldom afterwards; a pod is asked once for all of them.
 */
import type { Key } from "../api/index.ts";
import { DRAIN_TIER } from "../ir/setId.ts";
import { parseDialogAnswer } from "../kamailio/parse.ts";
import { isWith, readCallPeers, type CallPeers, type KnownCalls } from "../kamailio/callPeers.ts";
import type { PodView } from "../cluster/index.ts";
import type { DrainView } from "../status/index.ts";
import { backendStatusKey, usablePods, type Context } from "./context.ts";
import { addressOf } from "./podReading.ts";

export interface Draining {
  /** addresses of the backend, now or since it began to drain, as long as calls are left: later they may be another's */
  readonly hosts: ReadonlySet<string>;
  /** routers that use it, likewise */
  readonly routers: readonly Key[];
}

export interface DrainWatch {
  /** undefined: the backend takes calls, or is gone */
  want(backend: Key, draining: Draining | undefined): void;
  /** undefined: nobody wants to know */
  view(backend: Key): DrainView | undefined;
  /** a router has another plan, or its pods have come to it: a backend that is left out only now, or no more, is looked at */
  recheck(): void;
  stop(): void;
}

const LOOK_MS = 5000;
const DONE_LOOK_MS = 60_000;

interface Watched {
  draining: Draining;
  /** as it is now */
  current: Draining;
  /** the last look found that every pod leaves it out */
  leftOut: boolean;
  /** since when, by the time of day, as calls have it; until then the time of the last look */
  since: number;
  /** the same by the clock that nobody sets, as looks have it */
  sinceAt: number;
  /** counts the looks: the last one that was begun says how it is */
  looks: number;
  view: DrainView;
  timer: unknown;
}

interface Look {
  readonly at: number;
  readonly peers: Promise<readonly CallPeers[]>;
}

/**
 * No pod of the router sends it new calls: the plan does not serve it, and every pod was read back with that plan. The next
 * plans leave it out, too, until one serves it.
 */
function isLeftOut(context: Context, backend: Key, router: Key, before: boolean): boolean {
  const state = context.states.get(router);
  if (state?.desired === undefined) return true;
  const { revision } = state.desired;
  const serves = (state.plan?.data.sets ?? []).some((set) =>
    set.destinations.some((one) => one.backend === backend && !one.disabled && one.priority !== DRAIN_TIER),
  );
  if (serves || state.plan === undefined) return false;
  const runs = ({ uid }: PodView): boolean => {
    const progress = state.pods.get(uid);
    return progress?.state === "InSync" && progress.revision === revision;
  };
  return before || usablePods(context, router).every(runs);
}

const isDrained = ({ leftOut, calls }: DrainView): boolean => leftOut && calls === 0;

export function createDrainWatch(context: Context): DrainWatch {
  const { clock } = context;
  const watched = new Map<Key, Watched>();
  const known = new Map<string, KnownCalls>();
  const looks = new Map<string, Look>();

  /** @param sinceAt what was asked before does not count */
  const peersOf = (router: Key, pod: PodView, sinceAt: number): Promise<readonly CallPeers[]> => {
    const last = looks.get(pod.uid);
    if (last !== undefined && last.at >= sinceAt && clock.now() - last.at < LOOK_MS / 2) return last.peers;
    const token = context.states.get(router)?.token;
    if (token === undefined) return Promise.reject(new Error("its control token is not known yet"));
    const calls = known.get(pod.uid) ?? new Map();
    known.set(pod.uid, calls);
    const call = (method: string, ...params: (string | number)[]): Promise<unknown> =>
      context.control.call(addressOf(pod, token), method, params);
    const peers = call("dlg.stats_active").then((answer) => readCallPeers(call, parseDialogAnswer(answer), calls));
    looks.set(pod.uid, { at: clock.now(), peers });
    return peers;
  };

  /** Also of pods that end: they have their calls until the last is over. */
  const podsOf = (router: Key): readonly PodView[] =>
    context.cluster.pods(router).filter((pod) => pod.running && pod.ip !== "");

  const count = async ({ draining, since, sinceAt }: Watched): Promise<number | undefined> => {
    const each = await Promise.all(
      draining.routers.flatMap((router) =>
        podsOf(router).map(async (pod) => {
          const peers = await peersOf(router, pod, sinceAt);
          return peers.filter((peer) => isWith(peer, draining.hosts, since)).length;
        }),
      ),
    );
    return each.reduce((sum, one) => sum + one, 0);
  };

  const isOut = (backend: Key, { draining, leftOut }: Watched): boolean =>
    draining.routers.every((router) => isLeftOut(context, backend, router, leftOut));

  const look = async (backend: Key, one: Watched): Promise<void> => {
    clock.clearTimeout(one.timer);
    const turn = (one.looks += 1);
    const leftOut = isOut(backend, one);
    if (!leftOut || !one.leftOut) [one.since, one.sinceAt] = [clock.timeOfDay() / 1000, clock.now()];
    one.leftOut = leftOut;
    let calls: number | undefined;
    try {
      calls = await count(one);
    } catch (error) {
      context.log.debug({ backend, err: error }, "not every pod told its calls");
    }
    if (watched.get(backend) !== one || one.looks !== turn) return;
    const changed = one.view.calls !== calls || one.view.leftOut !== leftOut;
    one.view = { calls, leftOut };
    if (changed) context.queues.status.add(backendStatusKey(backend));
    forgetPods();
    const done = isDrained(one.view);
    if (done) one.draining = one.current;
    one.timer = clock.setTimeout(() => void look(backend, one), done ? DONE_LOOK_MS : LOOK_MS);
  };

  const recheck = (backend: Key, one: Watched): void => {
    if (isOut(backend, one) === one.leftOut) return;
    if (one.leftOut) one.view = { ...one.view, leftOut: false };
    void look(backend, one);
  };

  const forgetPods = (): void => {
    const there = new Set(
      [...watched.values()].flatMap(({ draining }) => draining.routers.flatMap(podsOf)).map(({ uid }) => uid),
    );
    for (const uid of looks.keys()) if (!there.has(uid)) looks.delete(uid);
    for (const uid of known.keys()) if (!there.has(uid)) known.delete(uid);
  };

  return {
    want(backend, draining) {
      const one = watched.get(backend);
      if (draining === undefined) {
        clock.clearTimeout(one?.timer);
        watched.delete(backend);
      } else if (one === undefined) {
        const view = { calls: undefined, leftOut: false };
        const made: Watched = {
          draining,
          current: draining,
          leftOut: false,
          since: 0,
          sinceAt: 0,
          looks: 0,
          view,
          timer: undefined,
        };
        watched.set(backend, made);
        made.timer = clock.setTimeout(() => void look(backend, made), 0);
      } else {
        one.current = draining;
        // its calls stay where they are when its address goes, or a router names it no longer
        one.draining = isDrained(one.view)
          ? draining
          : {
              hosts: one.draining.hosts.union(draining.hosts),
              routers: [...new Set([...one.draining.routers, ...draining.routers])],
            };
        recheck(backend, one);
      }
    },
    recheck() {
      for (const [backend, one] of watched) recheck(backend, one);
    },
    view: (backend) => watched.get(backend)?.view,
    stop() {
      for (const one of watched.values()) clock.clearTimeout(one.timer);
      watched.clear();
    },
  };
}
