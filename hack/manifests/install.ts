/** config/install.yaml: what `kubectl kustomize config/default` gives, in one file for `kubectl apply -f`. */
import path from "node:path";
import { load } from "js-yaml";
import { GENERATED } from "./rbac.ts";

/** Files of a kustomization in the order of its resources, folders followed. Nothing but `resources` is understood. */
function filesOf(folder: string, read: (file: string) => string): string[] {
  const file = path.join(folder, "kustomization.yaml");
  const { apiVersion: _, kind: __, resources = [], ...rest } = load(read(file)) as Record<string, string[]>;
  if (Object.keys(rest).length > 0)
    throw new Error(`${file}: ${Object.keys(rest).join(", ")} is not understood by hack/manifests/install.ts`);
  return resources.flatMap((entry) =>
    entry.endsWith(".yaml") ? [path.join(folder, entry)] : filesOf(path.join(folder, entry), read),
  );
}

export function installFile(read: (file: string) => string): Record<string, string> {
  const documents = filesOf("config/default", read).flatMap((file) => read(file).split(/^---\n/m));
  const text = documents.map((document) => document.replaceAll(/^#.*\n/gm, "").trim()).filter((one) => one !== "");
  return { "config/install.yaml": `# ${GENERATED}\n${text.map((one) => `---\n${one}\n`).join("")}` };
}
