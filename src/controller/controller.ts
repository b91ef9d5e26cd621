/** Wires queues, caches and the observation loop together; everything with an effect is passed in. */
import { connectAmi } from "../ami/index.ts";
import { keyOf, type PbxBackendSpec, type RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";
import { annotations } from "../render/layout.ts";
import {
  backendStatusKey,
  findIn,
  routerStatusKey,
  STATUS_DELAY_MS,
  tellChangedBackend,
  tellUsedBackends,
  type Context,
} from "./context.ts";
import { reloadApart, reloadRouter } from "./reloadFleet.ts";
import { createManagement } from "./management.ts";
import { createMapper, isStatusOnly, type Concerned } from "./mapping.ts";
import { createContactBook } from "./contacts.ts";
import { createDamper } from "./damper.ts";
import { createNameCache, systemResolveName } from "./dns.ts";
import { mergedSnapshot } from "./mergedSnapshot.ts";
import { addressesInStatus, createNameUsers } from "./nameUsers.ts";
import { createPodFamilies } from "./podFamilies.ts";
import { createObservations } from "./observations.ts";
import { createObserver, handled, readAsked, type Observer } from "./poll.ts";
import { defaultPipeline } from "./stages.ts";
import { createQueue, type Queue, type QueueOptions } from "./queue.ts";
import { createReadiness } from "./readiness.ts";
import { reconcileRouter } from "./reconcile.ts";
import { reportStatus } from "./report.ts";
import { defaultTuning, noMetrics, systemClock, type ControllerOptions, type QueueName } from "./types.ts";

export interface Controller {
  /** resolves when nothing waits or runs (delayed retries may be there) */
  settled(): Promise<void>;
  /** runs under way are ended, the cluster is left running */
  stop(): Promise<void>;
}

/** statuses written at once while routers wait for their objects */
const BESIDE_OBJECTS = 2;
/** Everything is looked at again after this time, whatever was missed: it writes nothing when nothing changed. */
const RESYNC_MS = 10 * 60_000;

/** Resolves when the cluster's first lists are in and all work they ask for is queued. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const context = createContext(options, (name) => {
    for (const backend of nameUsers.backendsOf(name)) tellChangedBackend(context, backend);
  });
  const { cluster, clock, queues, mapper, nameUsers } = context;
  const observer = createObserver(context);
  const readiness = createReadiness(context);
  let started = false;
  let resync: unknown;

  const follow = (change: Change): void => {
    if (nameUsers.follow(change)) context.names.want(nameUsers.names());
  };

  const onChange = (change: Change): void => {
    const statusOnly = isStatusOnly(change);
    const concerned = mapper.concerned(change);
    if (!statusOnly) follow(change);
    if (!started) return;
    const { kind } = change;
    const key = `${change.namespace}/${change.name}`;
    // first with what the router is made of now: who asks has changed something before
    if (asksToRead(change)) queues.reconcile.add(key);
    if (statusOnly && kind === "SipRouter") return queues.status.add(routerStatusKey(key));
    if (statusOnly && kind === "PbxBackend") return queues.status.add(backendStatusKey(key));
    act(context, observer, statusOnly ? lookedAt(kind, concerned) : concerned);
  };

  const takeAll = (): void => {
    const { routers, backends } = cluster.snapshot();
    for (const object of [...routers, ...backends]) {
      const change = changeOf(object);
      mapper.concerned(change);
      follow(change);
    }
    for (const router of routers) context.families.look(keyOf(router), cluster.pods(keyOf(router)));
    const all = { routers: new Set(routers.map(keyOf)), backends: new Set(backends.map(keyOf)) };
    act(context, observer, { ...all, observed: new Set() });
    resync = clock.setTimeout(takeAll, RESYNC_MS);
  };

  startQueues(context, readiness.afterRun);
  Object.assign(context.management, createManagement(context, options.connectAmi ?? connectAmi));

  const stop = async (): Promise<void> => {
    clock.clearTimeout(resync);
    observer.stop();
    context.names.stop();
    context.management.stop();
    await Promise.all(Object.values(queues).map((queue) => queue.stop()));
  };

  cluster.onChange(onChange);
  try {
    await cluster.start();
  } catch (error) {
    // timers of what was begun would keep the process alive
    await stop();
    throw error;
  }
  started = true;
  for (const backend of cluster.snapshot().backends) {
    context.contacts.remember(backend, clock.now());
    for (const name of context.pipeline.namesToResolve([backend]))
      context.names.remember(name, addressesInStatus(backend));
  }
  takeAll();
  readiness.begin();

  return { settled: readiness.settled, stop };
}

/** Queues what has to be done for those whom a change concerns. */
function act(context: Context, observer: Observer, { routers, backends, observed }: Concerned): void {
  const { cluster, queues } = context;
  for (const router of routers) queues.reconcile.add(router);
  for (const router of routers) observer.watch(router);
  for (const router of observed) {
    observer.watch(router);
    queues.reload.add(router);
    queues.status.add(routerStatusKey(router));
  }
  for (const router of observed) if (context.families.look(router, cluster.pods(router))) queues.reconcile.add(router);
  for (const router of observed)
    if (context.states.get(router)?.prunePending === true && cluster.workload(router)?.rolledOut === true)
      queues.reconcile.add(router);
  for (const router of observed) tellUsedBackends(context, router);
  const { backends: known } = cluster.snapshot();
  for (const backend of backends) {
    const { adminState = "Enabled" } = (findIn(known, backend)?.spec ?? {}) as Partial<PbxBackendSpec>;
    // a status that the pods are about to change is not worth their wait; of a drain it has to know who used the backend
    const waits = routers.size > 0 && adminState === "Enabled";
    queues.status.addAfter(backendStatusKey(backend), waits ? STATUS_DELAY_MS : 0);
  }
}

/** A Deployment's counts or a Service's address: another status, the same configuration. */
function lookedAt(kind: string, concerned: Concerned): Concerned {
  const { routers, backends, observed } = concerned;
  const looked = kind === "Deployment" || (kind === "Service" && backends.size === 0);
  return looked ? { routers: new Set(), backends, observed: new Set([...routers, ...observed]) } : concerned;
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

function createContext(options: ControllerOptions, onName: (name: string) => void): Context {
  const clock = options.clock ?? systemClock;
  const contacts = createContactBook();
  const families = createPodFamilies();
  const names = createNameCache({ clock, resolve: options.resolveName ?? systemResolveName(), onChange: onName });
  const pipeline = options.pipeline ?? defaultPipeline;
  return {
    cluster: options.cluster,
    control: options.control,
    defaults: options.defaults,
    log: options.log,
    clock,
    hooks: options.hooks ?? {},
    metrics: { ...noMetrics, ...options.metrics },
    pipeline,
    tuning: { ...defaultTuning, ...options.tuning },
    random: options.random ?? Math.random,
    states: new Map(),
    observations: createObservations(),
    mapper: createMapper(),
    names,
    nameUsers: createNameUsers(pipeline.namesToResolve),
    damper: createDamper(),
    management: {} as Context["management"],
    contacts,
    families,
    queues: {} as Context["queues"],
    snapshot: mergedSnapshot(
      () => options.cluster.snapshot(),
      () => names.current(),
      () => contacts.current(),
      () => families.current(),
    ),
  };
}

function startQueues(context: Context, afterRun: () => void): void {
  const { clock, random, metrics, tuning, log } = context;
  const make = (name: QueueName, parallel: QueueOptions["parallel"], run: QueueOptions["run"]): Queue =>
    createQueue({
      clock,
      random,
      parallel,
      run,
      onDepth: (depth) => metrics.queueDepth(name, depth),
      onAdd: () => metrics.queueAdd(name),
      onError: (key, error, retryInMs) => {
        log.error(
          { queue: name, object: key, err: error, retryInMs: Math.round(retryInMs) },
          "a run failed and is repeated",
        );
      },
      onRun: (_key, done) => {
        metrics.queueRun(name, done);
        afterRun();
      },
    });
  context.queues.reconcile = make(
    "reconcile",
    () => tuning.parallel,
    (key, info) => reconcileRouter(context, key, info),
  );
  const manyPods = (): number => Math.max(64, tuning.parallel);
  context.queues.reload = make("reload", manyPods, async (key, info) => {
    const asked = await readAsked(context, key);
    const result = await reloadRouter(context, key, info);
    handled(context, key, asked);
    return result;
  });
  context.queues.apart = make("apart", manyPods, (key, info) => reloadApart(context, key, info));
  // while many routers wait for their objects, as after a start, the API server is asked for those first
  const afterObjects = (): number =>
    context.queues.reconcile.isFull() ? Math.min(BESIDE_OBJECTS, tuning.parallel) : tuning.parallel;
  context.queues.status = make("status", afterObjects, (key) => reportStatus(context, key));
}
