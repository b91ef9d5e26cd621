/** The conditions of a SipRouter. */
import { CONTROL_PORT } from "../api/ports.ts";
import type { RouterConditionType } from "../api/index.ts";
import { decideVerdict, listIssues, listNames, no, stalled, unknown, yes, type Check } from "./checks.ts";
import type { RouterInput, SetStatus, Verdict } from "./types.ts";

export type RouterVerdicts = Readonly<Record<RouterConditionType, Verdict | undefined>>;

export function judgeRouter(input: RouterInput, sets: readonly SetStatus[]): RouterVerdicts {
  const Accepted = accepted(input);
  const ResolvedRefs = resolvedRefs(input, Accepted);
  const Programmed = decideVerdict(programmed, yes("Programmed", programmedMessage(input)), {
    ...input,
    Accepted,
    ResolvedRefs,
  });
  const Available = decideVerdict(available, yes("Available", "Every dispatcher set has an active destination."), {
    ...input,
    sets,
  });
  const Ready = ready(input, [
    ["Accepted", Accepted],
    ["ResolvedRefs", ResolvedRefs],
    ["Programmed", Programmed],
  ]);
  return { Accepted, ResolvedRefs, Programmed, Available, Ready, Stalled: stalled(Accepted) };
}

const own = (input: RouterInput) => ({ kind: "SipRouter", name: input.object.metadata.name });

function accepted(input: RouterInput): Verdict {
  const wrong = input.issues.filter((issue) => !issue.transient);
  const [first] = wrong;
  const before = input.revision === undefined ? "" : " The configuration that was accepted last goes on serving.";
  if (first !== undefined) return no(first.reason, listIssues(wrong, own(input)) + before);
  const open = input.openExternal
    ? " Anyone may place external calls through this router: spec.external.callers is Anyone (an open relay unless the network or accessControl.allow limits who reaches it)."
    : "";
  return yes("Accepted", `The spec is valid.${open}${unreachable(input)}${nodesForCallers(input)}`);
}

/** A router for callers outside that names its pods' addresses to them: their calls end when the first ACK is lost. */
function unreachable({ object }: RouterInput): string {
  const { service, advertise } = (object.spec ?? {}) as { service?: { type?: string }; advertise?: object };
  const outside = service?.type === "LoadBalancer" || service?.type === "NodePort";
  return outside && advertise === undefined
    ? ` Its Service is of type ${service.type}, and spec.advertise is not set: callers who cannot reach the pods' own addresses cannot hold a call.`
    : "";
}

/** What goes by the address of a caller sees a node in its place; a node may be the address of a PBX, too. */
function nodesForCallers({ object }: RouterInput): string {
  const { service } = (object.spec ?? {}) as { service?: { type?: string; externalTrafficPolicy?: string } };
  const outside = service?.type === "LoadBalancer" || service?.type === "NodePort";
  return outside && service.externalTrafficPolicy !== "Local"
    ? " Its Service may show callers with the address of a node: access lists, rate limits and trust by address need spec.service.externalTrafficPolicy Local."
    : "";
}

function resolvedRefs(input: RouterInput, acceptance: Verdict): Verdict {
  const missing = input.issues.filter((issue) => issue.transient);
  const [first] = missing;
  const kept = input.keptLastList ? " What was known last goes on serving." : "";
  if (first !== undefined) return no(first.reason, listIssues(missing, own(input)) + kept);
  if (acceptance.status !== "True") return unknown(acceptance.reason, "Not checked: the spec is not accepted.");
  return yes("ResolvedRefs", "Every object that is named exists and is usable.");
}

type ProgrammedInput = RouterInput & { readonly Accepted: Verdict; readonly ResolvedRefs: Verdict };

const readyPods = (input: Pick<RouterInput, "pods">) => input.pods.filter((pod) => pod.ready);

const programmed: readonly Check<ProgrammedInput>[] = [
  ({ failure }) => (failure === undefined ? undefined : no(failure.reason, failure.message)),
  ({ revision, Accepted, ResolvedRefs }) => {
    if (revision !== undefined) return undefined;
    if (Accepted.status !== "True")
      return no(Accepted.reason, "Nothing runs: no spec of this router has been accepted yet.");
    if (ResolvedRefs.status !== "True")
      return no(ResolvedRefs.reason, "Nothing runs: what the spec names is not there yet.");
    return no("Progressing", "Nothing has been written yet.");
  },
  ({ halt }) => (halt === undefined ? undefined : no("ReloadFailed", haltedMessage(halt))),
  (input) => (input.replicas === 0 ? yes("Programmed", "No pod is wanted (spec.replicas is 0).") : undefined),
  (input) => {
    if (readyPods(input).length > 0) return undefined;
    const name = input.object.metadata.name;
    const remedy = `No pod is ready: look at the events of Deployment ${name} and of its pods.`;
    return no("NoPods", `${remedy}${troubleOf(input)}`);
  },
  (input) => {
    const failed = readyPods(input).filter((pod) => pod.state === "Failed");
    const [first] = failed;
    if (first === undefined) return undefined;
    if (!first.reachable)
      return no(
        "NotAnswering",
        `${listNames(failed.map((pod) => pod.name))}: ${first.message}. Changes do not get there: look at the pod's log, and at network policies for TCP ${CONTROL_PORT}.`,
      );
    return no(
      "ReloadFailed",
      `Pod ${first.name} did not come out right with revision ${input.revision}, the pods after it were left as they are: ${first.message}`,
    );
  },
  (input) => {
    const behind = readyPods(input).filter((pod) => pod.state !== "InSync");
    if (behind.length === 0 && input.stored) return undefined;
    if (behind.length === 0) return no("Progressing", `Revision ${input.revision} runs but is not stored yet.`);
    const names = listNames(behind.map((pod) => pod.name));
    const untold = behind.find((pod) => pod.untold !== undefined)?.untold;
    const late = untold === undefined ? "" : ` It takes a minute or two, as the files come unasked: ${untold}`;
    return no("Progressing", `Not yet at revision ${input.revision}: ${names}.${late}`);
  },
];

function haltedMessage(halt: NonNullable<RouterInput["halt"]>): string {
  const why = `Pod ${halt.pod} did not come out right with revision ${halt.revision}: ${halt.message}.`;
  const restored = `Revision ${halt.restored}, the last good one, was restored`;
  if (halt.trying) return `${why} ${restored}; the change is being tried again.`;
  if (halt.final)
    return `${why} ${restored} and serves; pods ended by the change, and it is not tried again before an edit.`;
  return `${why} ${restored} and serves; the change is tried again from time to time, and an edit of the router at once.`;
}

const programmedMessage = (input: RouterInput): string =>
  `Every ready pod was read back with revision ${input.revision}.`;

type AvailableInput = Omit<RouterInput, "sets"> & { readonly sets: readonly SetStatus[] };

/** Pods for which no instance of the media proxy answers: they refuse calls with SDP. */
const mediaProxyDown: Check<AvailableInput> = (input) => {
  const without = readyPods(input).filter(
    ({ mediaProxies = [] }) => mediaProxies.length > 0 && mediaProxies.every(({ answers }) => !answers),
  );
  if (without.length === 0) return undefined;
  const sockets = (without[0]?.mediaProxies ?? []).map(({ socket }) => socket);
  return no(
    "MediaProxyDown",
    `${listNames(without.map((pod) => pod.name))}: no media proxy of spec.mediaProxy.rtpengine.addresses answers (${listNames(sockets)}); calls with SDP are refused until one does: start one, or correct the addresses.`,
  );
};

const available: readonly Check<AvailableInput>[] = [
  (input) => {
    if (readyPods(input).length > 0) return undefined;
    const none = input.revision !== undefined && input.replicas === 0;
    const what = none ? "No pod is wanted (spec.replicas is 0)" : "No pod is ready";
    return no("NoPods", `${what}: no call is served.`);
  },
  (input) =>
    readyPods(input).some((pod) => pod.destinations !== undefined)
      ? undefined
      : unknown("Unobserved", "No ready pod has reported its dispatcher states yet."),
  mediaProxyDown,
  ({ sets }) => {
    const down = sets.filter((set) => set.active === 0).map((set) => set.name);
    if (down.length === 0) return undefined;
    const what = down.length > 1 ? "sets" : "set";
    const have = down.length > 1 ? "have" : "has";
    return no(
      "SetDown",
      `Dispatcher ${what} ${listNames(down)} ${have} no active destination: calls there get 503 until a PBX of the set answers OPTIONS.`,
    );
  },
];

/** Why pods are not ready, in Kubernetes' words. */
function troubleOf({ pods }: RouterInput): string {
  const trouble = pods.filter((pod) => !pod.ready && pod.message !== "");
  return trouble
    .slice(0, 3)
    .map(({ name, message }, at) => `${at === 0 ? " " : "; "}${name}: ${message}`)
    .join("");
}

function ready(input: RouterInput, needed: readonly (readonly [string, Verdict])[]): Verdict {
  const { workload } = input;
  const missing = needed.find(([, { status }]) => status !== "True");
  if (missing !== undefined) {
    const [type, { reason, message }] = missing;
    // pods that never start are a rollout that failed, not one that is on its way
    if (reason === "NoPods" && workload !== undefined && workload.failure !== "")
      return no("RolloutFailed", `${type}: ${message} ${workload.failure}`);
    return no(reason, `${type}: ${message}`);
  }
  if (!input.applied) return no("RolloutProgressing", "The objects of the router are being written.");
  if (workload === undefined) return no("RolloutProgressing", "The Deployment does not exist yet.");
  if (workload.failure !== "")
    return no(
      "RolloutFailed",
      `The Deployment does not get on, look at the events of its new pods: ${workload.failure}${troubleOf(input)}`,
    );
  if (!workload.rolledOut) return no("RolloutProgressing", `The Deployment is being rolled out.${troubleOf(input)}`);
  const note = workload.note === undefined ? "" : ` ${workload.note}`;
  return yes("Ready", `Accepted, resolved, programmed and rolled out.${note}`);
}
