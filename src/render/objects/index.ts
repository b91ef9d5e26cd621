/** render/objects: the Kubernetes objects of one router. Pure. */
import { encodeSecretData, API_VERSION, type ObjectMeta, type RawObject } from "../../api/index.ts";
import type { RouterPlan } from "../../ir/types.ts";
import { hasReplication } from "../kamailio/replication.ts";
import { annotations, labels, MANAGED_BY, PEER_PORT } from "../layout.ts";
import { credentialsName, dataName, peersName, podSelector, structureName } from "./names.ts";
import { podTemplate } from "./pod.ts";
import type { RenderedFiles } from "../types.ts";

/** In apply order: what a pod needs before the Deployment. The control Secret is not among them: it is made once. */
export function renderObjects(plan: RouterPlan, files: RenderedFiles): readonly RawObject[] {
  return [
    serviceAccount(plan),
    structureConfig(plan, files),
    ...(Object.keys(files.secret).length === 0 ? [] : [credentialsSecret(plan, files)]),
    dataConfig(plan, files),
    deployment(plan, files),
    sipService(plan),
    ...(hasReplication(plan.structure) ? [peersService(plan)] : []),
    ...(plan.workload.replicas > 1 ? [disruptionBudget(plan)] : []),
  ];
}

/** Without an owner where the router has no uid: it was never stored. */
function metadata(plan: RouterPlan, name: string, more: Partial<ObjectMeta> = {}): ObjectMeta {
  const owner = {
    apiVersion: API_VERSION,
    kind: "SipRouter",
    name: plan.name,
    uid: plan.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
  return {
    name,
    namespace: plan.namespace,
    labels: { ...podSelector(plan.name), [labels.managedBy]: MANAGED_BY },
    ...more,
    ...(plan.uid === "" ? {} : { ownerReferences: [owner] }),
  };
}

const serviceAccount = (plan: RouterPlan): RawObject => ({
  apiVersion: "v1",
  kind: "ServiceAccount",
  metadata: metadata(plan, plan.name),
  automountServiceAccountToken: false,
});

const structureConfig = (plan: RouterPlan, files: RenderedFiles): RawObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: metadata(plan, structureName(plan.name, files.structureHash)),
  immutable: true,
  data: files.structure,
});

const credentialsSecret = (plan: RouterPlan, files: RenderedFiles): RawObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: metadata(plan, credentialsName(plan.name)),
  type: "Opaque",
  data: encodeSecretData(files.secret),
});

const dataConfig = (plan: RouterPlan, files: RenderedFiles): RawObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: metadata(plan, dataName(plan.name), { annotations: { [annotations.revision]: files.desired.revision } }),
  data: files.data,
});

/** A new pod is ready before an old one drains: capacity never shrinks. */
const deployment = (plan: RouterPlan, files: RenderedFiles): RawObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: metadata(plan, plan.name),
  spec: {
    replicas: plan.workload.replicas,
    revisionHistoryLimit: 1,
    selector: { matchLabels: podSelector(plan.name) },
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: "25%" } },
    template: podTemplate(plan, files),
  },
});

function sipService(plan: RouterPlan): RawObject {
  const { type, annotations: own, externalTrafficPolicy, sessionAffinity, loadBalancerClass } = plan.workload.service;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(plan, plan.name, own === undefined ? {} : { annotations: own }),
    spec: {
      type,
      selector: podSelector(plan.name),
      ...(externalTrafficPolicy === undefined ? {} : { externalTrafficPolicy }),
      ...(sessionAffinity === undefined ? {} : { sessionAffinity }),
      ...(loadBalancerClass === undefined ? {} : { loadBalancerClass }),
      ports: plan.structure.listeners.map(({ name, transport, port }) => ({
        name,
        port,
        targetPort: port,
        protocol: transport === "UDP" ? "UDP" : "TCP",
      })),
    },
  };
}

/** A pod is found before it is ready: those that start together tell each other what they know. */
const peersService = (plan: RouterPlan): RawObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: metadata(plan, peersName(plan.name)),
  spec: {
    clusterIP: "None",
    publishNotReadyAddresses: true,
    selector: podSelector(plan.name),
    ports: [{ name: "peers", port: PEER_PORT, targetPort: PEER_PORT, protocol: "UDP" }],
  },
});

const disruptionBudget = (plan: RouterPlan): RawObject => ({
  apiVersion: "policy/v1",
  kind: "PodDisruptionBudget",
  metadata: metadata(plan, plan.name),
  spec: {
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: "AlwaysAllow",
    selector: { matchLabels: podSelector(plan.name) },
  },
});
