/**
 * `reload`: asks the operator, and reads every pod back until the operator has done it and all pods run what they must, or the
 * time is over.
 */
import { keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { conditionOf } from "../../status/index.ts";
import { backendsOfRouter } from "../views/members.ts";
import { answered, askAll, EXIT, reportUnanswered, type OutputOptions } from "../print/output.ts";
import { awaitNext } from "../print/watch.ts";
import { chosen, printAll, type Context } from "./context.ts";
import { desiredOf, isDone, reloadJson, renderReload, verifyPod, type ReloadData } from "./verify.ts";

export interface ReloadOptions extends OutputOptions {
  /** seconds */
  readonly timeout: number;
}

export async function reload(context: Context, name: string | undefined, options: ReloadOptions): Promise<number> {
  const { io } = context;
  const routers = await chosen(context, name);
  const deadline = context.now() + options.timeout * 1000;
  const results = await Promise.all(routers.map((router) => reloadRouter(context, router, deadline)));
  const views = results.map((one) => ({
    data: reloadJson(one),
    lines: (style: Parameters<typeof renderReload>[1]) => renderReload(one, style),
  }));
  printAll(options, io, routers, views);
  const codes = results.map(({ answers }) => reportUnanswered(answers, io));
  if (results.every(isDone)) return EXIT.ok;
  return codes.includes(EXIT.partial) ? EXIT.partial : EXIT.failed;
}

async function reloadRouter(context: Context, router: SipRouter, deadline: number): Promise<ReloadData> {
  const { fleet, io } = context;
  const operator = createOperatorWatch(context, router);
  let told = -1;
  for (;;) {
    const { waiting, final } = await operator();
    const desired = await desiredOf(fleet, router);
    if (desired === undefined)
      throw new OperatorError("SIPR_USAGE", `SipRouter ${keyOf(router)} has no data yet: nothing of it runs.`, {
        remedy: `Look at what is wrong: kubectl sip status ${router.metadata.name}`,
      });
    const pods = (await fleet.pods(router)).filter((pod) => !pod.terminating);
    const answers = await askAll(pods, (pod) => verifyPod(fleet, pod, desired));
    const data = { router, revision: desired.revision, waiting, answers };
    const good = answered(answers).filter(({ value }) => value.inSync).length;
    if (io.columns !== undefined && good !== told)
      io.stderr(`${keyOf(router)}: ${good} of ${pods.length} pods run revision ${desired.revision}`);
    told = good;
    if (isDone(data) || final || context.now() >= deadline) return data;
    if (!(await awaitNext(0.5, io.signal))) return data;
  }
}

interface Seen {
  /** what the operator has yet to do, or cannot do */
  readonly waiting: readonly string[];
  /** nothing more will come of it */
  readonly final?: boolean;
}

/**
 * First the operator has seen the backends as they are now: what it does when it is asked takes them in. Then it is asked, and
 * says in the status when it has done that.
 */
function createOperatorWatch(context: Context, router: SipRouter): () => Promise<Seen> {
  const { fleet } = context;
  let asked: { readonly at: string; readonly generation: number } | undefined;
  return async () => {
    if (asked === undefined) {
      const unseen = backendsOfRouter(router, await fleet.backends()).filter(
        ({ metadata, status }) => (status?.observedGeneration ?? -1) < (metadata.generation ?? 0),
      );
      if (unseen.length > 0)
        return { waiting: unseen.map((one) => `the operator has not looked at PbxBackend ${keyOf(one)} as it is now`) };
      const at = new Date(context.now()).toISOString();
      const { metadata } = (await fleet.requestReload(router, at)) ?? {};
      asked = { at: metadata === undefined ? "" : at, generation: metadata?.generation ?? 0 };
    }
    const now = (await fleet.routers()).find((one) => keyOf(one) === keyOf(router));
    if (now === undefined) return { waiting: ["it was deleted meanwhile"], final: true };
    return judge(now, asked.at, asked.generation);
  };
}

/** @param at what it was asked by; "" where nobody can be asked */
function judge({ spec, status }: SipRouter, at: string, generation: number): Seen {
  if (at !== "" && status?.lastHandledReloadAt !== at)
    return { waiting: ["the operator has not done it yet; if this stays, check that it runs"] };
  if ((status?.observedGeneration ?? -1) < generation)
    return { waiting: ["the operator has not taken up the spec as it is now"] };
  const accepted = conditionOf(status, "Accepted");
  if (accepted?.status === "False")
    return {
      waiting: [`the spec is refused, the pods run what was accepted before: ${accepted.message}`],
      final: true,
    };
  if (spec.replicas === 0) return { waiting: ["it has no pods: spec.replicas is 0"], final: true };
  const programmed = conditionOf(status, "Programmed");
  if (programmed?.status === "True") return { waiting: [] };
  return { waiting: [`Programmed is ${programmed?.status ?? "not known"}: ${programmed?.message ?? "no status yet"}`] };
}
