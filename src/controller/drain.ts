/**
 * Backends that take no new calls: how many calls of the routers are left at each. Looked at every few seconds while there
 * are any, seldom afterwards; a pod is asked once for all of them.
 */
import type { Key } from "../api/index.ts";
import { parseDialogAnswer } from "../kamailio/parse.ts";
import { readCallPeers, type CallPeers, type KnownCalls } from "../kamailio/callPeers.ts";
import type { PodView } from "../cluster/index.ts";
import type { DrainView } from "../status/index.ts";
import { backendStatusKey, type Context } from "./context.ts";
import { addressOf } from "./podReading.ts";

export interface Draining {
  /** addresses of the backend */
  readonly hosts: ReadonlySet<string>;
  /** routers that use it */
  readonly routers: readonly Key[];
}

export interface DrainWatch {
  /** undefined: the backend takes calls, or is gone */
  want(backend: Key, draining: Draining | undefined): void;
  /** undefined: nobody wants to know */
  view(backend: Key): DrainView | undefined;
  stop(): void;
}

const LOOK_MS = 5000;
const DONE_LOOK_MS = 60_000;
/** A call that began later than this after the backend was left out of the lists was not sent there, answered or not. */
const MARGIN_S = 10;

interface Watched {
  draining: Draining;
  /** when it was first wanted, seconds since the epoch */
  readonly since: number;
  view: DrainView;
  timer: unknown;
}

interface Look {
  readonly at: number;
  readonly peers: Promise<readonly CallPeers[]>;
}

export function createDrainWatch(context: Context): DrainWatch {
  const { clock } = context;
  const watched = new Map<Key, Watched>();
  const known = new Map<string, KnownCalls>();
  const looks = new Map<string, Look>();

  const peersOf = (router: Key, pod: PodView): Promise<readonly CallPeers[]> => {
    const last = looks.get(pod.uid);
    if (last !== undefined && clock.now() - last.at < LOOK_MS / 2) return last.peers;
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

  const count = async ({ draining, since }: Watched): Promise<number | undefined> => {
    const each = await Promise.all(
      draining.routers.flatMap((router) =>
        podsOf(router).map(async (pod) => {
          const peers = await peersOf(router, pod);
          return peers.filter(({ hosts, startedAt }) =>
            hosts === undefined ? startedAt <= since + MARGIN_S : hosts.some((host) => draining.hosts.has(host)),
          ).length;
        }),
      ),
    );
    return each.reduce((sum, one) => sum + one, 0);
  };

  const look = async (backend: Key, one: Watched): Promise<void> => {
    let calls: number | undefined;
    try {
      calls = await count(one);
    } catch (error) {
      context.log.debug({ backend, err: error }, "not every pod told its calls");
    }
    if (watched.get(backend) !== one) return;
    const changed = one.view.calls !== calls;
    one.view = { calls };
    if (changed) context.queues.status.add(backendStatusKey(backend));
    forgetPods();
    one.timer = clock.setTimeout(() => void look(backend, one), calls === 0 ? DONE_LOOK_MS : LOOK_MS);
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
        const made: Watched = { draining, since: clock.now() / 1000, view: { calls: undefined }, timer: undefined };
        watched.set(backend, made);
        made.timer = clock.setTimeout(() => void look(backend, made), 0);
      } else one.draining = draining;
    },
    view: (backend) => watched.get(backend)?.view,
    stop() {
      for (const one of watched.values()) clock.clearTimeout(one.timer);
      watched.clear();
    },
  };
}
