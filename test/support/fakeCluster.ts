/**
 * An in-memory cluster for unit tests, with a Deployment controller and a kubelet of a few lines: pods start from the
 * stored ConfigMap, a touched pod gets its files after a while, an untouched one within a minute. Faults by `onWrite`.
 */
import { keyOf, type Key, type ObjectRef, type RawObject } from "../../src/api/index.ts";
import type { Clock } from "../../src/controller/types.ts";
import type { Change, Cluster, EventInput, PodView } from "../../src/cluster/index.ts";
import type { Snapshot } from "../../src/model/types.ts";
import { annotations, labels } from "../../src/render/layout.ts";
import type { FakeKamailios, KamailioFiles } from "./fakeKamailio.ts";

export interface FakeClusterOptions {
  readonly clock: Clock;
  readonly kamailios: FakeKamailios;
  /** what a Kamailio loads from a data ConfigMap */
  readonly filesOf: (data: Readonly<Record<string, string>>) => KamailioFiles;
  /** from touching a pod to its new files */
  readonly syncMs?: () => number;
}

export interface WrittenEvent extends EventInput {
  readonly object: string;
}

export interface FakeCluster extends Cluster {
  put(object: RawObject): void;
  remove(kind: string, namespace: string, name: string): void;
  get(kind: string, namespace: string, name: string): RawObject | undefined;
  objects(kind: string): readonly RawObject[];
  readonly events: WrittenEvent[];
  /** every write that changed something: "apply ConfigMap default/x", "status SipRouter default/x", ... */
  readonly writes: string[];
  /** throws to refuse a write */
  onWrite: (what: string) => void;
  /** told of every status as it is written, and of the object that it is of */
  onStatus: (object: RawObject, status: object) => void;
  setPod(pod: string, change: Partial<PodView>): void;
  /** a pod is deleted and the Deployment makes another */
  deletePod(pod: string): void;
  /** as if the operator were started anew on the same cluster */
  detach(): void;
}

interface FakePod {
  view: PodView;
  readonly router: Key;
}

const SYNC_PERIOD_MS = 60_000;

export function createFakeCluster(options: FakeClusterOptions): FakeCluster {
  const { clock, kamailios } = options;
  const objects = new Map<string, RawObject>();
  const lists = new Map<string, readonly RawObject[]>();
  const pods = new Map<string, FakePod>();
  let listeners: ((change: Change) => void)[] = [];
  let serial = 0;
  let snapshot: Snapshot | undefined;

  const idOf = (kind: string, namespace: string, name: string): string => `${kind} ${namespace}/${name}`;
  const tell = (change: Change): void => {
    for (const listener of listeners) listener(change);
  };
  const store = (object: RawObject): void => {
    const { namespace, name } = object.metadata;
    const id = idOf(object.kind, namespace, name);
    const previous = objects.get(id);
    serial += 1;
    const sameSpec = previous !== undefined && JSON.stringify(previous.spec) === JSON.stringify(object.spec);
    const generation = previous === undefined ? 1 : (previous.metadata.generation ?? 1) + (sameSpec ? 0 : 1);
    const uid = previous?.metadata.uid ?? object.metadata.uid ?? `uid-${serial}`;
    const next = { ...object, metadata: { ...object.metadata, uid, generation, resourceVersion: String(serial) } };
    objects.set(id, next);
    lists.delete(object.kind);
    snapshot = undefined;
    tell({ kind: object.kind, namespace, name, object: next, ...(previous === undefined ? {} : { previous }) });
  };
  const drop = (kind: string, namespace: string, name: string): void => {
    const id = idOf(kind, namespace, name);
    const previous = objects.get(id);
    if (previous === undefined) return;
    objects.delete(id);
    lists.delete(kind);
    snapshot = undefined;
    tell({ kind, namespace, name, previous });
    if (kind === "SipRouter") collect(`${namespace}/${name}`);
  };
  /** The garbage collector: what the router owned goes. */
  const collect = (router: Key): void => {
    for (const [id, pod] of pods) if (pod.router === router) endPod(id);
    for (const object of objects.values())
      if (object.metadata.labels?.[labels.router] === router.split("/")[1])
        drop(object.kind, object.metadata.namespace, object.metadata.name);
  };
  const list = (kind: string): readonly RawObject[] => {
    const made = lists.get(kind) ?? [...objects.values()].filter((object) => object.kind === kind);
    lists.set(kind, made);
    return made;
  };

  const podChange = ({ view, router }: FakePod, gone = false): void => {
    const metadata = {
      namespace: view.namespace,
      name: view.name,
      labels: { [labels.router]: router.split("/")[1] ?? "" },
    };
    const object = { apiVersion: "v1", kind: "Pod", metadata, status: { ...view } };
    tell({ kind: "Pod", namespace: view.namespace, name: view.name, ...(gone ? { previous: object } : { object }) });
  };
  const filesOf = (router: Key): KamailioFiles => {
    const [namespace = "", name = ""] = router.split("/");
    const data = objects.get(idOf("ConfigMap", namespace, `${name}-dispatcher`))?.["data"];
    return options.filesOf((data ?? {}) as Record<string, string>);
  };
  const second = (): number => Math.floor(clock.now() / 1000);
  const syncFiles = (id: string): void => {
    const pod = pods.get(id);
    if (pod === undefined) return;
    const kamailio = kamailios.at(pod.view.ip);
    const files = filesOf(pod.router);
    if (JSON.stringify(files) === JSON.stringify(kamailio.files) && !isRewritten(pod.router, id)) return;
    kamailio.files = files;
    kamailio.filesAt = second();
  };
  const versions = new Map<string, string | undefined>();
  const isRewritten = (router: Key, id: string): boolean => {
    const [namespace = "", name = ""] = router.split("/");
    const version = objects.get(idOf("ConfigMap", namespace, `${name}-dispatcher`))?.metadata.resourceVersion;
    const known = versions.get(id);
    versions.set(id, version);
    return known !== undefined && known !== version;
  };
  const startPod = (router: Key, structureHash: string): void => {
    serial += 1;
    const [namespace = "", name = ""] = router.split("/");
    const ip = `127.70.${Math.floor(serial / 250)}.${(serial % 250) + 1}`;
    const id = `${name}-${serial}`;
    const view: PodView = {
      namespace,
      name: id,
      uid: `pod-${serial}`,
      ip,
      ready: true,
      running: true,
      terminating: false,
      structureHash,
      message: "",
    };
    const pod: FakePod = { view, router };
    kamailios.start(ip, filesOf(router), second());
    pods.set(id, pod);
    isRewritten(router, id);
    podChange(pod);
    const tick = (): void => {
      if (pods.get(id) !== pod) return;
      syncFiles(id);
      clock.setTimeout(tick, SYNC_PERIOD_MS);
    };
    clock.setTimeout(tick, SYNC_PERIOD_MS);
  };
  const endPod = (id: string): void => {
    const pod = pods.get(id);
    if (pod === undefined) return;
    pods.delete(id);
    kamailios.remove(pod.view.ip);
    podChange(pod, true);
  };
  const hashOf = (deployment: RawObject): string => {
    const { template } = deployment.spec as { template?: { metadata?: { annotations?: Record<string, string> } } };
    return template?.metadata?.annotations?.[annotations.structureHash] ?? "";
  };
  const replicasOf = (deployment: RawObject): number => (deployment.spec as { replicas?: number }).replicas ?? 0;
  const rollOut = (deployment: RawObject): void => {
    const router = keyOf(deployment);
    const own = [...pods].filter(([, pod]) => pod.router === router);
    const current = own.filter(([, pod]) => pod.view.structureHash === hashOf(deployment));
    for (let count = current.length; count < replicasOf(deployment); count += 1) startPod(router, hashOf(deployment));
    for (const [id, pod] of own) if (pod.view.structureHash !== hashOf(deployment)) endPod(id);
    for (const [id] of current.slice(replicasOf(deployment))) endPod(id);
  };

  const write = (what: string): void => {
    made.onWrite(what);
    made.writes.push(what);
  };
  const made: FakeCluster = {
    events: [],
    writes: [],
    onWrite: () => {},
    onStatus: () => {},
    put(object) {
      const live = objects.get(idOf(object.kind, object.metadata.namespace, object.metadata.name));
      store(live?.status === undefined ? object : { ...object, status: live.status });
    },
    remove: drop,
    get: (kind, namespace, name) => objects.get(idOf(kind, namespace, name)),
    objects: list,
    setPod(name, change) {
      const pod = pods.get(name);
      if (pod === undefined) return;
      pod.view = { ...pod.view, ...change };
      podChange(pod);
    },
    deletePod(name) {
      const pod = pods.get(name);
      if (pod === undefined) return;
      endPod(name);
      const deployment = objects.get(idOf("Deployment", pod.view.namespace, pod.router.split("/")[1] ?? ""));
      if (deployment !== undefined) rollOut(deployment);
    },
    detach() {
      listeners = [];
    },
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    onChange: (listener) => void listeners.push(listener),
    snapshot() {
      snapshot ??= {
        routers: list("SipRouter"),
        backends: list("PbxBackend"),
        services: list("Service"),
        endpointSlices: list("EndpointSlice"),
        secrets: list("Secret"),
        names: new Map(),
      };
      return snapshot;
    },
    pods: (router) => [...pods.values()].filter((pod) => pod.router === router).map((pod) => pod.view),
    workload(router) {
      const [namespace = "", name = ""] = router.split("/");
      const deployment = objects.get(idOf("Deployment", namespace, name));
      if (deployment === undefined) return undefined;
      const own = made.pods(router);
      const ready = own.filter((pod) => pod.ready).length;
      const replicas = replicasOf(deployment);
      return {
        rolledOut: ready === replicas && own.length === replicas,
        replicas: own.length,
        readyReplicas: ready,
        failure: "",
        addresses: ["10.96.0.1"],
      };
    },
    owned: (kind, namespace, name) => objects.get(idOf(kind, namespace, name)),
    async apply(wanted) {
      await Promise.resolve();
      for (const object of wanted) {
        const { namespace, name } = object.metadata;
        const live = objects.get(idOf(object.kind, namespace, name));
        const content = ({ metadata, status: _status, ...rest }: RawObject): string =>
          JSON.stringify([rest, metadata.labels, metadata.annotations]);
        if (live !== undefined && content(live) === content(object)) continue;
        write(`apply ${object.kind} ${namespace}/${name}`);
        store(object);
        if (object.kind === "Deployment") rollOut(object);
      }
    },
    async prune(router, keep) {
      const kept = new Set(keep.map((ref) => idOf(ref.kind, ref.namespace, ref.name)));
      for (const object of objects.values()) {
        const { namespace, name } = object.metadata;
        const own = object.metadata.labels?.[labels.router] === router.split("/")[1] && object.kind !== "Secret";
        if (!own || kept.has(idOf(object.kind, namespace, name))) continue;
        write(`delete ${object.kind} ${namespace}/${name}`);
        drop(object.kind, namespace, name);
      }
    },
    async ensureSecret(secret, generate) {
      const { namespace, name } = secret.metadata;
      const live = objects.get(idOf("Secret", namespace, name));
      const present = (live?.["stringData"] ?? {}) as Record<string, string>;
      const stringData = { ...present, ...generate(present) };
      if (Object.entries(stringData).every(([key, value]) => present[key] === value)) return present;
      write(`${live === undefined ? "create" : "mend"} Secret ${namespace}/${name}`);
      store({ ...secret, stringData });
      return stringData;
    },
    followSecret: () => Promise.resolve(),
    async touchPod(pod, revision) {
      write(`touch ${pod.name} ${revision}`);
      clock.setTimeout(() => syncFiles(pod.name), options.syncMs?.() ?? 300);
    },
    async writeStatus(ref, status) {
      const live = objects.get(idOf(ref.kind, ref.namespace, ref.name));
      if (live === undefined) return;
      write(`status ${ref.kind} ${ref.namespace}/${ref.name}`);
      made.onStatus(live, status);
      store({ ...live, status });
    },
    emit(ref: ObjectRef, event) {
      made.events.push({ ...event, object: `${ref.kind} ${ref.namespace}/${ref.name}` });
    },
  };
  return made;
}
