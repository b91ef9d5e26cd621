/** What Kubernetes would refuse in the objects made for a router: better said at the field that is wrong. */
import type { SipRouter } from "../api/index.ts";
import { quote, refOf, wrong } from "./issue.ts";
import type { Issue } from "./types.ts";

/** The name becomes that of a Service and a label value (RFC 1035 label, 63 characters). */
const serviceName = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/;

export function workloadIssues(router: SipRouter): readonly Issue[] {
  const ref = refOf(router);
  const { service } = router.spec;
  const issues: Issue[] = [];
  if (!serviceName.test(router.metadata.name)) {
    const message = `the name ${quote(router.metadata.name)} is not usable for the router's Service: use at most 63 lower-case letters, digits and dashes, a letter first.`;
    issues.push(wrong(ref, "metadata.name", "Invalid", message));
  }
  if (service.externalTrafficPolicy !== undefined && service.type === "ClusterIP")
    issues.push(
      wrong(
        ref,
        "spec.service.externalTrafficPolicy",
        "Invalid",
        "has no meaning for a ClusterIP Service: remove it, or use the type NodePort or LoadBalancer.",
      ),
    );
  if (service.loadBalancerClass !== undefined && service.type !== "LoadBalancer")
    issues.push(
      wrong(
        ref,
        "spec.service.loadBalancerClass",
        "Invalid",
        `has no meaning for a ${service.type} Service: remove it, or use the type LoadBalancer.`,
      ),
    );
  return issues;
}
