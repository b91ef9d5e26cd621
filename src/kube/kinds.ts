/** Where each kind lives in the Kubernetes API. */
import { GROUP, VERSION } from "../api/index.ts";

export interface KindInfo {
  readonly kind: string;
  /** "" for the core group */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

const kind = (name: string, group: string, version: string, plural: string): KindInfo => ({
  kind: name,
  group,
  version,
  plural,
});

const table: readonly KindInfo[] = [
  kind("SipRouter", GROUP, VERSION, "siprouters"),
  kind("PbxBackend", GROUP, VERSION, "pbxbackends"),
  kind("Service", "", "v1", "services"),
  kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
  kind("Secret", "", "v1", "secrets"),
  kind("ServiceAccount", "", "v1", "serviceaccounts"),
  kind("ConfigMap", "", "v1", "configmaps"),
  kind("Deployment", "apps", "v1", "deployments"),
  kind("Pod", "", "v1", "pods"),
  kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
  kind("Lease", "coordination.k8s.io", "v1", "leases"),
  kind("Event", "events.k8s.io", "v1", "events"),
];

const byKind = new Map(table.map((info) => [info.kind, info]));

/** Kinds that users write and that are watched whole. */
export const userKinds = ["SipRouter", "PbxBackend", "Service", "EndpointSlice"] as const;
/** Kinds the operator writes; watched by label. (Secrets: see `secretReferences.ts`.) */
export const ownedKinds = ["ServiceAccount", "ConfigMap", "Deployment", "Pod", "PodDisruptionBudget"] as const;

/** Throws a TypeError for a kind that the operator does not handle: a mistake in the program, not in its input. */
export const kindInfo = (name: string): KindInfo => {
  const info = byKind.get(name);
  if (!info) throw new TypeError(`the kind ${name} is not in the table of kinds`);
  return info;
};

export const apiVersionOf = (info: KindInfo): string => (info.group ? `${info.group}/${info.version}` : info.version);

/** URL path of a collection (`namespace` empty or absent: all namespaces), of an object, or of its subresource. */
export const pathOf = (info: KindInfo, namespace?: string, name?: string, subresource?: string): string =>
  [
    info.group ? `/apis/${info.group}/${info.version}` : `/api/${info.version}`,
    namespace ? `namespaces/${encodeURIComponent(namespace)}` : "",
    info.plural,
    name ? encodeURIComponent(name) : "",
    subresource ?? "",
  ]
    .filter((part) => part !== "")
    .join("/");
