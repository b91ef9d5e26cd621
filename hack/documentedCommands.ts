/** Commands of the documentation's shell blocks, and what runs each: checked by checkDocs.ts in both directions. */
import type { RunBy } from "./checkDocs.ts";

const documentation: RunBy = { by: "test/integration/documentation.test.ts" };
const operator = "npm exec --no -- sip-router-operator";

export const documentedCommands: Readonly<Record<string, RunBy>> = {
  "make demo": { by: ".ci/run" },
  "make test": { by: ".ci/run" },
  "make check": { by: ".ci/run" },
  "npm ci": { by: "hack/install-packages" },
  [`${operator} render -f config/samples`]: documentation,
  [`${operator} standalone --resources config/samples --state /tmp/sip-router --addresses 127.50.1.10,127.50.1.11`]:
    documentation,
  "kubectl apply -f crds/": documentation,
  [`${operator} run --kubeconfig "$KUBECONFIG"`]: documentation,
  "kubectl apply -k config/samples": documentation,
  "kubectl get sip": documentation,
  "kubectl wait --for=condition=Ready siprouter/edge --timeout=5m": documentation,
  "kubectl describe siprouter edge": documentation,
};
