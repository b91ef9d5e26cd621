/** Whole objects: apiVersion, kind, metadata, spec, status. */
import type { PbxBackendSpec, PbxBackendStatus } from "./pbxBackend.ts";
import type { SipRouterSpec, SipRouterStatus } from "./sipRouter.ts";

export const GROUP = "siprouter.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}`;

export interface ObjectMeta {
  name: string;
  namespace: string;
  uid?: string;
  generation?: number;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: unknown[];
}

/** Any Kubernetes object, read but not yet checked. */
export interface RawObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
  [field: string]: unknown;
}

export interface SipRouter extends RawObject {
  kind: "SipRouter";
  spec: SipRouterSpec;
  status?: SipRouterStatus;
}

export interface PbxBackend extends RawObject {
  kind: "PbxBackend";
  spec: PbxBackendSpec;
  status?: PbxBackendStatus;
}

export interface ObjectRef {
  kind: string;
  namespace: string;
  name: string;
}

export const refOf = (object: RawObject): ObjectRef => ({
  kind: object.kind,
  namespace: object.metadata.namespace,
  name: object.metadata.name,
});

/** "namespace/name": the key of a router or a backend in queues and maps. */
export type Key = string;
export const keyOf = (object: { metadata: { namespace: string; name: string } }): Key =>
  `${object.metadata.namespace}/${object.metadata.name}`;
export const splitKey = (key: Key): { namespace: string; name: string } => {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
};
