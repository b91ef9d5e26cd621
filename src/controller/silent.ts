/**
 * Destinations that do not answer OPTIONS, by what any pod of the router said last: a Kamailio that starts takes every destination
 * for active, and must be told though no other pod is left that knows.
 */
import type { Key, PbxBackendStatus } from "../api/index.ts";
import type { ObservedDestination, PodReading } from "../kamailio/types.ts";
import type { PodView } from "../cluster/index.ts";
import { isProbed } from "../status/index.ts";
import { findIn, type Context } from "./context.ts";
import type { RouterState } from "./state.ts";

type Destinations = readonly ObservedDestination[];

const urisOf = (destinations: Destinations, is: (one: ObservedDestination) => boolean): ReadonlySet<string> =>
  new Set(destinations.filter(is).map(({ uri }) => uri));
const isSilent = (one: ObservedDestination): boolean => one.state === "Inactive";
/** What a pod has not asked yet it knows nothing of. */
const answers = (one: ObservedDestination): boolean => !isSilent(one) && isProbed(one);

export function noteSilent(state: RouterState, { destinations }: PodReading): void {
  const answering = urisOf(destinations, answers);
  for (const uri of urisOf(destinations, isSilent).difference(answering)) state.silent.add(uri);
  for (const uri of answering) state.silent.delete(uri);
}

/** What this pod is to be told: no other pod gets an answer there. */
export function silentElsewhere(context: Context, state: RouterState, pod: PodView): ReadonlySet<string> {
  const others = [...state.pods.keys()].filter((uid) => uid !== pod.uid);
  const seen = others.flatMap((uid) => context.observations.last(uid)?.destinations ?? []);
  return state.silent.union(urisOf(seen, isSilent)).difference(urisOf(seen, answers));
}

/** What an earlier operator wrote into the status of the router's backends. */
export function rememberSilent(context: Context, state: RouterState): void {
  const { backends } = context.snapshot();
  const isDown = (key: Key): boolean => {
    const { routers = [] } = (findIn(backends, key)?.status ?? {}) as Partial<PbxBackendStatus>;
    return routers.some((router) => router.name === state.name && router.state === "Inactive");
  };
  const silent = new Set(context.mapper.backendsOf(state.key).filter(isDown));
  for (const { uri, backend } of state.plan?.data.sets.flatMap(({ destinations }) => destinations) ?? [])
    if (silent.has(backend)) state.silent.add(uri);
}

/** Nobody asks a destination that is in no list: what was known of it is forgotten. */
export function forgetSilent(state: RouterState): void {
  const listed = new Set(
    [state.desired, state.good?.desired].flatMap((one) => one?.dispatcher ?? []).map(({ uri }) => uri),
  );
  for (const uri of state.silent) if (!listed.has(uri)) state.silent.delete(uri);
}
