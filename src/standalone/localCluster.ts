/**
 * standalone: the {@link Cluster} without a cluster. User objects from a folder of YAML, the operator's own objects in the state
 * folder, Deployments as local processes.
 *
 * STATE/lock, STATE/status/…yaml, STATE/events.jsonl, STATE/objects/… (owner only), STATE/pods/<namespace>/<pod>/.
 */
import { join } from "node:path";
import {
  decodeSecretData,
  encodeSecretData,
  keyOf,
  refOf,
  type Key,
  type ObjectRef,
  type RawObject,
} from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import type { Change, Cluster } from "../cluster/index.ts";
import type { Log } from "../log.ts";
import { snapshotOf } from "../model/snapshot.ts";
import type { Claim, Pool } from "./addresses.ts";
import { createDeployments, podView } from "./deployments.ts";
import { OwnedObjects, routerOf } from "./ownedObjects.ts";
import { describeRef, type ParsedResources, type ResourceError } from "./resources.ts";
import { createRunner, type PodRecord, type PodStatus } from "./runner/index.ts";
import { StatusFiles } from "./statusFiles.ts";
import { UserObjects } from "./userObjects.ts";
import { watchResources, type ResourceWatch } from "./watchFolder.ts";

export interface LocalClusterOptions {
  readonly resources: string;
  readonly state: string;
  readonly pool: Pool;
  /** replaces the program of every Kamailio container */
  readonly kamailio?: string;
  /** environment of the processes beneath the containers' own: PATH and the like */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly log: Log;
  /** after every reading of the folder that found other errors than the one before */
  readonly onResourceErrors: (errors: readonly ResourceError[]) => void;
}

export interface LocalCluster extends Cluster {
  /** drains and ends every process; `stop` alone leaves them serving */
  endAll(): Promise<void>;
}

/** Kinds that get a file below STATE/status. */
const withStatus = new Set(["SipRouter", "PbxBackend"]);

export function createLocalCluster(options: LocalClusterOptions): LocalCluster {
  const { log, state } = options;
  const now = (): Date => new Date();
  const user = new UserObjects(now);
  const owned = new OwnedObjects(state);
  const statusFiles = new StatusFiles(state);
  const listeners: ((change: Change) => void)[] = [];
  let watch: ResourceWatch | undefined;
  let lastErrors = "[]";
  let remembered: readonly RawObject[] = [];
  let snapshot: ReturnType<typeof snapshotOf> | undefined;
  let started = false;
  let starting: Promise<void> | undefined;
  let reconcileTimer: NodeJS.Immediate | undefined;

  const runner = createRunner({
    workDir: join(state, "pods"),
    objects: {
      get: (kind, namespace, name) => owned.get({ kind, namespace, name }) ?? user.get({ kind, namespace, name }),
    },
    ...(options.kamailio === undefined ? {} : { program: options.kamailio }),
    baseEnv: options.baseEnv,
    onChange: (status, gone) => podChanged(status, gone),
    log: (message) => log.warn({}, message),
  });
  const deployments = createDeployments({
    runner,
    owned,
    pool: options.pool,
    claims: () => claimsOf(user.list()),
    log: (message) => log.warn({}, message),
  });

  const tell = (change: Change): void => {
    snapshot = undefined;
    for (const listener of listeners) listener(change);
  };
  /** Soon, once for many changes. */
  const reconcileSoon = (): void => {
    if (!started || reconcileTimer !== undefined) return;
    reconcileTimer = setImmediate(() => {
      reconcileTimer = undefined;
      deployments.reconcile();
    });
  };

  const podChanged = (status: PodStatus, gone: boolean): void => {
    const object = podObject(status);
    const ref = refOf(object);
    tell(gone ? { ...ref, previous: object } : { ...ref, object });
    reconcileSoon();
  };

  const syncVolumesOf = async (changes: readonly Change[]): Promise<void> => {
    const ids = new Set(changes.filter(({ kind }) => kind === "ConfigMap" || kind === "Secret").map(describeRef));
    if (ids.size > 0) await runner.syncVolumes((record) => mounted(record).some((ref) => ids.has(describeRef(ref))));
  };

  const remove = async (ref: ObjectRef): Promise<void> => {
    const change = await owned.remove(ref);
    if (change !== undefined) tell(change);
    reconcileSoon();
  };

  /** What the garbage collector of a cluster does: objects whose owner is gone go too. */
  const collectGarbage = async (): Promise<void> => {
    for (const object of owned.list()) {
      const owners = (object.metadata.ownerReferences ?? []) as { kind: string; name: string }[];
      const orphan =
        owners.length > 0 &&
        !owners.some(({ kind, name }) => user.get({ kind, name, namespace: object.metadata.namespace }) !== undefined);
      if (orphan) await remove(refOf(object));
    }
  };

  const resourcesChanged = (resources: ParsedResources): void => {
    const errors = JSON.stringify(resources.errors);
    if (errors !== lastErrors) options.onResourceErrors(resources.errors);
    lastErrors = errors;
    // A file that is broken since the start holds objects that an earlier instance knew: they go on.
    if (resources.errors.length === 0) remembered = [];
    const present = new Set(resources.objects.map((object) => describeRef(refOf(object))));
    const kept = remembered.filter((object) => !present.has(describeRef(refOf(object))));
    const changes = user.update([...resources.objects, ...kept]);
    if (changes.length === 0) return;
    for (const change of changes) {
      if (withStatus.has(change.kind))
        void fileOf(change).catch((error: unknown) => log.warn({ err: error }, "a status file could not be written"));
      if (started) tell(change);
    }
    snapshot = undefined;
    if (!started) return;
    void syncVolumesOf(changes)
      .then(collectGarbage)
      .catch((error: unknown) => log.warn({ err: error }, "a change of the resources could not be taken over"));
    reconcileSoon();
  };
  const fileOf = (change: Change): Promise<void> =>
    change.object === undefined ? statusFiles.remove(change) : statusFiles.write(change.object);

  const store = async (object: RawObject): Promise<Change | undefined> => {
    const other = user.get(refOf(object));
    if (other !== undefined) throw notOwned(object);
    const change = await owned.put(object);
    if (change !== undefined) {
      tell(change);
      await syncVolumesOf([change]);
    }
    return change;
  };

  const start = async (): Promise<void> => {
    await owned.load();
    remembered = await statusFiles.read();
    for (const object of remembered) user.remember(object);
    watch = await watchResources(options.resources, { onUpdate: resourcesChanged });
    await runner.load();
    started = true;
    await collectGarbage();
    await runner.syncVolumes();
    deployments.reconcile();
  };

  return {
    start: () => (starting ??= start()),
    async stop() {
      watch?.stop();
      clearImmediate(reconcileTimer);
      started = false;
      await runner.release();
      await statusFiles.flush();
    },
    endAll: () => deployments.endAll(),
    onChange: (listener) => void listeners.push(listener),

    snapshot: () => (snapshot ??= snapshotOf(user.list())),
    pods: (router) => deployments.pods(router),
    workload: (router) => deployments.workload(router),
    owned: (kind, namespace, name) => owned.get({ kind, namespace, name }),

    async apply(objects) {
      for (const object of objects) await store(object);
      reconcileSoon();
    },
    async prune(router, keep) {
      const kept = new Set(keep.map(describeRef));
      for (const object of owned.of(router)) if (!kept.has(describeRef(refOf(object)))) await remove(refOf(object));
    },
    async ensureSecret(secret, generate) {
      const existing = owned.get(refOf(secret));
      const present = existing === undefined ? {} : decodeSecretData(existing);
      const made = generate(present);
      const missing = Object.entries(made).filter(([key]) => !present[key]);
      if (existing !== undefined && missing.length === 0) return present;
      const data = { ...present, ...Object.fromEntries(missing) };
      await store({ ...(existing ?? secret), data: encodeSecretData(data) });
      return data;
    },
    touchPod: (pod) => runner.syncVolumes((record) => record.uid === pod.uid),
    async writeStatus(ref, status) {
      const object = user.setStatus(ref, status);
      snapshot = undefined;
      if (object !== undefined) await statusFiles.write(object);
    },
    emit(ref, event) {
      log.info({ object: describeRef(ref), reason: event.reason, type: event.type }, event.message);
      void statusFiles.event(ref, event, now()).catch(() => undefined);
    },
  };
}

/** Routers that are not refused want addresses, in the order of their names, whether or not they run yet. */
function claimsOf(objects: readonly RawObject[]): Claim[] {
  return objects.flatMap((object) => {
    if (object.kind !== "SipRouter") return [];
    const { conditions } = (object.status ?? {}) as { conditions?: readonly { type: string; status: string }[] };
    const refused = conditions?.some(({ type, status }) => type === "Accepted" && status === "False") ?? false;
    const { replicas } = (object.spec ?? {}) as { replicas?: unknown };
    const router: Key = keyOf(object);
    return refused ? [] : [{ router, replicas: Number.isInteger(replicas) ? Number(replicas) : 2 }];
  });
}

const notOwned = (object: RawObject): OperatorError =>
  new OperatorError(
    "SIPR_NOT_OWNED",
    `${describeRef(refOf(object))} is needed by SipRouter ${routerOf(object) ?? ""} but the resources folder has an object of that name; it was left as it is`,
    { remedy: `Rename the SipRouter, or remove or rename the ${object.kind}.` },
  );

function podObject(status: PodStatus): RawObject {
  const { record } = status;
  const view = podView(status);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: record.name,
      namespace: record.namespace,
      uid: record.uid,
      labels: { ...record.labels },
      annotations: { ...record.annotations },
    },
    status: {
      podIP: record.ip,
      phase: status.phase,
      ready: view.ready,
      message: status.message,
      restartCount: status.restartCount,
    },
  };
}

/** ConfigMaps and Secrets that the pod's volumes are made of. */
function mounted(record: PodRecord): ObjectRef[] {
  const refs: ObjectRef[] = [];
  const { namespace } = record;
  for (const volume of record.spec.volumes ?? []) {
    for (const { configMap, secret } of volume.projected?.sources ?? [volume]) {
      if (configMap?.name !== undefined) refs.push({ kind: "ConfigMap", namespace, name: configMap.name });
      const name = secret?.secretName ?? secret?.name;
      if (name !== undefined) refs.push({ kind: "Secret", namespace, name });
    }
  }
  return refs;
}
