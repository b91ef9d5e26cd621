/**
 * kube: the {@link Cluster} on the Kubernetes API: caches fed by watches (`reflector.ts`, `caches.ts`), writes by server-side
 * apply (`apply.ts`, `status.ts`, `events.ts`) by whoever leads (`leader.ts`), all on one connection (`connection.ts`).
 */
import { hostname } from "node:os";
import type { KubeConfig } from "@kubernetes/client-node";
import type { Key, ObjectRef, RawObject } from "../api/index.ts";
import { annotations, FIELD_MANAGER, labels, MANAGED_BY } from "../render/layout.ts";
import { Applier, MERGE } from "./apply.ts";
import { Caches } from "./caches.ts";
import type { Change, Cluster, PodView } from "../cluster/index.ts";
import { createConnection } from "./connection.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import { stableStringify } from "./drift.ts";
import { EventRecorder } from "./events.ts";
import { isStatus } from "./failure.ts";
import { kindInfo, ownedKinds, pathOf, userKinds } from "./kinds.ts";
import type { Log } from "../log.ts";
import { OperatorShell } from "./operator.ts";
import type { WatchSpec } from "./operator.ts";
import { SecretReferences } from "./secretReferences.ts";
import { watchServedSchema } from "./servedSchema.ts";
import { writeStatus } from "./status.ts";
import { podView, workloadView } from "./views.ts";

export interface KubeClusterOptions {
  readonly kubeConfig: KubeConfig;
  /** absent or empty: all namespaces; else no request leaves these */
  readonly namespaces?: readonly string[];
  readonly log: Log;
  /** of this process, for Events; default: host name */
  readonly instance?: string;
  readonly quietMs?: number;
  readonly onRequest?: ConnectionOptions["onRequest"];
}

/** What does not work at this moment, e.g. a list that is refused. */
export interface WatchTrouble {
  readonly kind: string;
  readonly error: Error;
}

export interface KubeCluster extends Cluster {
  readonly connection: Connection;
  /** the first list of everything is in */
  readonly isSynced: boolean;
  troubles(): readonly WatchTrouble[];
  /** Leadership is lost: from now on nothing is written. */
  fence(reason: string): void;
}

const watchesOf = (namespaces: readonly string[]): readonly WatchSpec[] => {
  const labelSelector = `${labels.managedBy}=${MANAGED_BY}`;
  const kinds: readonly Omit<WatchSpec, "namespace">[] = [
    ...userKinds.map((kind) => ({ info: kindInfo(kind) })),
    ...ownedKinds.map((kind) => ({ info: kindInfo(kind), labelSelector })),
  ];
  const places = namespaces.length > 0 ? namespaces : [undefined];
  return kinds.flatMap((kind) => places.map((namespace) => ({ ...kind, namespace })));
};

/**
 * When the watch brings what we wrote ourselves: what was written is known, and of an object of the user the status
 * alone was written. (After a break of the watch its spec may have changed in the same step.)
 */
const tellsNothing = (object: RawObject, previous: RawObject | undefined): boolean => {
  if (!isReferrer(object)) return object.kind !== "Pod";
  const asked = ({ spec, metadata }: RawObject): string =>
    stableStringify({ spec, metadata: { ...metadata, resourceVersion: undefined } });
  return previous !== undefined && asked(object) === asked(previous);
};

const isReferrer = (object: RawObject): boolean => object.kind === "SipRouter" || object.kind === "PbxBackend";
/** how long a change waits for Secrets that it is the first to name */
const SECRET_WAIT_MS = 3000;

export const createKubeCluster = (options: KubeClusterOptions): KubeCluster => {
  const { log } = options;
  const connection = createConnection(options.kubeConfig, options.onRequest ? { onRequest: options.onRequest } : {});
  const namespaces = [...new Set(options.namespaces)];
  const listeners: ((change: Change) => void)[] = [];

  const tell = (change: Change): void => {
    for (const listener of listeners) listener(change);
  };
  const shell = new OperatorShell({
    kubeConfig: options.kubeConfig,
    connection,
    watches: watchesOf(namespaces),
    log,
    quietMs: options.quietMs,
    onEvent: (event, previous) => {
      const object = event.object as unknown as RawObject;
      const deleted = event.type === "DELETED";
      caches.changed(object, deleted, previous);
      const { kind, metadata } = object;
      const change: Change = {
        kind,
        namespace: metadata.namespace,
        name: metadata.name,
        ...(deleted ? {} : { object }),
        ...(previous ? { previous } : {}),
      };
      if (deleted) {
        applier.forget(object);
        if (isReferrer(object)) references.drop(object);
      }
      if (!deleted && tellsNothing(object, previous)) {
        if (caches.isOwn(object)) return;
        // the watch may be faster than the answer
        const writing = caches.writing(object);
        if (writing) return void writing.then(() => caches.isOwn(object) || tell(change));
      }
      const waiting = !deleted && isReferrer(object) ? references.follow(object) : undefined;
      if (!waiting) return tell(change);
      void Promise.race([waiting, timeout(SECRET_WAIT_MS)]).then(() => {
        // it may have changed again meanwhile, and that was told
        const newest = find(change);
        if (newest) tell({ ...change, object: newest });
      });
    },
  });
  const caches = new Caches(shell);
  const applier = new Applier(connection, caches, log);
  const references = new SecretReferences(shell, (key) => caches.forget("Secret", key));
  const find = (ref: ObjectRef): RawObject | undefined => caches.get(ref.kind, ref.namespace, ref.name);
  const events = new EventRecorder({ connection, log, instance: options.instance ?? hostname(), find });
  const servedSchema = watchServedSchema(connection, log);
  let isSynced = false;
  let starting: Promise<void> | undefined;
  const start = async (): Promise<void> => {
    references.watchOwn(namespaces);
    await shell.start();
    await shell.synced();
    // the Secrets that the first lists name
    await Promise.race([shell.synced(), timeout(SECRET_WAIT_MS)]);
    // with an older definition every write of a status would lose a part
    await servedSchema.current();
    isSynced = true;
  };

  return {
    connection,
    get isSynced() {
      return isSynced;
    },
    troubles: () => [
      ...[...userKinds, ...ownedKinds, "Secret"].flatMap((kind) =>
        shell.reflectors(kind).flatMap(({ error }) => (error ? [{ kind, error }] : [])),
      ),
      ...(servedSchema.error ? [{ kind: "CustomResourceDefinition", error: servedSchema.error }] : []),
    ],
    fence: (reason) => connection.fence(reason),

    start: () => (starting ??= start()),
    async stop() {
      servedSchema.stop();
      await events.flush();
      await shell.stopAndWait();
      connection.close();
    },
    onChange: (listener) => void listeners.push(listener),

    snapshot: () => caches.snapshot(),
    pods: (router) => caches.owned("Pod", router).map(podView),
    workload(router: Key) {
      const [deployment] = caches.owned("Deployment", router);
      const { namespace, name } = deployment?.metadata ?? {};
      if (!deployment || namespace === undefined || name === undefined) return undefined;
      const newest = caches.get("Deployment", namespace, name) ?? deployment;
      return workloadView(newest, caches.get("Service", namespace, name));
    },
    owned: (kind, namespace, name) => caches.get(kind, namespace, name),

    apply: (objects) => applier.apply(objects),
    prune: (router, keep) => applier.prune(router, keep),
    async ensureSecret(secret, generate) {
      try {
        return await applier.ensureSecret(secret, generate);
      } catch (error) {
        if ((error as { code?: string }).code === "SIPR_NOT_OWNED") references.followForeign(secret);
        throw error;
      }
    },
    followSecret: async (secret) => {
      const waiting = references.followOwn(secret);
      if (waiting) await Promise.race([waiting, timeout(SECRET_WAIT_MS)]);
    },
    touchPod: (pod, revision) => touchPod(connection, caches, pod, revision),
    writeStatus: (ref, status) => writeStatus(connection, caches, ref, status),
    emit: (ref, event) => events.emit(ref, event),
  };
};

const timeout = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds).unref());

const touchPod = async (connection: Connection, caches: Caches, pod: PodView, revision: string): Promise<void> => {
  const live = caches.get("Pod", pod.namespace, pod.name);
  if (!live || live.metadata.annotations?.[annotations.revision] === revision) return;
  const body = { metadata: { uid: pod.uid, annotations: { [annotations.revision]: revision } } };
  try {
    const path = pathOf(kindInfo("Pod"), pod.namespace, pod.name);
    caches.wrote(
      (await connection.request("PATCH", path, {
        query: { fieldManager: FIELD_MANAGER },
        body,
        contentType: MERGE,
      })) as RawObject,
    );
  } catch (error) {
    // gone, or another pod of that name by now
    if (!isStatus(error, 404, 409)) throw error;
  }
};
