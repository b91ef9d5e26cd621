/**
 * manifests: everything under config/ and charts/ that is generated, as path (from the root) -> text. One source for
 * kustomize, Helm and the single install file.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { argocdFiles } from "./argocd.ts";
import { crdFiles } from "./crds.ts";
import { installFile } from "./install.ts";
import { podsPolicyFiles } from "./podsPolicy.ts";
import { policyFiles } from "./policy.ts";
import { rbacFiles } from "./rbac.ts";
import { chartReadme } from "./readme.ts";
import { routersSchema } from "./routersSchema.ts";
import { samplesFile } from "./samples.ts";

/** `root`: where the files that are not generated are. */
export function manifestFiles(root: string): Record<string, string> {
  const schema = routersSchema();
  const files = { ...crdFiles(), ...rbacFiles(), ...policyFiles(), ...podsPolicyFiles(), ...samplesFile(root) };
  const read = (file: string): string => files[file] ?? readFileSync(path.join(root, file), "utf8");
  return {
    ...files,
    "charts/sip-router/values.schema.json": schema,
    ...argocdFiles(root, read),
    ...installFile(read),
    ...chartReadme("charts/sip-router-operator", read, read("charts/sip-router-operator/values.schema.json")),
    ...chartReadme("charts/sip-router", read, schema),
  };
}
