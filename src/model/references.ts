/** Which Secrets a resource names: what is watched of them, and whom a change of one concerns, go by this one rule. */
import type { RawObject } from "../api/index.ts";

const FIELD = /^(secretName|[a-z]\w*SecretName)$/;

const collect = (value: unknown, found: Set<string>): void => {
  if (Array.isArray(value)) for (const item of value) collect(item, found);
  else if (typeof value === "object" && value !== null) {
    for (const [field, inner] of Object.entries(value)) {
      if (FIELD.test(field) && typeof inner === "string" && inner !== "") found.add(inner);
      // a pod template's volumes are the kubelet's business
      else if (field !== "podTemplate") collect(inner, found);
    }
  }
};

/** Names of the Secrets (of the object's own namespace) that a SipRouter or PbxBackend names, its own among them; sorted. */
export const referencedSecrets = (object: RawObject): readonly string[] => {
  const found = new Set<string>();
  collect(object.spec, found);
  if (object.kind === "SipRouter") found.add(`${object.metadata.name}-control`);
  return [...found].toSorted();
};
