/** `reload`: asks the operator, then reads every pod back until all run what they must, or the time is over. */
import { keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { answered, askAll, EXIT, reportUnanswered, type OutputOptions } from "../print/output.ts";
import { awaitNext } from "../print/watch.ts";
import { chosen, printAll, type Context } from "./context.ts";
import { allInSync, desiredOf, reloadJson, renderReload, verifyPod, type ReloadData } from "./verify.ts";

export interface ReloadOptions extends OutputOptions {
  /** seconds */
  readonly timeout: number;
}

export async function reload(context: Context, name: string | undefined, options: ReloadOptions): Promise<number> {
  const { fleet, io } = context;
  const routers = await chosen(context, name);
  const now = new Date(context.now()).toISOString().replace(/\.\d+Z$/, "Z");
  for (const router of routers) await fleet.requestReload(router, now);
  const deadline = context.now() + options.timeout * 1000;
  const results: ReloadData[] = [];
  for (const router of routers) results.push(await verifyRouter(context, router, deadline));
  const views = results.map((one) => ({
    data: reloadJson(one),
    lines: (style: Parameters<typeof renderReload>[1]) => renderReload(one, style),
  }));
  printAll(options, io, routers, views);
  const codes = results.map(({ answers }) => reportUnanswered(answers, io));
  if (results.every(allInSync)) return EXIT.ok;
  return codes.includes(EXIT.partial) ? EXIT.partial : EXIT.failed;
}

async function verifyRouter(context: Context, router: SipRouter, deadline: number): Promise<ReloadData> {
  const { fleet, io } = context;
  let told = -1;
  for (;;) {
    const desired = await desiredOf(fleet, router);
    if (desired === undefined)
      throw new OperatorError("SIPR_USAGE", `SipRouter ${keyOf(router)} has no data yet: nothing of it runs.`, {
        remedy: `Look at what is wrong: kubectl sip status ${router.metadata.name}`,
      });
    const pods = (await fleet.pods(router)).filter((pod) => !pod.terminating);
    const answers = await askAll(pods, (pod) => verifyPod(fleet, pod, desired));
    const data = { router, revision: desired.revision, answers };
    const good = answered(answers).filter(({ value }) => value.inSync).length;
    if (io.columns !== undefined && good !== told)
      io.stderr(`${keyOf(router)}: ${good} of ${pods.length} pods run revision ${desired.revision}`);
    told = good;
    if (allInSync(data) || context.now() >= deadline) return data;
    if (!(await awaitNext(0.5, io.signal))) return data;
  }
}
