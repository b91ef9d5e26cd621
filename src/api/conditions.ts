/** Conditions of both kinds and the closed table of their reasons. */
import { z } from "zod";

export const condition = z.object({
  type: z.string().max(316).describe("Name of the condition."),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether the condition holds."),
  observedGeneration: z.int().optional().describe("Generation of the spec that was judged."),
  lastTransitionTime: z.string().describe("When the status last flipped (RFC 3339)."),
  reason: z.string().max(1024).describe("Why, one word of the closed table of reasons."),
  message: z.string().max(32768).describe("Why, for people: object, path and remedy."),
});
export type Condition = z.infer<typeof condition>;
export const conditions = z
  .array(condition)
  .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] })
  .optional()
  .describe("Conditions, one of each type; see the reference of conditions.");

export const routerConditionTypes = [
  "Accepted",
  "ResolvedRefs",
  "Programmed",
  "Available",
  "Ready",
  "Stalled",
] as const;
export type RouterConditionType = (typeof routerConditionTypes)[number];
export const backendConditionTypes = ["Accepted", "Ready", "Reachable", "Managed", "Drained", "Stalled"] as const;
export type BackendConditionType = (typeof backendConditionTypes)[number];

/** What `True` means, by kind and type. */
export const conditionMeanings: {
  readonly SipRouter: Readonly<Record<RouterConditionType, string>>;
  readonly PbxBackend: Readonly<Record<BackendConditionType, string>>;
} = {
  SipRouter: {
    Accepted: "The spec is valid and conflicts with nothing.",
    ResolvedRefs: "Every backend, Service and Secret named exists and is usable.",
    Programmed: "Every ready Kamailio pod has been read back and runs the current revision.",
    Available: "At least one pod is ready and every set has an active destination.",
    Ready:
      "Accepted, ResolvedRefs and Programmed, and the Deployment is rolled out. A PBX that stops answering OPTIONS changes Available, not Ready.",
    Stalled:
      "The spec is refused as it is, and only an edit helps: who waits for Ready by kstatus (Flux) need not go on. Only while Accepted is False.",
  },
  PbxBackend: {
    Accepted: "The spec is valid.",
    Ready: "Accepted, and everything it names exists and is usable: routers can use it.",
    Reachable: "The backend answers OPTIONS of every pod of every router that uses it.",
    Managed:
      "The Asterisk Manager of every address of the backend lets the operator read. Only with spec.management.ami.",
    Drained:
      "No call is left at the backend: neither one of the routers nor, with spec.management.ami, a live channel. Only while adminState is Draining or Disabled.",
    Stalled:
      "The spec is refused as it is, and only an edit helps: who waits for Ready by kstatus (Flux) need not go on. Only while Accepted is False.",
  },
};

/** reason -> what it means. Every reason that can appear in a condition or an Event is a key of this table. */
export const reasons = {
  Accepted: "The spec is valid and conflicts with nothing.",
  Invalid: "The spec has an invalid field; the message names the path and the remedy.",
  NotSupported: "The spec asks for a feature that this version does not have.",
  RouteConflict: "Two routes claim the same extension, range or prefix.",
  ListenerConflict: "Two listeners claim the same port and transport.",
  SetConflict: "Two dispatcher sets claim the same name or id.",
  NoBackends: "A dispatcher set has no backend.",
  SetNotFound: "A route or the external rule names a dispatcher set that the router does not have.",
  ResolvedRefs: "Every object named exists and is usable.",
  BackendNotFound: "A dispatcher set names a PbxBackend that does not exist.",
  BackendInvalid: "A PbxBackend named by the router is itself invalid.",
  SecretNotFound: "A Secret that is named does not exist.",
  SecretInvalid: "A Secret that is named lacks a key or holds an unusable value.",
  ServiceNotFound: "A Service that is named does not exist.",
  ServiceInvalid: "A Service that is named, or an EndpointSlice of it, is not of the form that Kubernetes gives it.",
  NoEndpoints: "A Service has no ready endpoint.",
  NotRegistered: "The PBX has not registered with a router yet, or its registration has ended.",
  NameNotResolved: "A DNS name does not resolve.",
  Programmed: "Every ready pod was read back and runs the current revision.",
  Progressing: "Pods are being brought to the current revision.",
  ReloadFailed: "A pod did not come out right after a change; the change was halted.",
  NotOwned: "An object of a name that the router needs exists and belongs to somebody else; it was left as it is.",
  NoPods: "No pod is ready yet.",
  Available: "At least one pod is ready and every set has an active destination.",
  SetDown: "A set has no active destination.",
  MediaProxyDown: "No instance of the media proxy answers.",
  Unobserved: "No pod has reported dispatcher states yet.",
  Ready: "Accepted, resolved, programmed and rolled out.",
  RolloutProgressing: "The Deployment is being rolled out.",
  RolloutFailed: "The Deployment's new pods do not become ready.",
  Reachable: "The backend answers OPTIONS on every pod.",
  Unreachable: "The backend does not answer OPTIONS on any pod.",
  PartlyReachable: "Some destinations of the backend answer OPTIONS, others do not.",
  PodsDisagree: "One and the same destination answers OPTIONS of some pods and not of others.",
  ReadyButSilent: "Kubernetes says that an endpoint is ready, but it does not answer OPTIONS.",
  NotUsed: "No SipRouter uses the backend.",
  Draining: "The backend gets no new calls; calls in progress go on.",
  Disabled: "The backend gets no calls and is not probed.",
  Drained: "No call is left at the backend.",
  Undrained: "The backend takes new calls again.",
  Managed: "The Asterisk Manager answers and lets the operator read.",
  ManagerUnreachable: "The Asterisk Manager does not answer.",
  ManagerLoginRefused: "The Asterisk Manager refuses user and password.",
  ManagerDenied: "The user of the Asterisk Manager may not read what is asked for.",
  ManagerUntrusted: "The certificate of the Asterisk Manager is not trusted.",
  RenderFailed: "The configuration could not be written from the spec; what served before goes on serving.",
  ApplyFailed: "An object that the router owns could not be written; it is tried again.",
  NotAnswering: "A ready pod's control port does not answer.",
  Reloaded: "Every pod was brought to a new revision and read back.",
} as const;
export type Reason = keyof typeof reasons;
