/**
 * ValidatingAdmissionPolicy beside the roles for people: `sip-operator` may patch a SipRouter (drain, reload), and a patch could
 * otherwise have its pods run anything. What decides that is for those who may create SipRouters.
 */
import { GENERATED, NAME } from "./rbac.ts";

export const PODS_POLICY = "sip-router-pods";

const unchanged = (field: string): string => `object.spec.${field} == oldObject.spec.${field}`;

const spec = `failurePolicy: Fail
matchConstraints:
  resourceRules:
    - apiGroups: [siprouter.dev]
      apiVersions: ["*"]
      operations: [UPDATE]
      resources: [siprouters]
validations:
  - expression: >-
      (${["?hostNetwork", "?kamailio.?image", "?kamailio.?podTemplate"].map(unchanged).join(" &&\n      ")}) ||
      authorizer.group('siprouter.dev').resource('siprouters').namespace(request.namespace).check('create').allowed()
    message: >-
      spec.kamailio.image, spec.kamailio.podTemplate and spec.hostNetwork decide what the pods run: to change them takes the
      right to create SipRouters, as the ClusterRole sip-editor has it.
    reason: Forbidden`;
const bindingSpec = `policyName: ${PODS_POLICY}
validationActions: [Deny]`;

const indent = (text: string): string => text.replaceAll(/^(?=.)/gm, "  ");

const object = (kind: string, text: string, labels: string): string => `apiVersion: admissionregistration.k8s.io/v1
kind: ${kind}
metadata:
  name: ${PODS_POLICY}
${labels}spec:
${indent(text)}
`;
const objects = (labels: string): string =>
  [
    object("ValidatingAdmissionPolicy", spec, labels),
    object("ValidatingAdmissionPolicyBinding", bindingSpec, labels),
  ].join("---\n");

export const podsPolicyFiles = (): Record<string, string> => ({
  "config/rbac/users/pods-policy.yaml": `# ${GENERATED}\n${objects("")}`,
  "charts/sip-router-operator/templates/_podsPolicy.tpl": `{{/* ${GENERATED} */}}
{{- define "${NAME}.podsPolicy" -}}
${objects(`  labels: {{- include "${NAME}.labels" . | nindent 4 }}\n`)}{{- end }}
`,
});
