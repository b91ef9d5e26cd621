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

/** Names of the Secrets (of the object's own namespace) that a SipRouter or PbxBackend names; sorted. */
export const namedSecrets = (object: RawObject): readonly string[] => {
  const found = new Set<string>();
  collect(object.spec, found);
  return [...found].toSorted();
};

/** Name of the Secret with the token of the router's control port. */
export const controlSecretName = (router: RawObject): string => `${router.metadata.name}-control`;

/** All that it needs: those that it names, and a router's own. */
export const referencedSecrets = (object: RawObject): readonly string[] => {
  const named = namedSecrets(object);
  return object.kind === "SipRouter" ? [...new Set([...named, controlSecretName(object)])].toSorted() : named;
};
