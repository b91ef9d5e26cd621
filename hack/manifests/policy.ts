/** Ports of the Kamailio pods that are not for everybody, as a NetworkPolicy's spec in templates of both charts. */
import { CONTROL_PORT, labels, MANAGED_BY, PEER_PORT } from "../../src/render/layout.ts";
import { COMPONENT } from "../../src/render/objects/names.ts";
import { GENERATED } from "./rbac.ts";

const LAST_PORT = 65_535;
const allBut = (protocol: string, port: number): string[] => [
  `- {protocol: ${protocol}, port: 1, endPort: ${port - 1}}`,
  `- {protocol: ${protocol}, port: ${port + 1}, endPort: ${LAST_PORT}}`,
];

/** The pods of all routers. One policy for them cannot say "of the same router" of who may come to the port for replicas. */
const allRouters = [`${labels.component}: ${COMPONENT}`, `${labels.managedBy}: ${MANAGED_BY}`];
/** The pods of one router; the template is given the chart's top and the router's name. */
const oneRouter = [
  `${labels.router}: {{ index . 1 | quote }}`,
  `${labels.component}: ${COMPONENT}`,
  `${labels.managedBy}: ${MANAGED_BY}`,
];

/**
 * Who scrapes Kamailio's own metrics comes to the control port too: they are all that it serves without a token. `peer` is the
 * name of the template that says where the operator's pods are, `top` the chart's top within this one.
 */
const routerPolicy = (
  name: string,
  peer: string,
  pods: readonly string[],
  top: string,
): string => `{{/* ${GENERATED} */}}
{{- define "${name}.routerPolicy" -}}
{{- $top := ${top} }}
podSelector:
  matchLabels:
    ${pods.join("\n    ")}
policyTypes: [Ingress]
ingress:
  - ports:
      ${[...allBut("TCP", CONTROL_PORT), ...allBut("UDP", PEER_PORT)].join("\n      ")}
  - ports:
      - {protocol: UDP, port: ${PEER_PORT}}
    from:
      - podSelector:
          matchLabels:
            ${pods.join("\n            ")}
  - ports:
      - {protocol: TCP, port: ${CONTROL_PORT}}
    from:
      - {{- include "${peer}" $top | nindent 8 }}
      {{- with $top.Values.networkPolicy.metricsFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}
`;

export const policyFiles = (): Record<string, string> => ({
  "charts/sip-router-operator/templates/_policy.tpl": routerPolicy(
    "sip-router-operator",
    "sip-router-operator.peer",
    allRouters,
    ".",
  ),
  "charts/sip-router/templates/_policy.tpl": routerPolicy("sip-router", "sip-router.operator", oneRouter, "index . 0"),
});
