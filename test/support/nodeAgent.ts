/**
 * A node of a real API server, in this process: takes every pod, runs its container's command as a local process with
 * ConfigMaps and Secrets as folders, and reports the pod's status, as a kubelet would. Deployment, ReplicaSet and Pod
 * are then the real thing. EndpointSlices are not made for these pods: the API server refuses loopback addresses in them.
 *
 *   const node = await startNodeAgent({ kubeConfig, addresses: ["127.40.0.1", "127.40.0.2"], workDir });
 *   await node.kill("edge-abc-1");       // SIGKILL to all its processes: the container is restarted
 *   await node.stop();
 *
 * Like the kubelet it brings a changed ConfigMap or Secret to a running pod at once when an annotation of the pod changes,
 * else after `syncDelayMs`. A pod waits while every address is taken.
 */
import { randomBytes } from "node:crypto";
import {
  CoreV1Api,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type Informer,
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  type ObjectCache,
  type V1Pod,
} from "@kubernetes/client-node";
import { createRunner, type DataObject, type PodRecord, type PodSpec } from "../../src/standalone/runner/index.ts";
import { podStatusOf } from "./nodeAgent/status.ts";

export interface NodeAgentOptions {
  readonly kubeConfig: KubeConfig;
  /** loopback addresses that stand for pod IPs */
  readonly addresses: readonly string[];
  /** the program to run instead of each container's own */
  readonly kamailio?: string;
  /** folder for volumes, logs and process records */
  readonly workDir: string;
  /** delay until a changed ConfigMap or Secret reaches a running pod by itself (default 60000, as the kubelet's) */
  readonly syncDelayMs?: number;
  readonly nodeName?: string;
  readonly log?: (message: string) => void;
}

/** The loopback of a pod's network here: 127.90.20.1 has 127.218.20.1, and 10.63.1.1, in a network of the test's own, 127.191.1.1. */
export const loopbackOf = (podIp: string): string =>
  podIp
    .split(".")
    .map((part, at) => (at === 0 ? "127" : at === 1 ? String(Number(part) + 128) : part))
    .join(".");

/** Pods are named by `name`, or by `namespace/name` outside the namespace default. */
export interface NodeAgent {
  readonly nodeName: string;
  /** SIGKILL to every process of the pod's container; it is restarted */
  kill(pod: string): Promise<void>;
  /** SIGSTOP: it runs, but answers nothing */
  pause(pod: string): Promise<void>;
  resume(pod: string): Promise<void>;
  /** file with what the pod's container printed */
  logFile(pod: string): string;
  /** ends every process */
  stop(): Promise<void>;
}

type Watched<Kind extends KubernetesObject> = Informer<Kind> & ObjectCache<Kind>;
const keyOf = (object: KubernetesObject): string =>
  `${object.metadata?.namespace ?? ""}/${object.metadata?.name ?? ""}`;
const isCode = (error: unknown, ...codes: number[]): boolean =>
  error instanceof Error && "code" in error && codes.includes(error.code as number);

export async function startNodeAgent(options: NodeAgentOptions): Promise<NodeAgent> {
  const api = options.kubeConfig.makeApiClient(CoreV1Api);
  const nodeName = options.nodeName ?? `node-${randomBytes(3).toString("hex")}`;
  const log = options.log ?? ((): void => undefined);
  const syncDelayMs = options.syncDelayMs ?? 60_000;
  const held = new Map<string, string>();
  const annotationsSeen = new Map<string, string>();
  const timers = new Set<NodeJS.Timeout>();
  const life = { stopped: false };

  /** What the node has fetched: volumes are written from this. */
  const objects = new Map<string, DataObject>();
  const runner = createRunner({
    workDir: options.workDir,
    objects: { get: (kind, namespace, name) => objects.get(`${kind}/${namespace}/${name}`) },
    ...(options.kamailio === undefined ? {} : { program: options.kamailio }),
    baseEnv: { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
    loopbackOf: ({ ip }) => loopbackOf(ip),
    separateSeconds: false,
    onChange: ({ record }, gone) => {
      if (!gone) void report(`${record.namespace}/${record.name}`);
    },
    log,
  });

  const watch = async <Kind extends KubernetesObject>(
    path: string,
    list: () => Promise<KubernetesListObject<Kind>>,
    on: { change(object: Kind): void; remove(object: Kind): void },
  ): Promise<Watched<Kind>> => {
    const informer = makeInformer(options.kubeConfig, path, list);
    informer.on("change", on.change);
    informer.on("delete", on.remove);
    informer.on("error", () => {
      if (!life.stopped) later(200, () => void informer.start().catch(() => undefined));
    });
    await informer.start();
    return informer;
  };
  const later = (milliseconds: number, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      if (!life.stopped) run();
    }, milliseconds);
    timers.add(timer);
  };

  // Volumes ------------------------------------------------------------------------------------------------------------

  /** Fetches what the pod mounts and writes its volumes. */
  const syncPod = async (pod: V1Pod): Promise<void> => {
    const namespace = pod.metadata?.namespace ?? "default";
    for (const [kind, name] of referencesOf(pod.spec as unknown as PodSpec)) {
      const request = { namespace, name };
      const reading = kind === "Secret" ? api.readNamespacedSecret(request) : api.readNamespacedConfigMap(request);
      const object = await reading.catch((error: unknown) => {
        if (isCode(error, 404)) return undefined;
        throw error;
      });
      if (object === undefined) objects.delete(`${kind}/${namespace}/${name}`);
      else objects.set(`${kind}/${namespace}/${name}`, object as unknown as DataObject);
    }
    await runner.syncVolumes((record) => `${record.namespace}/${record.name}` === keyOf(pod));
  };
  const trySync = (pod: V1Pod): void =>
    void syncPod(pod).catch((error: unknown) => {
      log(`volumes of ${keyOf(pod)}: ${String(error)}`);
      later(500, () => trySync(pod));
    });
  const dataChanged =
    (kind: string) =>
    (object: KubernetesObject): void => {
      const delay = objects.has(`${kind}/${keyOf(object)}`) ? syncDelayMs : 0;
      const users = (): V1Pod[] =>
        pods.list().filter((pod) => {
          const same = pod.metadata?.namespace === object.metadata?.namespace;
          return (
            same &&
            mine(pod) &&
            referencesOf(pod.spec as unknown as PodSpec).some(
              ([of, name]) => of === kind && name === object.metadata?.name,
            )
          );
        });
      if (ready && users().length > 0) later(delay, () => users().forEach(trySync));
    };

  // Pods ---------------------------------------------------------------------------------------------------------------

  const mine = (pod: V1Pod): boolean => pod.spec?.nodeName === nodeName;
  const live = (key: string): V1Pod | undefined => pods.list().find((pod) => keyOf(pod) === key);

  const podChanged = (pod: V1Pod): void => {
    if (life.stopped) return;
    if (pod.spec?.nodeName === undefined || pod.spec.nodeName === "") void bind(pod);
    else if (!mine(pod)) return;
    else if (pod.metadata?.deletionTimestamp !== undefined) void end(pod);
    else if (pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed") begin(pod);
  };

  const bind = async (pod: V1Pod): Promise<void> => {
    const { name = "", namespace = "default" } = pod.metadata ?? {};
    const body = { metadata: { name }, target: { apiVersion: "v1", kind: "Node", name: nodeName } };
    await api.createNamespacedPodBinding({ name, namespace, body }).catch((error: unknown) => {
      // 404, 409: gone, or bound in the meantime. The client cannot read the answer, a Status, as a Binding.
      if (!isCode(error, 404, 409)) log(`bind ${keyOf(pod)}: ${String(error)}`);
    });
  };

  const begin = (pod: V1Pod): void => {
    const key = keyOf(pod);
    const annotations = JSON.stringify(pod.metadata?.annotations ?? {});
    const before = annotationsSeen.get(key);
    annotationsSeen.set(key, annotations);
    if (held.has(key)) {
      if (before !== annotations) trySync(pod);
      return;
    }
    const taken = new Set(held.values());
    const ip =
      pod.spec?.hostNetwork === true ? options.addresses[0] : options.addresses.find((address) => !taken.has(address));
    if (ip === undefined) return; // looked at again when an address is given back
    held.set(key, ip);
    void startPod(pod, ip);
  };
  const startPod = async (pod: V1Pod, ip: string): Promise<void> => {
    await syncPod(pod).catch((error: unknown) => log(`volumes of ${keyOf(pod)}: ${String(error)}`));
    const current = live(keyOf(pod));
    if (
      life.stopped ||
      current?.metadata?.uid !== pod.metadata?.uid ||
      current?.metadata?.deletionTimestamp !== undefined
    ) {
      if (current === undefined) giveBack(keyOf(pod));
      return;
    }
    runner.run(recordOf(pod, ip));
    await report(keyOf(pod));
  };

  const ending = new Set<string>();
  const end = async (pod: V1Pod): Promise<void> => {
    const { name = "", namespace = "default", uid = "" } = pod.metadata ?? {};
    if (ending.has(uid)) return;
    ending.add(uid);
    await runner.terminate(namespace, name, pod.metadata?.deletionGracePeriodSeconds ?? 30);
    giveBack(keyOf(pod));
    const body = { gracePeriodSeconds: 0, preconditions: { uid } };
    for (let gone = false; !gone && !life.stopped;) {
      gone = await api.deleteNamespacedPod({ name, namespace, body }).then(
        () => true,
        (error: unknown) => isCode(error, 404, 409),
      );
      if (!gone) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  };
  const removed = async (pod: V1Pod): Promise<void> => {
    const { name = "", namespace = "default", uid = "" } = pod.metadata ?? {};
    if (runner.status(namespace, name)?.record.uid !== uid) return;
    await runner.terminate(namespace, name, 0);
    giveBack(keyOf(pod));
  };
  const giveBack = (key: string): void => {
    held.delete(key);
    annotationsSeen.delete(key);
    for (const pod of pods.list()) if (mine(pod) && !held.has(keyOf(pod)) && keyOf(pod) !== key) podChanged(pod);
  };

  // Status: one writer per pod, the latest wins ------------------------------------------------------------------------

  const reporting = new Map<string, "once" | "again">();
  const report = async (key: string): Promise<void> => {
    if (reporting.has(key)) {
      reporting.set(key, "again");
      return;
    }
    do {
      reporting.set(key, "once");
      await writePodStatus(key).catch((error: unknown) => {
        if (isCode(error, 404, 409, 422)) return;
        log(`status of ${key}: ${String(error)}`);
        later(300, () => void report(key));
      });
    } while (reporting.get(key) === "again" && !life.stopped);
    reporting.delete(key);
  };
  const lastStatus = new Map<string, ReturnType<typeof podStatusOf>>();
  const writePodStatus = async (key: string): Promise<void> => {
    const [namespace = "", name = ""] = key.split("/");
    const status = runner.status(namespace, name);
    if (status === undefined || life.stopped) return;
    const id = `${key}/${status.record.uid}`;
    const written = podStatusOf(status, lastStatus.get(id), new Date());
    lastStatus.set(id, written);
    const body = { metadata: { uid: status.record.uid }, status: written };
    await api.patchNamespacedPodStatus(
      { namespace, name, body },
      setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
    );
  };

  // Start and end ------------------------------------------------------------------------------------------------------

  let ready = false;
  await registerNode(api, nodeName, options.addresses[0] ?? "127.0.0.1");
  const pods = await watch("/api/v1/pods", () => api.listPodForAllNamespaces(), {
    change: (pod) => later(0, () => podChanged(pod)),
    remove: (pod) => void removed(pod),
  });
  const data = [
    await watch("/api/v1/configmaps", () => api.listConfigMapForAllNamespaces(), {
      change: dataChanged("ConfigMap"),
      remove: dataChanged("ConfigMap"),
    }),
    await watch("/api/v1/secrets", () => api.listSecretForAllNamespaces(), {
      change: dataChanged("Secret"),
      remove: dataChanged("Secret"),
    }),
  ];
  ready = true;

  const split = (pod: string): [string, string] => {
    const [first = "", second] = pod.split("/");
    return second === undefined ? ["default", first] : [first, second];
  };
  return {
    nodeName,
    kill: (pod) => runner.signal(...split(pod), "SIGKILL"),
    pause: (pod) => runner.signal(...split(pod), "SIGSTOP"),
    resume: (pod) => runner.signal(...split(pod), "SIGCONT"),
    logFile: (pod) => runner.logFile(...split(pod)),
    async stop() {
      life.stopped = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all([pods.stop(), ...data.map((informer) => informer.stop())]);
      await Promise.all(runner.statuses().map(({ record }) => runner.terminate(record.namespace, record.name, 0)));
    },
  };
}

function referencesOf(spec: PodSpec): ["ConfigMap" | "Secret", string][] {
  const found: ["ConfigMap" | "Secret", string][] = [];
  for (const volume of spec.volumes ?? []) {
    for (const source of volume.projected?.sources ?? [volume]) {
      if (source.configMap?.name !== undefined) found.push(["ConfigMap", source.configMap.name]);
      const secret = source.secret?.secretName ?? source.secret?.name;
      if (secret !== undefined) found.push(["Secret", secret]);
    }
  }
  for (const variable of spec.containers.flatMap((container) => container.env ?? [])) {
    const { secretKeyRef, configMapKeyRef } = variable.valueFrom ?? {};
    if (secretKeyRef !== undefined) found.push(["Secret", secretKeyRef.name]);
    if (configMapKeyRef !== undefined) found.push(["ConfigMap", configMapKeyRef.name]);
  }
  return found;
}

const recordOf = (pod: V1Pod, ip: string): PodRecord => ({
  namespace: pod.metadata?.namespace ?? "default",
  name: pod.metadata?.name ?? "",
  uid: pod.metadata?.uid ?? "",
  ip,
  labels: pod.metadata?.labels ?? {},
  annotations: pod.metadata?.annotations ?? {},
  spec: pod.spec as unknown as PodSpec,
});

async function registerNode(api: CoreV1Api, name: string, address: string): Promise<void> {
  const body = { metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } } };
  await api.createNode({ body }).catch((error: unknown) => {
    if (!isCode(error, 409)) throw error;
  });
  const now = new Date();
  const condition = {
    type: "Ready",
    status: "True",
    reason: "KubeletReady",
    message: "",
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  };
  const resources = { cpu: "64", memory: "256Gi", pods: "500" };
  const status = {
    conditions: [condition],
    addresses: [{ type: "InternalIP", address }],
    capacity: resources,
    allocatable: resources,
  };
  await api.patchNodeStatus({ name, body: { status } }, setHeaderOptions("Content-Type", PatchStrategy.MergePatch));
  // Without this taint removal a new node takes no pods (admission TaintNodesByCondition).
  await api.patchNode(
    { name, body: { spec: { taints: null } } },
    setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
  );
}
