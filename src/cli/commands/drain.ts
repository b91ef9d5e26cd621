/** `drain` and `undrain`: a backend by its spec, a pod by telling its Kamailio; how many calls are left, until none is. */
import { keyOf, type AdminState, type PbxBackend } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { parseDialogAnswer } from "../../kamailio/parse.ts";
import { podNameOf } from "../fleet/index.ts";
import { askAll, answered, EXIT } from "../print/output.ts";
import { awaitNext } from "../print/watch.ts";
import { tellSilent } from "./calls.ts";
import { createCallCounter, type Left } from "./callsLeft.ts";
import { findBackend, findPod, type Context } from "./context.ts";

export interface DrainOptions {
  readonly wait: boolean;
  /** seconds */
  readonly timeout: number;
}

/** What takes no new calls, in messages. */
interface Drained {
  readonly name: string;
  /** what `drain` and `undrain` take */
  readonly target: string;
  /** what it stays when this command ends */
  readonly stays: string;
}

/** `pod/NAME`, else the name of a backend (also `pbxbackend/NAME`); a namespace may stand before a backend's name. */
export const parseTarget = (target: string): { readonly pod?: string; readonly backend: string } => {
  const [, kind, name = ""] = /^(pods?|po|pbxbackends?)\/(.+)$/.exec(target) ?? [];
  if (kind === undefined) return { backend: target };
  return kind.startsWith("pbx") ? { backend: name } : { pod: name, backend: "" };
};

export async function drain(context: Context, target: string, options: DrainOptions): Promise<number> {
  const { pod, backend } = parseTarget(target);
  if (pod !== undefined) return drainPod(context, pod, options);
  const found = await setState(context, backend, "Draining");
  const { name } = found.metadata;
  const stays = "stays Draining: it gets no new calls, those that are left go on";
  return awaitNone(context, { name, target, stays }, options, createCallCounter(context, found));
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
  const changed = await context.fleet.setAdminState(backend, state);
  context.io.stdout(`PbxBackend ${keyOf(backend)}: spec.adminState is ${state} now`);
  return changed;
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
  const stays = "takes no new calls until then, or until it is started anew; those that are left go on";
  return awaitNone(context, { name: pod.name, target: `pod/${pod.name}`, stays }, options, async () => {
    const answers = await askAll([pod], async (one) => parseDialogAnswer(await fleet.rpc(one, "dlg.stats_active")));
    const calls = answered(answers).reduce((sum, { value }) => sum + value, 0);
    const silent = answers.some((one) => "error" in one);
    return { calls, ...(silent ? { waiting: "How many calls it has is not known." } : {}), answers };
  });
}

/** Says how many calls are left whenever that changes; "0 calls left" is said when it is certain. */
async function awaitNone(
  context: Context,
  drained: Drained,
  options: DrainOptions,
  count: () => Promise<Left>,
): Promise<number> {
  const { io } = context;
  context.endsItself?.();
  const deadline = context.now() + options.timeout * 1000;
  const silent = new Set<string>();
  let told: readonly string[] = [];
  for (;;) {
    const left = await count();
    if (left.ended !== undefined) {
      io.stderr(left.ended);
      return EXIT.failed;
    }
    tellSilent(left.answers, silent, io);
    const lines = describe(left, drained.name, silent.size > 0);
    for (const line of lines) if (!told.includes(line)) io.stdout(line);
    told = lines;
    if (!options.wait) return silent.size > 0 ? EXIT.partial : EXIT.ok;
    if (left.calls === 0 && left.waiting === undefined) return EXIT.ok;
    const over = context.now() >= deadline;
    if (over || !(await awaitNext(1, io.signal))) {
      io.stderr(`${over ? `after ${options.timeout} s` : "ended"}: ${stayOf(drained)}`);
      return EXIT.failed;
    }
  }
}

const stayOf = ({ name, target, stays }: Drained): string =>
  `${name} ${stays}. Wait again with: kubectl sip drain ${target}; let it take calls again with: kubectl sip undrain ${target}`;

/** @param silent there are pods that did not answer */
function describe({ calls, ringing = 0, unknown = 0, waiting }: Left, name: string, silent: boolean): string[] {
  if (calls === 0 && waiting === undefined) return [`0 calls left at ${name}`];
  const notes = [
    ...(ringing === 0 ? [] : [`${ringing} of them ${ringing === 1 ? "rings" : "ring"}, here or elsewhere`]),
    ...(unknown === 0 ? [] : [`of ${unknown} more it is not known where they go`]),
  ];
  const least = unknown > 0 || silent ? "at least " : "";
  const left = `${least}${calls} call${calls === 1 ? "" : "s"} left at ${name}`;
  return [
    ...(waiting === undefined ? [] : [`${name}: ${waiting}`]),
    ...(calls + unknown === 0 ? [] : [notes.length === 0 ? left : `${left} (${notes.join("; ")})`]),
  ];
}
