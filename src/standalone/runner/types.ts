/** The part of a Kubernetes Pod that the runner understands; everything else in it is ignored. */

/** A ConfigMap or a Secret. */
export interface DataObject {
  readonly [field: string]: unknown;
}

export interface KeyToPath {
  readonly key: string;
  readonly path: string;
}

export interface ObjectSource {
  readonly name?: string;
  readonly secretName?: string;
  readonly optional?: boolean;
  readonly items?: readonly KeyToPath[];
}

export interface ProjectedSource {
  readonly configMap?: ObjectSource;
  readonly secret?: ObjectSource;
}

export interface Volume {
  readonly name: string;
  readonly configMap?: ObjectSource;
  readonly secret?: ObjectSource;
  readonly emptyDir?: object;
  readonly projected?: { readonly sources?: readonly ProjectedSource[] };
}

export interface KeyRef {
  readonly name: string;
  readonly key: string;
  readonly optional?: boolean;
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: KeyRef;
    readonly configMapKeyRef?: KeyRef;
  };
}

export interface Probe {
  readonly httpGet?: { readonly path?: string; readonly port: number | string; readonly host?: string };
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly exec?: { readonly command: readonly string[] };
  readonly initialDelaySeconds?: number;
  readonly periodSeconds?: number;
  readonly timeoutSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: string;
}

export interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly ContainerPort[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[];
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly exec?: { readonly command: readonly string[] } } };
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly terminationGracePeriodSeconds?: number;
}

/** What the runner is told to run: one container with an address of its own. Kept as JSON in the pod's folder. */
export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

/** Where volumes and environment come from. `data` values of a Secret are base64, as in the API. */
export interface ObjectLookup {
  get(kind: "ConfigMap" | "Secret", namespace: string, name: string): DataObject | undefined;
}

export type PodPhase = "Pending" | "Running" | "Failed";

export interface PodStatus {
  readonly record: PodRecord;
  readonly phase: PodPhase;
  /** the process runs */
  readonly running: boolean;
  readonly ready: boolean;
  readonly terminating: boolean;
  readonly pid?: number;
  readonly restartCount: number;
  /** "" when nothing is wrong; else Kubernetes' word and what it means, e.g. "CrashLoopBackOff: …" */
  readonly message: string;
  /** of the process that runs, RFC 3339 */
  readonly startedAt?: string;
  readonly lastExit?: string;
}

export const podKey = (pod: { namespace: string; name: string }): string => `${pod.namespace}/${pod.name}`;
