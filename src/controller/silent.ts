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

/** URIs, as one pod's list says; one that is in it twice may be in both. What a pod has not asked yet it knows nothing of. */
interface Heard {
  readonly silent: ReadonlySet<string>;
  readonly answering: ReadonlySet<string>;
}

const heard = new WeakMap<Destinations, Heard>();

/** Lists are never changed, only replaced: each is looked through once. */
function heardIn(destinations: Destinations): Heard {
  const known = heard.get(destinations);
  if (known !== undefined) return known;
  const made = { silent: new Set<string>(), answering: new Set<string>() };
  for (const one of destinations)
    if (one.state === "Inactive") made.silent.add(one.uri);
    else if (isProbed(one)) made.answering.add(one.uri);
  heard.set(destinations, made);
  return made;
}

export function noteSilent(state: RouterState, { destinations }: PodReading): void {
  const { silent, answering } = heardIn(destinations);
  for (const uri of silent) if (!answering.has(uri)) state.silent.add(uri);
  for (const uri of state.silent) if (answering.has(uri)) state.silent.delete(uri);
}

/** What this pod is to be told: no other pod gets an answer there. */
export function silentElsewhere(context: Context, state: RouterState, pod: PodView): ReadonlySet<string> {
  const others = [...state.pods.keys()].filter((uid) => uid !== pod.uid);
  const seen = others.map((uid) => heardIn(context.observations.last(uid)?.destinations ?? []));
  const all = new Set(state.silent);
  for (const { silent } of seen) for (const uri of silent) all.add(uri);
  for (const uri of all) if (seen.some(({ answering }) => answering.has(uri))) all.delete(uri);
  return all;
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
  if (state.silent.size === 0) return;
  const listed = new Set(
    [state.desired, state.good?.desired].flatMap((one) => one?.dispatcher ?? []).map(({ uri }) => uri),
  );
  for (const uri of state.silent) if (!listed.has(uri)) state.silent.delete(uri);
}
