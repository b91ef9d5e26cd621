/** config/argocd/argocd-cm.yaml: the Lua scripts of config/argocd/siprouter.dev as Argo CD's ConfigMap wants them. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { dump } from "js-yaml";
import { GROUP, kinds } from "../../src/api/index.ts";
import { GENERATED } from "./rbac.ts";

export function argocdFiles(root: string, read: (file: string) => string): Record<string, string> {
  const data = Object.fromEntries(
    kinds.flatMap(({ kind }) => {
      const folder = `config/argocd/${GROUP}/${kind}`;
      const actions = readdirSync(path.join(root, folder, "actions"), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
        .toSorted();
      const customization = {
        "discovery.lua": read(`${folder}/actions/discovery.lua`),
        definitions: actions.map((name) => ({ name, "action.lua": read(`${folder}/actions/${name}/action.lua`) })),
      };
      return [
        [`resource.customizations.health.${GROUP}_${kind}`, read(`${folder}/health.lua`)],
        [`resource.customizations.actions.${GROUP}_${kind}`, dump(customization, { lineWidth: -1 })],
      ];
    }),
  );
  const configMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: "argocd-cm",
      namespace: "argocd",
      labels: { "app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd" },
    },
    data,
  };
  const head = `# ${GENERATED}\n# To be merged into Argo CD's own ConfigMap:\n#   kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file config/argocd/argocd-cm.yaml\n`;
  return { "config/argocd/argocd-cm.yaml": head + dump(configMap, { lineWidth: -1, noRefs: true }) };
}
