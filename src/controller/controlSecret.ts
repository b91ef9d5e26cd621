/** The control Secret of a router: made once, never rendered again, never logged. */
import { randomBytes } from "node:crypto";
import { API_VERSION, type RawObject } from "../api/index.ts";
import { labels, MANAGED_BY } from "../render/layout.ts";
import { controlName, podSelector } from "../render/index.ts";
import { renderControlSecret } from "../render/kamailio/tokens.ts";

/** 256 random bits, as text that needs no quoting anywhere. */
export const generateToken = (): string => randomBytes(32).toString("hex");

/** Contents of a control Secret: with this token, else with a new one. */
export const generateControlSecret = (token: string = generateToken()): Record<string, string> =>
  renderControlSecret(token);

export function controlSecretOf(router: RawObject): RawObject {
  const { namespace, name, uid } = router.metadata;
  const owner = { apiVersion: API_VERSION, kind: "SipRouter", name, uid, controller: true, blockOwnerDeletion: true };
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      namespace,
      name: controlName(name),
      labels: { ...podSelector(name), [labels.managedBy]: MANAGED_BY },
      ...(uid === undefined || uid === "" ? {} : { ownerReferences: [owner] }),
    },
  };
}
