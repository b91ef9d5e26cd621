/** Wires queues, caches and the observation loop together; everything with an effect is passed in. */
import { connectAmi } from "../ami/index.ts";
import { keyOf, type Key, type RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";
import type { Snapshot } from "../model/types.ts";
import { annotations } from "../render/layout.ts";
import { backendStatusKey, routerStatusKey, tellChangedBackend, tellUsedBackends, type Context } from "./context.ts";
import { reloadRouter } from "./reloadFleet.ts";
import { createManagement } from "./management.ts";
import { createMapper, isStatusOnly, type Concerned } from "./mapping.ts";
import { createContactBook } from "./contacts.ts";
import { createDamper } from "./damper.ts";
import { createNameCache, systemResolveName } from "./dns.ts";
import { createObservations } from "./observations.ts";
import { createObserver, readAsked } from "./poll.ts";
import { defaultPipeline } from "./stages.ts";
import { createQueue, type Queue, type QueueOptions } from "./queue.ts";
import { reconcileRouter } from "./reconcile.ts";
import { reportStatus } from "./report.ts";
import { defaultTuning, noMetrics, systemClock, type ControllerOptions, type QueueName } from "./types.ts";

export interface Controller {
  /** resolves when nothing waits or runs (delayed retries may be there) */
  settled(): Promise<void>;
  /** runs under way are ended, the cluster is left running */
  stop(): Promise<void>;
}

/** Everything is looked at again after this time, whatever was missed: it writes nothing when nothing changed. */
const RESYNC_MS = 10 * 60_000;

/** Resolves when the cluster's first lists are in and all work they ask for is queued. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const waiters: (() => void)[] = [];
  const nameUsers = new Map<string, Set<Key>>();
  const namesOf = new Map<Key, readonly string[]>();
  const context = createContext(options, (name) => {
    for (const backend of nameUsers.get(name) ?? []) tellChangedBackend(context, backend);
  });
  const { cluster, clock, queues, mapper } = context;
  const observer = createObserver(context);
  let started = false;
  let ready = false;
  let waitedFor: Key | undefined;
  let resync: unknown;

  const follow = (change: Change): void => {
    if (change.kind !== "PbxBackend") return;
    const key = `${change.namespace}/${change.name}`;
    const before = namesOf.get(key) ?? [];
    const names = change.object === undefined ? [] : context.pipeline.namesToResolve([change.object]);
    if (names.length === before.length && names.every((name, index) => name === before[index])) return;
    if (names.length === 0) namesOf.delete(key);
    else namesOf.set(key, names);
    for (const name of before) nameUsers.get(name)?.delete(key);
    for (const name of names) nameUsers.set(name, (nameUsers.get(name) ?? new Set()).add(key));
    for (const name of before) if (nameUsers.get(name)?.size === 0) nameUsers.delete(name);
    context.names.want([...nameUsers.keys()]);
  };

  const act = ({ routers, backends, observed }: Concerned): void => {
    for (const router of routers) queues.reconcile.add(router);
    for (const router of routers) observer.watch(router);
    for (const router of observed) {
      observer.watch(router);
      queues.reload.add(router);
      queues.status.add(routerStatusKey(router));
    }
    for (const router of observed)
      if (context.states.get(router)?.prunePending === true && cluster.workload(router)?.rolledOut === true)
        queues.reconcile.add(router);
    for (const router of observed) tellUsedBackends(context, router);
    for (const backend of backends) queues.status.add(backendStatusKey(backend));
  };

  const onChange = (change: Change): void => {
    const statusOnly = isStatusOnly(change);
    const concerned = mapper.concerned(change);
    if (!statusOnly) follow(change);
    if (!started) return;
    const { kind } = change;
    const key = `${change.namespace}/${change.name}`;
    if (asksToRead(change)) readNow(key);
    if (statusOnly && kind === "SipRouter") return queues.status.add(routerStatusKey(key));
    if (statusOnly && kind === "PbxBackend") return queues.status.add(backendStatusKey(key));
    // A Deployment's counts or a Service's address: another status, the same configuration.
    const looked = statusOnly && (kind === "Deployment" || (kind === "Service" && concerned.backends.size === 0));
    if (looked)
      return act({
        routers: new Set(),
        backends: concerned.backends,
        observed: new Set([...concerned.routers, ...concerned.observed]),
      });
    act(concerned);
  };

  const readNow = (key: Key): void => {
    const state = context.states.get(key);
    if (state === undefined) return;
    state.readAsked = true;
    queues.reload.add(key);
  };

  const takeAll = (): void => {
    const { routers, backends } = cluster.snapshot();
    for (const object of [...routers, ...backends]) {
      const change = changeOf(object);
      mapper.concerned(change);
      follow(change);
    }
    act({ routers: new Set(routers.map(keyOf)), backends: new Set(backends.map(keyOf)), observed: new Set() });
    resync = clock.setTimeout(takeAll, RESYNC_MS);
  };

  const idle = (): boolean => Object.values(queues).every((queue) => queue.idle());
  const afterRun = (): void => {
    // The run's own end is not counted yet: look when it is.
    queueMicrotask(() => {
      if (!idle()) return;
      for (const wake of waiters.splice(0)) wake();
    });
    if (ready || !started) return;
    // Who was not ready the last time is asked first: most runs need not look at all the others.
    if (waitedFor !== undefined && context.states.has(waitedFor) && !isReady(context, waitedFor)) return;
    waitedFor = context
      .snapshot()
      .routers.map(keyOf)
      .find((key) => !isReady(context, key));
    if (waitedFor !== undefined) return;
    ready = true;
    context.hooks.onReady?.();
  };
  startQueues(context, afterRun);
  Object.assign(context.management, createManagement(context, options.connectAmi ?? connectAmi));

  cluster.onChange(onChange);
  await cluster.start();
  started = true;
  for (const backend of cluster.snapshot().backends) context.contacts.remember(backend, clock.now());
  takeAll();
  if (idle()) afterRun();

  return {
    settled: () => (idle() ? Promise.resolve() : new Promise((resolve) => void waiters.push(resolve))),
    async stop() {
      clock.clearTimeout(resync);
      observer.stop();
      context.names.stop();
      context.management.stop();
      await Promise.all(Object.values(queues).map((queue) => queue.stop()));
    },
  };
}

const asksToRead = ({ kind, object, previous }: Change): boolean => {
  const asked = (of: RawObject | undefined): string | undefined =>
    of?.metadata.annotations?.[annotations.reloadRequested];
  return (
    kind === "SipRouter" && previous !== undefined && asked(object) !== undefined && asked(object) !== asked(previous)
  );
};

const changeOf = (object: RawObject): Change => ({
  kind: object.kind,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
  object,
});

/** The router is programmed on all its replicas, or refused, or what it names is not there. */
function isReady(context: Context, router: Key): boolean {
  const state = context.states.get(router);
  if (state === undefined || !state.visited) return false;
  if (state.rejected !== undefined) return true;
  if (state.desired === undefined) return state.failure === undefined;
  return state.announced === state.desired.revision;
}

function createContext(options: ControllerOptions, onName: (name: string) => void): Context {
  const clock = options.clock ?? systemClock;
  const contacts = createContactBook();
  const names = createNameCache({ clock, resolve: options.resolveName ?? systemResolveName(), onChange: onName });
  return {
    cluster: options.cluster,
    control: options.control,
    defaults: options.defaults,
    log: options.log,
    clock,
    hooks: options.hooks ?? {},
    metrics: { ...noMetrics, ...options.metrics },
    pipeline: options.pipeline ?? defaultPipeline,
    tuning: { ...defaultTuning, ...options.tuning },
    random: options.random ?? Math.random,
    states: new Map(),
    observations: createObservations(),
    mapper: createMapper(),
    names,
    damper: createDamper(),
    management: {} as Context["management"],
    contacts,
    queues: {} as Context["queues"],
    snapshot: mergedSnapshot(
      () => options.cluster.snapshot(),
      () => names.current(),
      () => contacts.current(),
    ),
  };
}

/** The cluster's snapshot with the looked-up names and the contacts of PBXes; the same object as long as nothing in it changed. */
function mergedSnapshot(
  read: () => Snapshot,
  names: () => Snapshot["names"],
  contacts: () => NonNullable<Snapshot["contacts"]>,
): () => Snapshot {
  let last: Snapshot | undefined;
  const fields = ["routers", "backends", "services", "endpointSlices"] as const;
  return () => {
    const now = read();
    const known = names();
    const registered = contacts();
    const same =
      last !== undefined &&
      last.names === known &&
      last.contacts === registered &&
      fields.every((field) => last?.[field] === now[field]) &&
      last.secrets.length === now.secrets.length &&
      last.secrets.every((secret, index) => secret === now.secrets[index]);
    if (same && last !== undefined) return last;
    last = { ...now, names: known, contacts: registered };
    return last;
  };
}

function startQueues(context: Context, afterRun: () => void): void {
  const { clock, random, metrics, tuning, log } = context;
  const make = (name: QueueName, parallel: number, run: QueueOptions["run"]): Queue =>
    createQueue({
      clock,
      random,
      parallel,
      run,
      onDepth: (depth) => metrics.queueDepth(name, depth),
      onError: (key, error, retryInMs) => {
        log.error({ queue: name, key, err: error, retryInMs: Math.round(retryInMs) }, "a run failed and is repeated");
      },
      onRun: (_key, seconds, failed) => {
        metrics.queueRun(name, seconds, failed);
        afterRun();
      },
    });
  context.queues.reconcile = make("reconcile", tuning.parallel, (key, info) => reconcileRouter(context, key, info));
  context.queues.reload = make("reload", Math.max(64, tuning.parallel), async (key) => {
    await readAsked(context, key);
    return reloadRouter(context, key);
  });
  context.queues.status = make("status", tuning.parallel, (key) => reportStatus(context, key));
}
