/** Commands of the documentation's shell blocks, and what runs each: checked by checkDocs.ts in both directions. */
import type { RunBy } from "./checkDocs.ts";

const documentation: RunBy = { by: "test/integration/documentation.test.ts" };
const installation: RunBy = { by: "test/integration/package/install.test.ts" };
const operator = "npm exec --no -- sip-router-operator";

export const documentedCommands: Readonly<Record<string, RunBy>> = {
  "make demo": { by: ".ci/run" },
  "make test": { by: ".ci/run" },
  "make check": { by: ".ci/run" },
  "make e2e": { by: ".ci/run" },
  'exports=$(hack/e2e/kind) && eval "$exports" && make e2e': {
    by: "test/unit/repo/e2eScripts.test.ts",
    as: "/^exports=.*$/m",
  },
  "npm ci": { by: "hack/install-packages" },
  [`${operator} render -f config/examples/first-call`]: documentation,
  "sipp -sf config/examples/first-call/pbx.xml -i 127.66.9.2": documentation,
  [`${operator} standalone --resources config/examples/first-call --state /tmp/first-call --addresses 127.66.9.1`]:
    documentation,
  "npm exec --no -- kubectl-sip status --state /tmp/first-call": documentation,
  "npm exec --no -- kubectl-sip route explain 101 --state /tmp/first-call": documentation,
  "sipp 127.66.9.1 -sf config/examples/first-call/call.xml -s 101 -i 127.66.9.3 -m 1": documentation,
  [`${operator} render -f config/samples`]: documentation,
  [`${operator} standalone --resources config/samples --state /tmp/sip-router --addresses 127.50.1.10,127.50.1.11`]:
    documentation,
  "kubectl apply -f crds/": documentation,
  [`${operator} run`]: documentation,
  "kubectl apply -k config/samples": documentation,
  "helm install sip-router-operator charts/sip-router-operator --namespace sip-router-system --create-namespace":
    installation,
  "helm test sip-router-operator --namespace sip-router-system": installation,
  "helm install edge charts/sip-router --namespace voice --create-namespace": installation,
  "helm upgrade sip-router-operator charts/sip-router-operator --namespace sip-router-system --reset-then-reuse-values":
    installation,
  "helm upgrade sip-router-operator OLDCHART --namespace sip-router-system --reset-then-reuse-values --set crds.enabled=false":
    { ...installation, as: 'as(rollback, "OLDCHART", older)' },
  "helm uninstall edge --namespace voice": installation,
  "helm uninstall sip-router-operator --namespace sip-router-system": installation,
  "kubectl apply --server-side -k config/default": installation,
  "kubectl apply --server-side --force-conflicts -f crds/": installation,
  "kubectl apply -k config/metrics": {
    by: "test/integration/kube/metrics.test.ts",
    as: '"apply", "-k", config("metrics")',
  },
  "kubectl get sip": documentation,
  "kubectl wait --for=condition=Ready siprouter/edge --timeout=5m": documentation,
  "kubectl describe siprouter edge": documentation,
};
