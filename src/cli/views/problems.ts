/** What is wrong with a fleet, worst first, each with what to do about it. Pure. */
import { keyOf, type Condition, type PbxBackend, type Reason, type SipRouter } from "../../api/index.ts";
import type { FleetPod } from "../fleet/index.ts";

export interface Problem {
  /** "SipRouter default/edge" */
  readonly object: string;
  /** condition type and reason, e.g. "Available: SetDown"; for a pod its state */
  readonly what: string;
  readonly message: string;
  readonly remedy: string;
  /** calls fail or go wrong now; else: something is not as it should be */
  readonly severe: boolean;
}

/**
 * What to do where a condition is not True, by its reason; most messages name the remedy themselves. ROUTER and NAMESPACE stand for
 * those of the object.
 */
export const remedies: Readonly<Partial<Record<Reason, string>>> = {
  Invalid: "Correct the field named; check files before applying them with: kubectl sip validate -f FILE",
  NotSupported: "Remove the field named, or use a version that has the feature.",
  RouteConflict: "Change one of the two routes named. What served before goes on serving.",
  ListenerConflict: "Give one of the two listeners another port.",
  SetConflict: "Rename or renumber one of the two sets.",
  NoBackends: "Add a PbxBackend to the set, or correct its selector.",
  SetNotFound: "Add the set to spec.dispatcherSets, or correct the name.",
  BackendNotFound: "Create the PbxBackend, or correct the name in the set.",
  BackendInvalid: "Correct the PbxBackend named.",
  SecretNotFound: "Create the Secret named.",
  SecretInvalid: "Correct the Secret named.",
  ServiceNotFound: "Create the Service named, or correct the name.",
  ServiceInvalid: "Correct the Service or EndpointSlice named: the message says where it is wrong.",
  NotRegistered:
    "Look at the PBX: its outbound registration names this router, the user and the password of the Secret.",
  NoEndpoints: "Look at the pods behind the Service: none is ready.",
  NameNotResolved: "Correct the host name, or the DNS zone.",
  Progressing: "Wait; if this stays, look at the operator's log.",
  ReloadFailed: "Look at the pod named and at the operator's log; compare the pods with: kubectl sip dump -n NAMESPACE",
  NotOwned: "Rename the SipRouter, or remove the object named if nobody needs it.",
  NoPods: "Look at the pods' events: kubectl -n NAMESPACE describe pods -l siprouter.dev/router=ROUTER",
  MediaProxyDown: "Start an rtpengine that spec.mediaProxy names, or correct its address.",
  SetDown: "Bring a PBX of the set back; ask them all now with: kubectl sip ping -n NAMESPACE",
  Unobserved: "Wait for the first reading; if this stays, look at the operator's log.",
  RolloutProgressing: "Wait for the Deployment; if this stays, look at the new pods' events.",
  RolloutFailed: "Look at the new pods' events and logs.",
  Unreachable:
    "Check that the PBX runs, that its address and port are right and that it answers OPTIONS of the router's addresses.",
  PartlyReachable: "Look at the PBX whose address does not answer: kubectl sip dump -n NAMESPACE",
  PodsDisagree:
    "Compare the pods with: kubectl sip dump -n NAMESPACE; look for a firewall between some nodes and the PBX.",
  ReadyButSilent:
    "Look at the PBX in that pod: its readiness probe does not ask what SIP needs, or a network policy stops OPTIONS.",
  ManagerUnreachable: "Check that the PBX runs, and that enabled, bindaddr and port of manager.conf are right.",
  ManagerLoginRefused:
    "Correct username and password in the Secret; permit and deny of manager.conf let the operator in.",
  ManagerDenied: "Give the user read = system,reporting in manager.conf.",
  ManagerUntrusted: "Put the authority into ca.crt of the Secret; the certificate must be for the backend's address.",
  RenderFailed: "Correct what the message names.",
  ApplyFailed: "Look at the operator's permissions and log.",
  NotAnswering: "Look at the pod's log and at network policies on its control port.",
};

const order: readonly string[] = ["Accepted", "ResolvedRefs", "Programmed", "Available", "Reachable", "Ready"];

/** `Ready` repeats the others: it counts only when nothing else explains it. A backend nobody uses is no problem. */
function conditionProblems(object: SipRouter | PbxBackend): Problem[] {
  const conditions: readonly Condition[] = object.status?.conditions ?? [];
  const label = `${object.kind} ${keyOf(object)}`;
  if (conditions.length === 0) {
    const remedy = "Check that the operator runs, and that it watches this namespace.";
    return [
      { object: label, what: "no status", message: "The operator has not looked at it yet.", remedy, severe: false },
    ];
  }
  const wrong = conditions
    .filter((one) => one.status === "False" || (one.status === "Unknown" && one.type === "Available"))
    // a backend that has calls left is as it was asked to be
    .filter((one) => one.type !== "Drained")
    .toSorted((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
  const explained = wrong.some((one) => one.type === "Programmed" && one.status === "False");
  const told = wrong
    .filter((one) => one.type !== "Ready")
    // why there is none is what Programmed says
    .filter((one) => !(explained && one.reason === "NoPods" && one.type === "Available"));
  return (told.length > 0 ? told : wrong).map(({ type, status, reason, message }) => ({
    object: label,
    what: `${type}: ${reason}`,
    message,
    remedy: remedyOf(object, reason as Reason),
    severe: status === "False" && (type === "Available" || type === "Reachable" || type === "Programmed"),
  }));
}

function remedyOf({ metadata: { namespace, name }, spec }: SipRouter | PbxBackend, reason: Reason): string {
  if (reason === "NoPods" && (spec as { replicas?: number } | undefined)?.replicas === 0)
    return `Raise spec.replicas: kubectl -n ${namespace} scale siprouter ${name} --replicas=2`;
  const remedy = remedies[reason] ?? "Look at the operator's log.";
  return remedy.replace("ROUTER", name).replace("NAMESPACE", namespace);
}

function stale(object: SipRouter | PbxBackend): Problem[] {
  const generation = object.metadata.generation ?? 0;
  const observed = object.status?.observedGeneration ?? generation;
  if (observed < 0 || observed >= generation) return [];
  const message = `The status is of generation ${observed}, the object is at ${generation}.`;
  const remedy = "Wait; if this stays, check that the operator runs.";
  return [{ object: `${object.kind} ${keyOf(object)}`, what: "status is old", message, remedy, severe: false }];
}

function podProblems(router: SipRouter, pods: readonly FleetPod[]): Problem[] {
  const states = new Map((router.status?.pods ?? []).map((pod) => [pod.name, pod]));
  return pods.flatMap((pod): Problem[] => {
    const object = `Pod ${pod.namespace}/${pod.name}`;
    if (pod.terminating) return [];
    if (!pod.ready) {
      const look = `Look at its events and log: kubectl -n ${pod.namespace} describe pod ${pod.name}`;
      const silent = pod.running && pod.message === "";
      const message = silent
        ? "It runs, and is not ready: it starts, drains or hangs."
        : pod.message || "It is not ready.";
      const undrain = `; a drain ends with: kubectl sip undrain pod/${pod.name} -n ${pod.namespace}`;
      return [{ object, what: "not ready", message, remedy: silent ? look + undrain : look, severe: true }];
    }
    const state = states.get(pod.name);
    if (state === undefined || state.state === "InSync" || state.state === "Pending") return [];
    const message = state.message ?? "It does not run the current revision.";
    const remedy = `Ask for it to be put right now: kubectl sip reload ${router.metadata.name} -n ${pod.namespace}`;
    return [{ object, what: state.state, message, remedy, severe: true }];
  });
}

export function findProblems(
  fleets: readonly { readonly router: SipRouter; readonly pods: readonly FleetPod[] }[],
  backends: readonly PbxBackend[],
): readonly Problem[] {
  const all = [
    ...fleets.flatMap(({ router, pods }) => [
      ...conditionProblems(router),
      ...stale(router),
      ...podProblems(router, pods),
    ]),
    ...backends.flatMap((backend) => [...conditionProblems(backend), ...stale(backend)]),
  ];
  return all.toSorted((a, b) => Number(b.severe) - Number(a.severe));
}
