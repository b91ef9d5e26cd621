/** values.yaml of the chart sip-router: the samples of config/samples as its defaults, comments and all. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { GENERATED } from "./rbac.ts";

/** One object of the samples as an item of a list: `name`, then `spec` with its comments; comments before it stay before it. */
function item(document: string): string {
  const at = /^apiVersion: .*\nkind: .*\nmetadata:\n {2}name: (\S+)\nspec:\n/m.exec(document);
  if (at?.[1] === undefined) throw new Error(`not in the form of the samples:\n${document.slice(0, 200)}`);
  const before = document.slice(0, at.index).replaceAll(/^(?=#)/gm, "  ");
  const spec = document.slice(at.index + at[0].length).trimEnd();
  return `${before}  - name: ${at[1]}\n    spec:\n${spec.replaceAll(/^(?=.)/gm, "    ")}\n`;
}

const items = (text: string): string =>
  text
    .split(/^---\n/m)
    .filter((document) => /^kind:/m.test(document))
    .map(item)
    .join("");

const comments = (text: string): string => {
  const [first = ""] = text.split(/^---\n/m);
  return /^kind:/m.test(first) ? "" : first;
};

export function samplesFile(root: string): Record<string, string> {
  const read = (file: string): string => readFileSync(path.join(root, "config/samples", file), "utf8");
  const backends = read("backends.yaml");
  return {
    "charts/sip-router/values.yaml": `# ${GENERATED} The routers and backends are those of config/samples.
# Values shared with parent charts; nothing here reads them.
global: {}
# on every object
commonLabels: {}
commonAnnotations: {}

networkPolicy:
  # closes the control port of the Kamailio pods of these routers to all but the operator: name where yours runs, and its labels
  enabled: true
  operatorNamespace: sip-router-system
  operatorLabels:
    app.kubernetes.io/name: sip-router-operator
  # who may scrape Kamailio's own metrics there: peers as in a NetworkPolicy's \`from\`
  metricsFrom: []

# SipRouters: name, labels, annotations, spec. A list of your own replaces this one as a whole.
routers:
${items(read("router.yaml"))}
${comments(backends)}#
# A list of your own replaces this one as a whole.
backends:
${items(backends)}`,
  };
}
