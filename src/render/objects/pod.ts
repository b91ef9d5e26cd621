/** The pod template of a router's Deployment. Pure. */
import type { RouterPlan } from "../../ir/types.ts";
import { KAMAILIO_CONTAINER, VOLUME_PREFIX } from "../../model/index.ts";
import { hasReplication } from "../kamailio/replication.ts";
import { annotations, CONTROL_DIR, DATA_DIR, labels, MANAGED_BY, RUN_DIR, STRUCTURE_DIR, TLS_DIR } from "../layout.ts";
import { mergePodTemplate, type PodTemplate } from "./merge.ts";
import { controlName, credentialsName, dataName, podSelector, structureName } from "./names.ts";
import { renderProcess, type ProcessEnv } from "../process.ts";
import type { RenderedFiles } from "../types.ts";

/** Of nobody in the image: Kamailio needs no entry in its passwd. */
const UID = 65532;
/** after the drain: Kamailio's own end, and what the kubelet takes */
const GRACE_MARGIN_SECONDS = 30;
/** readable by the group only: the token of the control port and private keys */
const SECRET_MODE = 0o440;

export function podTemplate(plan: RouterPlan, files: RenderedFiles): PodTemplate {
  const own: PodTemplate = {
    metadata: {
      labels: { ...podSelector(plan.name), [labels.managedBy]: MANAGED_BY },
      annotations: { [annotations.structureHash]: files.structureHash },
    },
    spec: {
      serviceAccountName: plan.name,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: plan.workload.drainTimeoutSeconds + GRACE_MARGIN_SECONDS,
      securityContext: podSecurity(plan),
      topologySpreadConstraints: ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map((topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: podSelector(plan.name) },
      })),
      containers: [kamailioContainer(plan)],
      volumes: volumes(plan, files),
    },
  };
  return mergePodTemplate(own, plan.workload.podTemplate);
}

const podSecurity = (plan: RouterPlan): object => ({
  runAsNonRoot: true,
  runAsUser: UID,
  runAsGroup: UID,
  fsGroup: UID,
  seccompProfile: { type: "RuntimeDefault" },
  ...(plan.structure.listeners.some(({ port }) => port < 1024)
    ? { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] }
    : {}),
});

function kamailioContainer(plan: RouterPlan) {
  const run = renderProcess(plan);
  const { listeners, controlPort } = plan.structure;
  const probe = (path: string, periodSeconds: number, failureThreshold: number): object => ({
    httpGet: { path, port: controlPort },
    periodSeconds,
    timeoutSeconds: 2,
    failureThreshold,
  });
  return {
    name: KAMAILIO_CONTAINER,
    image: plan.workload.image,
    command: run.command,
    args: run.args,
    env: run.env.map((one) => envOf(plan, one)),
    ports: [
      ...listeners.map(({ transport, port }) => ({
        name: `sip-${transport.toLowerCase()}-${port}`,
        containerPort: port,
        protocol: transport === "UDP" ? "UDP" : "TCP",
      })),
      { name: "control", containerPort: controlPort, protocol: "TCP" },
    ],
    resources: plan.workload.resources ?? defaultResources(plan),
    startupProbe: probe(run.livenessPath, 1, 60),
    readinessProbe: probe(run.readinessPath, 2, 2),
    livenessProbe: probe(run.livenessPath, 10, 6),
    lifecycle: { preStop: { exec: { command: run.preStop } } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
    volumeMounts: [
      { name: `${VOLUME_PREFIX}structure`, mountPath: STRUCTURE_DIR, readOnly: true },
      { name: `${VOLUME_PREFIX}data`, mountPath: DATA_DIR, readOnly: true },
      { name: `${VOLUME_PREFIX}control`, mountPath: CONTROL_DIR, readOnly: true },
      { name: `${VOLUME_PREFIX}run`, mountPath: RUN_DIR },
      ...(plan.workload.tlsSecrets.length === 0
        ? []
        : [{ name: `${VOLUME_PREFIX}tls`, mountPath: TLS_DIR, readOnly: true }]),
    ],
  };
}

const envOf = (
  plan: RouterPlan,
  { name, value, fieldPath, secretKey }: ProcessEnv,
): { readonly name: string; readonly [field: string]: unknown } => {
  if (fieldPath !== undefined) return { name, valueFrom: { fieldRef: { fieldPath } } };
  if (secretKey !== undefined)
    return { name, valueFrom: { secretKeyRef: { name: controlName(plan.name), key: secretKey } } };
  return { name, value: value ?? "" };
};

/**
 * Shared memory (-m) and 8 MiB of private memory for each process: `workers` for each listener, that of the replicas
 * included, and about 8 of Kamailio's own (timers, control port, main). No CPU limit: throttling delays signalling.
 */
function defaultResources({ structure }: RouterPlan): object {
  const listeners = structure.listeners.length + (hasReplication(structure) ? 1 : 0);
  const processes = structure.workers * listeners + 8;
  const memory = `${structure.shmMemoryMiB + processes * 8 + 64}Mi`;
  return { requests: { cpu: "100m", memory }, limits: { memory } };
}

const volumes = (plan: RouterPlan, files: RenderedFiles) => [
  { name: `${VOLUME_PREFIX}structure`, configMap: { name: structureName(plan.name, files.structureHash) } },
  dataVolume(plan, files),
  { name: `${VOLUME_PREFIX}control`, secret: { secretName: controlName(plan.name), defaultMode: SECRET_MODE } },
  { name: `${VOLUME_PREFIX}run`, emptyDir: { medium: "Memory", sizeLimit: "16Mi" } },
  ...(plan.workload.tlsSecrets.length === 0 ? [] : [tlsVolume(plan)]),
];

/** One folder for all tables: Kamailio's htable knows one. */
const dataVolume = (plan: RouterPlan, files: RenderedFiles) =>
  Object.keys(files.secret).length === 0
    ? { name: `${VOLUME_PREFIX}data`, configMap: { name: dataName(plan.name) } }
    : {
        name: `${VOLUME_PREFIX}data`,
        projected: {
          defaultMode: SECRET_MODE,
          sources: [{ configMap: { name: dataName(plan.name) } }, { secret: { name: credentialsName(plan.name) } }],
        },
      };

const tlsVolume = (plan: RouterPlan) => ({
  name: `${VOLUME_PREFIX}tls`,
  projected: {
    defaultMode: SECRET_MODE,
    sources: plan.workload.tlsSecrets.map(({ listener, secretName, authorities }) => ({
      secret: {
        name: secretName,
        items: ["tls.crt", "tls.key", ...(authorities ? ["ca.crt"] : [])].map((key) => ({
          key,
          path: `${listener}/${key}`,
        })),
      },
    })),
  },
});
