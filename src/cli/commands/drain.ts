/** `drain` and `undrain`: a backend by its spec, a pod by telling its Kamailio; how many calls are left, until none is. */
import { keyOf, type AdminState, type PbxBackend } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { parseDialogAnswer } from "../../kamailio/parse.ts";
import { podNameOf } from "../fleet/index.ts";
import { askAll, answered, EXIT, reportUnanswered, type Answer } from "../print/output.ts";
import { awaitNext } from "../print/watch.ts";
import { callsOfBackend } from "./calls.ts";
import { findBackend, findPod, type Context } from "./context.ts";

export interface DrainOptions {
  readonly wait: boolean;
  /** seconds */
  readonly timeout: number;
}

interface Left {
  readonly calls: number;
  /** there are more than could be counted */
  readonly more?: boolean;
  /** what the operator knows beside them; absent when that is none */
  readonly also?: string;
  readonly answers: readonly Answer<unknown>[];
}

/** `pod/NAME`, else the name of a backend (also `pbxbackend/NAME`); a namespace may stand before a backend's name. */
const parseTarget = (target: string): { readonly pod?: string; readonly backend: string } => {
  const [, kind, name = ""] = /^(pods?|po|pbxbackends?)\/(.+)$/.exec(target) ?? [];
  if (kind === undefined) return { backend: target };
  return kind.startsWith("pbx") ? { backend: name } : { pod: name, backend: "" };
};

export async function drain(context: Context, target: string, options: DrainOptions): Promise<number> {
  const { pod, backend } = parseTarget(target);
  if (pod !== undefined) return drainPod(context, pod, options);
  const found = await setState(context, backend, "Draining");
  return awaitNone(context, found.metadata.name, target, options, async () =>
    withManager(context, found, await callsOfBackend(context, found)),
  );
}

/** A PBX with a manager interface may have calls that no router knows: the operator's `Drained` says when they are over. */
async function withManager(context: Context, backend: PbxBackend, left: Left): Promise<Left> {
  if (backend.spec.management === undefined || left.calls > 0) return left;
  const now = (await context.fleet.backends()).find((one) => keyOf(one) === keyOf(backend));
  const drained = now?.status?.conditions?.find(({ type }) => type === "Drained");
  return drained?.status === "True"
    ? left
    : { ...left, also: drained?.message ?? "The operator has yet to look at it." };
}

export async function undrain(context: Context, target: string): Promise<number> {
  const { pod, backend } = parseTarget(target);
  if (pod === undefined) await setState(context, backend, "Enabled");
  else {
    const found = await findPod(context, pod);
    await context.fleet.rpc(found, "htable.seti", ["st", "drain", 0]);
    context.io.stdout(`pod ${podNameOf(found)} takes new calls again`);
  }
  return EXIT.ok;
}

async function setState(context: Context, name: string, state: AdminState): Promise<PbxBackend> {
  const backend = await findBackend(context, name);
  if ((backend.spec.adminState ?? "Enabled") === state) {
    context.io.stdout(`PbxBackend ${keyOf(backend)} is ${state} already`);
    return backend;
  }
  await context.fleet.setAdminState(backend, state);
  context.io.stdout(`PbxBackend ${keyOf(backend)}: spec.adminState is ${state} now`);
  return backend;
}

/**
 * New calls get 503 with Retry-After and its Service leaves it out; those that run go on. It lasts until `undrain`, or until
 * the pod is started anew.
 * @throws OperatorError SIPR_USAGE when nobody else would take the calls
 */
async function drainPod(context: Context, name: string, options: DrainOptions): Promise<number> {
  const { fleet, io } = context;
  const pod = await findPod(context, name);
  const router = (await fleet.routers()).find(
    (one) => one.metadata.name === pod.router && one.metadata.namespace === pod.namespace,
  );
  const others = router === undefined ? [] : (await fleet.pods(router)).filter((one) => one.name !== pod.name);
  if (!others.some((one) => one.ready && !one.terminating))
    throw new OperatorError("SIPR_USAGE", `Pod ${podNameOf(pod)} is the only one of its router that is ready.`, {
      remedy: "Wait until another one is ready, or raise spec.replicas: else all new calls would be refused.",
    });
  await fleet.rpc(pod, "htable.seti", ["st", "drain", 1]);
  io.stdout(`pod ${podNameOf(pod)} takes no new calls; undo it with: kubectl sip undrain pod/${pod.name}`);
  return awaitNone(context, pod.name, `pod/${pod.name}`, options, async () => {
    const answers = await askAll([pod], async (one) => parseDialogAnswer(await fleet.rpc(one, "dlg.stats_active")));
    return { calls: answered(answers).reduce((sum, { value }) => sum + value, 0), answers };
  });
}

/** Says how many calls are left whenever that changes. */
async function awaitNone(
  context: Context,
  at: string,
  target: string,
  options: DrainOptions,
  count: () => Promise<Left>,
): Promise<number> {
  const { io } = context;
  const deadline = context.now() + options.timeout * 1000;
  let told: number | undefined;
  let toldAlso: string | undefined;
  for (;;) {
    const { calls, answers, more, also } = await count();
    if (also !== undefined && also !== toldAlso) io.stdout(`${at}: ${also}`);
    toldAlso = also;
    if (calls !== told) io.stdout(`${more ? "at least " : ""}${calls} call${calls === 1 ? "" : "s"} left at ${at}`);
    told = calls;
    const code = reportUnanswered(answers, io);
    if (!options.wait || (calls === 0 && !more && also === undefined && code === EXIT.ok)) return code;
    if (context.now() >= deadline) {
      io.stderr(
        `after ${options.timeout} s there are calls left: they go on; look again with: kubectl sip drain ${target}`,
      );
      return EXIT.failed;
    }
    if (!(await awaitNext(1, io.signal))) return EXIT.failed;
  }
}
