/**
 * standalone/runner: a small kubelet for pods of one container, run as local processes with addresses given to them. It lays out
 * volumes, starts, supervises, probes and ends processes; a later instance with the same folder takes over what runs.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { labels } from "../../render/layout.ts";
import { LocalPod, type PodOptions } from "./pod.ts";
import { logFileOf, readPods, readTermination } from "./podFolder.ts";
import { podKey, type ObjectLookup, type PodRecord, type PodStatus } from "./types.ts";

export * from "./types.ts";
export { readFileIfThere, writeFileAtomic } from "./files.ts";
export { mountedObjects } from "./volumes.ts";
export { identifySelf, isAlive, type ProcessIdentity } from "./proc.ts";

export interface RunnerOptions {
  /** one folder per pod beneath it: `<namespace>/<name>` */
  readonly workDir: string;
  readonly objects: ObjectLookup;
  /** replaces the program of every container */
  readonly program?: string;
  readonly baseEnv: Readonly<Record<string, string>>;
  /** what stands for loopback in a pod; default: its own address, where Kamailio listens once */
  readonly loopbackOf?: (record: PodRecord) => string;
  /** see WriteOptions in volumes.ts; default true */
  readonly separateSeconds?: boolean;
  readonly backoff?: PodOptions["backoff"];
  /** after every change of a pod's status; `gone` once it has ended for good */
  readonly onChange: (status: PodStatus, gone: boolean) => void;
  readonly log: (message: string) => void;
}

export interface Runner {
  /** Takes over the pods that an earlier instance left, those that it was ending included. */
  load(): Promise<void>;
  run(record: PodRecord): void;
  status(namespace: string, name: string): PodStatus | undefined;
  statuses(): readonly PodStatus[];
  /** brings the volumes of the pods for which `filter` holds (default: all) to the objects of now */
  syncVolumes(filter?: (record: PodRecord) => boolean): Promise<void>;
  /** resolves when the pod is gone */
  terminate(namespace: string, name: string, graceSeconds?: number): Promise<void>;
  /** to every process of the pod: SIGSTOP, SIGCONT, SIGKILL */
  signal(namespace: string, name: string, signal: NodeJS.Signals): Promise<void>;
  logFile(namespace: string, name: string): string;
  /** stops supervising; every process goes on */
  release(): Promise<void>;
}

const DEFAULT_BACKOFF = { baseMs: 1000, maxMs: 30_000, resetMs: 60_000 };
const SETTLE_MS = 3000;

export function createRunner(options: RunnerOptions): Runner {
  const pods = new Map<string, LocalPod>();
  const folderOf = (pod: { namespace: string; name: string }): string => join(options.workDir, pod.namespace, pod.name);

  /** A headless Service here is of the pods of one Deployment: another of them, else the pod itself. */
  const peerOf = (record: PodRecord): string => {
    const router = record.labels[labels.router];
    const others = [...pods.values()]
      .map((pod) => pod.status)
      .filter(({ record: one, terminating }) => !terminating && one.uid !== record.uid)
      .filter(({ record: one }) => one.namespace === record.namespace && one.labels[labels.router] === router)
      .toSorted((a, b) => Number(b.running) - Number(a.running));
    return others[0]?.record.ip ?? record.ip;
  };

  const make = (record: PodRecord, onlyAdopt = false): LocalPod => {
    const pod = new LocalPod(record, {
      folder: folderOf(record),
      objects: options.objects,
      addressOf: (name) => (name.endsWith(`.${record.namespace}.svc`) ? peerOf(record) : undefined),
      loopback: options.loopbackOf?.(record) ?? record.ip,
      baseEnv: options.baseEnv,
      separateSeconds: options.separateSeconds ?? true,
      backoff: options.backoff ?? DEFAULT_BACKOFF,
      log: options.log,
      onChange: (status) => options.onChange(status, false),
      ...(options.program === undefined ? {} : { program: options.program }),
    });
    pods.set(podKey(record), pod);
    pod.start(onlyAdopt);
    return pod;
  };
  const find = (namespace: string, name: string): LocalPod | undefined => pods.get(podKey({ namespace, name }));

  const terminate = async (namespace: string, name: string, graceSeconds?: number): Promise<void> => {
    const pod = find(namespace, name);
    if (pod === undefined) return;
    await pod.terminate(graceSeconds);
    if (pods.get(podKey(pod.record)) !== pod) return;
    pods.delete(podKey(pod.record));
    options.onChange(pod.status, true);
  };

  return {
    async load() {
      await mkdir(options.workDir, { recursive: true, mode: 0o700 });
      const settled: Promise<void>[] = [];
      for (const { record, folder } of await readPods(options.workDir)) {
        const until = await readTermination(folder);
        const pod = make(record, until !== undefined);
        if (until === undefined) settled.push(pod.settled);
        else void terminate(record.namespace, record.name, Math.max(0, (until - Date.now()) / 1000));
      }
      await Promise.race([Promise.all(settled), new Promise((resolve) => setTimeout(resolve, SETTLE_MS).unref())]);
    },
    run(record) {
      if (find(record.namespace, record.name) === undefined) make(record);
    },
    status: (namespace, name) => find(namespace, name)?.status,
    statuses: () => [...pods.values()].map((pod) => pod.status),
    async syncVolumes(filter = () => true) {
      const due = [...pods.values()].filter((pod) => filter(pod.record));
      await Promise.all(due.map((pod) => pod.syncVolumes()));
      for (const pod of due) pod.retry();
    },
    terminate,
    signal: async (namespace, name, signal) => find(namespace, name)?.signal(signal),
    logFile: (namespace, name) => logFileOf(folderOf({ namespace, name })),
    async release() {
      await Promise.all([...pods.values()].map((pod) => pod.release()));
      pods.clear();
    },
  };
}
