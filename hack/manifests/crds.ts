/** The custom resource definitions, as kustomize and as the Helm chart install them. */
import { kinds, type Kind } from "../../src/api/index.ts";
import { manifestFile, manifestText } from "../crd/manifest.ts";

const base = (kind: Kind): string => manifestFile(kind).replace(/^crds\//, "");

/** Text of a manifest with everything that Helm would take for a template action made literal. */
const literal = (text: string): string => text.replaceAll(/\{\{|\}\}/g, (braces) => `{{ "${braces}" }}`);

function chartTemplate(kind: Kind): string {
  const [head, ...rest] = literal(manifestText(kind)).split(/^metadata:\n/m);
  if (rest.length !== 1) throw new Error(`${manifestFile(kind)}: one line "metadata:" at the margin was expected`);
  return `{{- if .Values.crds.enabled }}
${head}metadata:
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
  labels: {{- include "sip-router-operator.labels" . | nindent 4 }}
${rest[0]}{{- end }}
`;
}

export const crdFiles = (): Record<string, string> =>
  Object.fromEntries(
    kinds.flatMap((kind) => [
      [`config/crd/${base(kind)}`, manifestText(kind)],
      [`charts/sip-router-operator/templates/crds/${base(kind)}`, chartTemplate(kind)],
    ]),
  );
