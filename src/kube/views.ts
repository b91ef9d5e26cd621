/** Kubernetes objects as the controller sees them. Pure. */
import type { Key, RawObject } from "../api/index.ts";
import { KAMAILIO_CONTAINER } from "../model/podTemplate.ts";
import { annotations, labels } from "../render/layout.ts";
import type { PodView, WorkloadView } from "../cluster/index.ts";

interface ContainerStatus {
  readonly name: string;
  readonly state?: {
    readonly running?: object;
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly reason?: string; readonly message?: string; readonly exitCode?: number };
  };
}
interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}
interface PodStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly podIP?: string;
  readonly conditions?: readonly StatusCondition[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
}
interface DeploymentStatus {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly readyReplicas?: number;
  readonly availableReplicas?: number;
  readonly conditions?: readonly StatusCondition[];
}

/** The router whose it is, by its label. */
export const routerOf = ({ metadata }: RawObject): Key | undefined => {
  const name = metadata.labels?.[labels.router];
  return name === undefined ? undefined : `${metadata.namespace}/${name}`;
};

const words = (...parts: readonly (string | undefined)[]): string => parts.filter((part) => part).join(": ");

const troubleOf = (status: PodStatus): string => {
  for (const { state } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) {
    const { waiting, terminated } = state ?? {};
    // these two are the usual steps of a start
    if (waiting && waiting.reason !== "ContainerCreating" && waiting.reason !== "PodInitializing") {
      return words(waiting.reason, waiting.message);
    }
    if (terminated && terminated.exitCode !== 0)
      return words(terminated.reason, terminated.message ?? `exit code ${terminated.exitCode}`);
  }
  if (status.phase === "Failed") return words(status.reason ?? "Failed", status.message);
  const scheduled = status.conditions?.find((condition) => condition.type === "PodScheduled");
  return scheduled?.status === "False" ? words(scheduled.reason, scheduled.message) : "";
};

const known = new WeakMap<RawObject, PodView>();

/** The same view of the same object. */
export const podView = (pod: RawObject): PodView => {
  const view = known.get(pod) ?? viewOf(pod);
  known.set(pod, view);
  return view;
};

const viewOf = (pod: RawObject): PodView => {
  const status: PodStatus = pod.status ?? {};
  const container = status.containerStatuses?.find(({ name }) => name === KAMAILIO_CONTAINER);
  return {
    namespace: pod.metadata.namespace,
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? "",
    ip: status.podIP ?? "",
    ready: status.conditions?.some(({ type, status: value }) => type === "Ready" && value === "True") ?? false,
    running: container?.state?.running !== undefined,
    terminating: pod.metadata.deletionTimestamp !== undefined,
    structureHash: pod.metadata.annotations?.[annotations.structureHash] ?? "",
    message: troubleOf(status),
  };
};

const ingressOf = (service: RawObject | undefined): readonly string[] => {
  const status = service?.status as
    | { loadBalancer?: { ingress?: readonly { ip?: string; hostname?: string }[] } }
    | undefined;
  return (status?.loadBalancer?.ingress ?? [])
    .map(({ ip, hostname }) => ip ?? hostname ?? "")
    .filter((address) => address);
};

const addressesOf = (service: RawObject | undefined): readonly string[] => {
  const ingress = ingressOf(service);
  if (ingress.length > 0) return ingress;
  const spec = service?.spec as { clusterIPs?: readonly string[]; clusterIP?: string } | undefined;
  return (spec?.clusterIPs ?? [spec?.clusterIP ?? ""]).filter((address) => address !== "" && address !== "None");
};

/** What `addresses` shows meanwhile is for callers inside the cluster only. */
const noteOf = (service: RawObject | undefined): string | undefined =>
  (service?.spec as { type?: string } | undefined)?.type === "LoadBalancer" && ingressOf(service).length === 0
    ? `Service ${service?.metadata.name} has no address of a load balancer yet: look at its events.`
    : undefined;

/** @param named the Service of the router's name; one that is somebody else's is not shown */
export const workloadView = (deployment: RawObject, named: RawObject | undefined): WorkloadView => {
  const service = named !== undefined && routerOf(named) === routerOf(deployment) ? named : undefined;
  const note = noteOf(service);
  const status: DeploymentStatus = deployment.status ?? {};
  const wanted = (deployment.spec as { replicas?: number } | undefined)?.replicas ?? 1;
  const current = (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
  const counts = [status.replicas ?? 0, status.updatedReplicas ?? 0, status.availableReplicas ?? 0];
  const stuck = status.conditions?.find(({ type, status: value }) => type === "Progressing" && value === "False");
  return {
    rolledOut: current && counts.every((count) => count === wanted),
    replicas: status.replicas ?? 0,
    readyReplicas: status.readyReplicas ?? 0,
    failure: stuck ? words(stuck.reason, stuck.message) : "",
    addresses: addressesOf(service),
    ...(note === undefined ? {} : { note }),
  };
};
