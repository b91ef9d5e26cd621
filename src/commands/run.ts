/**
 * `run`: the operator on a Kubernetes API server, in the cluster or outside of it. Caches are filled first (so that a
 * standby takes over with warm ones), then leadership is awaited, then the controller starts.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { hostname } from "node:os";
import { randomUUID } from "node:crypto";
import type { KubeConfig } from "@kubernetes/client-node";
import { startController } from "../controller/controller.ts";
import { OperatorError } from "../errors.ts";
import { createControl } from "../kamailio/control.ts";
import { loadKubeConfig } from "../kube/kubeConfig.ts";
import { createKubeCluster } from "../kube/kubeCluster.ts";
import type { KubeCluster } from "../kube/kubeCluster.ts";
import { LeaderElection } from "../kube/leader.ts";
import { DEFAULT_IMAGE } from "../render/image.ts";
import { createLog } from "../server/log.ts";
import type { Logger } from "../server/log.ts";
import { createMetrics } from "../server/metrics.ts";
import type { OperatorMetrics } from "../server/metrics.ts";
import { aborted, checkLogLevel, type Command, type CommandIO } from "./io.ts";
import { startServers, type PortOptions } from "./servers.ts";

export interface RunOptions extends PortOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: readonly string[];
  readonly leaderElect?: boolean;
  readonly leaderElectNamespace?: string;
  /** name of the Lease; operators that share a namespace and serve different ones need different names */
  readonly leaderElectName?: string;
  readonly kamailioImage?: string;
  readonly logLevel: string;
}

const LEASE = "sip-router-operator";
/** where the API server's own addresses are when the pod has a service account */
const IN_CLUSTER_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

const noCluster =
  "Name a kubeconfig with --kubeconfig (and a context of it with --context), set KUBECONFIG, or run in a cluster.";

const leaseNamespace = (options: RunOptions, config: KubeConfig): string => {
  if (options.leaderElectNamespace !== undefined) return options.leaderElectNamespace;
  if (existsSync(IN_CLUSTER_NAMESPACE)) return readFileSync(IN_CLUSTER_NAMESPACE, "utf8").trim();
  return options.namespace?.[0] ?? config.getContextObject(config.getCurrentContext())?.namespace ?? "default";
};

const notReady = (cluster: KubeCluster, metrics: OperatorMetrics): readonly string[] => {
  const troubles = cluster.troubles();
  const counts = new Map<string, number>();
  for (const { kind } of troubles) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  metrics.setWatchTroubles(counts);
  return [
    ...(cluster.isSynced ? [] : ["the caches are not filled yet"]),
    ...troubles.map(({ error }) => error.message),
  ];
};

/**
 * What a start leaves behind V8 would keep for as long as there is little to do: of a thousand routers a hundred MiB. Only
 * with `--expose-gc`, as in the image; once.
 */
const collectGarbage = (log: Logger): void => {
  if (globalThis.gc === undefined) return;
  const begun = performance.now();
  globalThis.gc({ type: "major", flavor: "last-resort" });
  log.debug({ milliseconds: Math.round(performance.now() - begun) }, "what the start left behind is freed");
};

/** Throws OperatorError SIPR_LEADERSHIP_LOST: the process is to end at once and to be started again. */
const lead = async (
  cluster: KubeCluster,
  election: LeaderElection | undefined,
  parts: {
    readonly options: RunOptions;
    readonly io: CommandIO;
    readonly log: Logger;
    readonly metrics: OperatorMetrics;
  },
): Promise<void> => {
  const { options, io, log, metrics } = parts;
  if (election && !(await election.acquire(io.signal))) return;
  metrics.setLeader(true);
  const control = createControl();
  const image = options.kamailioImage ?? io.env["KAMAILIO_IMAGE"] ?? DEFAULT_IMAGE;
  const controller = await startController({ cluster, control, log, defaults: { image }, metrics: metrics.controller });
  log.info({ image }, "started");
  void controller.settled().then(() => collectGarbage(log));
  const lost = await Promise.race([aborted(io.signal), election?.lost ?? new Promise<never>(() => {})]);
  metrics.setLeader(false);
  if (lost !== undefined) {
    cluster.fence(lost);
    // a pod that the new leader changes too would get two requests at a time
    control.fence(lost);
  }
  await controller.stop();
  control.close();
  if (lost === undefined) return election?.release();
  throw new OperatorError("SIPR_LEADERSHIP_LOST", `Leadership was lost: ${lost}`, {
    remedy: "Start the process again: it stands by or leads. If this happens often, look at the API server's load.",
  });
};

export const run: Command<RunOptions> = async (options, io) => {
  checkLogLevel(options.logLevel);
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const log = createLog(options.logLevel, io.stderr);
  const kubeConfig = loadKubeConfig(options, noCluster, io);
  const metrics = createMetrics(version);
  const namespaces = options.namespace ?? [];
  const cluster = createKubeCluster({
    kubeConfig,
    namespaces,
    log,
    onRequest: (info, status, seconds) => metrics.request(info.verb, info.resource, status, seconds),
  });
  const served = { ready: () => notReady(cluster, metrics), registry: metrics.registry };
  const server = await startServers(options, cluster, served, log);
  const from = cluster.connection.server;
  log.info(
    {
      version,
      server: from,
      namespaces: namespaces.length > 0 ? namespaces : "all",
      port: server.port,
      securePort: server.securePort,
    },
    "starting",
  );
  const election = options.leaderElect
    ? new LeaderElection({
        connection: cluster.connection,
        log,
        namespace: leaseNamespace(options, kubeConfig),
        name: options.leaderElectName ?? LEASE,
        identity: `${hostname()}_${randomUUID()}`,
      })
    : undefined;
  try {
    await Promise.race([cluster.start(), aborted(io.signal)]);
    if (!io.signal.aborted) await lead(cluster, election, { options, io, log, metrics });
  } finally {
    await cluster.stop();
    await server.stop();
    log.info({}, "stopped");
  }
  return 0;
};
