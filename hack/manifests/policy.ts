/** Ports of the Kamailio pods that are not for everybody, as a NetworkPolicy's spec in templates of both charts. */
import { CONTROL_PORT, labels, MANAGED_BY, PEER_PORT } from "../../src/render/layout.ts";
import { COMPONENT } from "../../src/render/objects/names.ts";
import { GENERATED } from "./rbac.ts";

const LAST_PORT = 65_535;
const allBut = (protocol: string, port: number): string[] => [
  `- {protocol: ${protocol}, port: 1, endPort: ${port - 1}}`,
  `- {protocol: ${protocol}, port: ${port + 1}, endPort: ${LAST_PORT}}`,
];

/** Who scrapes Kamailio's own metrics comes to the control port too: they are all that it serves without a token. `peer` is the name of the template that says where the operator's pods are. */
const routerPolicy = (name: string, peer: string): string => `{{/* ${GENERATED} */}}
{{- define "${name}.routerPolicy" -}}
podSelector:
  matchLabels:
    ${labels.component}: ${COMPONENT}
    ${labels.managedBy}: ${MANAGED_BY}
policyTypes: [Ingress]
ingress:
  - ports:
      ${[...allBut("TCP", CONTROL_PORT), ...allBut("UDP", PEER_PORT)].join("\n      ")}
  - ports:
      - {protocol: UDP, port: ${PEER_PORT}}
    from:
      - podSelector:
          matchLabels:
            ${labels.component}: ${COMPONENT}
            ${labels.managedBy}: ${MANAGED_BY}
  - ports:
      - {protocol: TCP, port: ${CONTROL_PORT}}
    from:
      - {{- include "${peer}" . | nindent 8 }}
      {{- with .Values.networkPolicy.metricsFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
`;

export const policyFiles = (): Record<string, string> => ({
  "charts/sip-router-operator/templates/_policy.tpl": routerPolicy("sip-router-operator", "sip-router-operator.peer"),
  "charts/sip-router/templates/_policy.tpl": routerPolicy("sip-router", "sip-router.operator"),
});
