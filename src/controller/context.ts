/** What the parts of one running controller share. */
import type { Key } from "../api/index.ts";
import { byDestination } from "../ir/setId.ts";
import type { PodReading } from "../kamailio/types.ts";
import type { PodView } from "../cluster/index.ts";
import { findIn } from "../model/lookup.ts";
import type { Snapshot } from "../model/types.ts";
import type { Management } from "./management.ts";
import type { Mapper } from "./mapping.ts";
import type { ContactBook } from "./contacts.ts";
import type { Damper } from "./damper.ts";
import type { NameCache } from "./dns.ts";
import type { NameUsers } from "./nameUsers.ts";
import type { PodFamilies } from "./podFamilies.ts";
import type { Observations } from "./observations.ts";
import type { Queue } from "./queue.ts";
import type { RouterState } from "./state.ts";
import type { Clock, ControllerOptions, Hooks, Log, Metrics, Pipeline, Tuning } from "./types.ts";

export interface Context {
  readonly cluster: ControllerOptions["cluster"];
  readonly control: ControllerOptions["control"];
  readonly defaults: ControllerOptions["defaults"];
  readonly log: Log;
  readonly clock: Clock;
  readonly hooks: Hooks;
  readonly metrics: Metrics;
  readonly pipeline: Pipeline;
  readonly tuning: Tuning;
  readonly random: () => number;
  readonly states: Map<Key, RouterState>;
  readonly observations: Observations;
  readonly mapper: Mapper;
  readonly names: NameCache;
  readonly nameUsers: NameUsers;
  readonly contacts: ContactBook;
  readonly families: PodFamilies;
  readonly damper: Damper;
  /** set once, right after the context is made */
  readonly management: Management;
  /** set once, right after the context is made */
  readonly queues: { reconcile: Queue; reload: Queue; apart: Queue; status: Queue };
  snapshot(): Snapshot;
}

/** What is about to change within this time is not worth a status of its own. */
export const STATUS_DELAY_MS = 200;

export const routerStatusKey = (router: Key): Key => `SipRouter ${router}`;
export const backendStatusKey = (backend: Key): Key => `PbxBackend ${backend}`;

export { findIn };

/** The backends of destinations that came, went or changed their state have another status. True when there are any. */
export function tellBackends(
  context: Context,
  state: RouterState,
  before: PodReading | undefined,
  after: PodReading,
): boolean {
  const { backends, any } = changedBetween(state, before, after);
  for (const backend of backends) context.queues.status.add(backendStatusKey(backend));
  return any;
}

/** The same after a change that other pods wait for: their status is built when they have it, or a while later. */
export function tellBackendsLater(context: Context, state: RouterState, before: PodReading, after: PodReading): void {
  for (const backend of changedBetween(state, before, after).backends) {
    state.untold.add(backend);
    context.queues.status.addAfter(backendStatusKey(backend), STATUS_DELAY_MS);
  }
}

interface Changed {
  readonly backends: ReadonlySet<Key>;
  /** also of a destination that is no backend's any more */
  readonly any: boolean;
}

function changedBetween({ backendOf }: RouterState, before: PodReading | undefined, after: PodReading): Changed {
  const [old, now] = [byDestination(before?.destinations ?? []), byDestination(after.destinations)];
  const changed = [...old.keys()].filter((id) => !now.has(id));
  for (const [id, [is]] of now) {
    const was = old.get(id)?.[0];
    // the flags tell, beside the state, whether it was ever asked
    if (was?.state !== is?.state || was?.flags !== is?.flags) changed.push(id);
  }
  return { backends: new Set(changed.flatMap((id) => backendOf.get(id) ?? [])), any: changed.length > 0 };
}

/** The backend stands for other addresses: it has another status, and who uses it another list. */
export function tellChangedBackend(context: Context, backend: Key): void {
  context.queues.status.add(backendStatusKey(backend));
  const object = findIn(context.cluster.snapshot().backends, backend);
  for (const router of object === undefined ? [] : context.mapper.usersOf(object)) context.queues.reconcile.add(router);
}

/** All backends that the router names or selects have another status. */
export function tellUsedBackends(context: Context, router: Key): void {
  for (const backend of context.mapper.backendsOf(router)) context.queues.status.add(backendStatusKey(backend));
}

/** Milliseconds that the first answer for a name of the router's backends may still take. */
export const nameWait = ({ mapper, names, nameUsers }: Context, router: Key): number =>
  Math.max(0, ...mapper.backendsOf(router).flatMap((key) => nameUsers.namesOf(key).map(names.waitMs)));

/** Pods whose control port may answer. */
export const usablePods = (context: Context, router: Key): readonly PodView[] =>
  context.cluster.pods(router).filter((pod) => pod.running && !pod.terminating && pod.ip !== "");
