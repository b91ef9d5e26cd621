/** `calls`, `end`, `top`, and the calls of one backend: gather, print, exit code. */
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { NOT_THERE, orWhen } from "../../kamailio/ask.ts";
import { parseDialogAnswer } from "../../kamailio/parse.ts";
import {
  addDetail,
  BRIEFING,
  callsJson,
  parseBriefing,
  parseCallId,
  renderCalls,
  selectCalls,
  type Call,
  type Filter,
} from "../views/calls.ts";
import { chosen, printAll, worst, type Context, type WatchOptions } from "./context.ts";
import { nameResources } from "../views/naming.ts";
import { askAll, EXIT, reportUnanswered, styleOf, type Answer, type OutputOptions } from "../print/output.ts";
import { renderTop, topJson } from "../views/top.ts";
import { awaitNext, frame } from "../print/watch.ts";

/** Calls whose backend is asked for one by one at most; above this many it is left out of `top`. */
const DETAILED = 500;
/** ... when the calls of one backend are counted */
const COUNTED = 2000;
/** Kamailio builds an answer in 8 MiB of private memory; a call takes about 200 bytes of it (10,000: 2 MB in 0.5 s). */
const LISTABLE = 20_000;

async function askCalls(context: Context, router: SipRouter): Promise<readonly Answer<readonly Call[]>[]> {
  const { fleet } = context;
  return askAll(await fleet.pods(router), async (pod) => {
    const active = parseDialogAnswer(await fleet.rpc(pod, "dlg.stats_active"));
    if (active > LISTABLE)
      throw new OperatorError("SIPR_RPC_FAULT", `it has ${active} calls, more than can be listed.`, {
        remedy: "Count them with: kubectl sip stats",
      });
    return parseBriefing(await fleet.rpc(pod, "dlg.briefing", [BRIEFING]), pod, context.now() / 1000);
  });
}

async function detail(
  context: Context,
  router: SipRouter,
  answers: readonly Answer<readonly Call[]>[],
  calls: readonly Call[],
): Promise<readonly Call[]> {
  const naming = nameResources(router, await context.fleet.backends());
  const pods = new Map(answers.map(({ pod }) => [pod.name, pod]));
  return Promise.all(
    calls.map(async (call) => {
      const pod = pods.get(call.pod);
      const askable = /^[\x20-\x7E]+$/.test(call.callId + call.fromTag) && !/["\\]/.test(call.callId + call.fromTag);
      if (pod === undefined || !askable) return call;
      // a call that ended meanwhile is shown as it was
      const answer = await orWhen<unknown>(
        NOT_THERE,
        undefined,
        context.fleet.rpc(pod, "dlg.dlg_list", [call.callId, call.fromTag]),
      ).catch(() => undefined);
      return addDetail(call, answer, naming);
    }),
  );
}

export interface CallsOptions extends OutputOptions, WatchOptions {
  readonly from?: string;
  readonly to?: string;
  readonly callId?: string;
  readonly limit: number;
  readonly offset: number;
}

export async function listCalls(context: Context, router: string | undefined, options: CallsOptions): Promise<number> {
  const { io } = context;
  const filter: Filter = { from: options.from, to: options.to, callId: options.callId };
  for (;;) {
    const routers = await chosen(context, router);
    const all = await Promise.all(
      routers.map(async (one) => {
        const answers = await askCalls(context, one);
        const matched = selectCalls(answers, filter);
        const page = await detail(context, one, answers, matched.slice(options.offset, options.offset + options.limit));
        return { router: one, answers, matched, page, offset: options.offset };
      }),
    );
    frame(options.watch === true, io, () =>
      printAll(
        options,
        io,
        routers,
        all.map((data) => ({ data: callsJson(data), lines: () => renderCalls(data, styleOf(options, io)) })),
      ),
    );
    if (!options.watch) return worst(all.map(({ answers }) => reportUnanswered(answers, io)));
    if (!(await awaitNext(options.interval, io.signal))) return EXIT.ok;
  }
}

/** Kamailio sends BYE to both sides. */
export async function endCall(context: Context, id: string): Promise<number> {
  const { fleet, io } = context;
  const wanted = parseCallId(id);
  if (wanted === undefined)
    throw new OperatorError("SIPR_USAGE", `${id} is not the ID of a call.`, {
      remedy: "Take it from the column ID of: kubectl sip calls",
    });
  const pods = (await Promise.all((await fleet.routers()).map((router) => fleet.pods(router)))).flat();
  const pod = pods.find((one) => one.name === wanted.pod);
  if (pod === undefined)
    throw new OperatorError("SIPR_USAGE", `There is no pod ${wanted.pod} in ${fleet.source}.`, {
      remedy: "Name its namespace with -n.",
    });
  try {
    await fleet.rpc(pod, "dlg.end_dlg", [wanted.entry, wanted.id]);
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "SIPR_RPC_FAULT") throw error;
    throw new OperatorError(error.code, `The call ${id} was not ended: ${error.message}`, {
      remedy: "It may be over: look at kubectl sip calls again.",
      cause: error,
    });
  }
  io.stdout(`call ${id}: ended (BYE to both sides)`);
  return EXIT.ok;
}

export async function topCalls(
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { limit: number },
): Promise<number> {
  const { io } = context;
  for (;;) {
    const routers = await chosen(context, router);
    const all = await Promise.all(
      routers.map(async (one) => {
        const answers = await askCalls(context, one);
        const matched = selectCalls(answers, {});
        const detailed = matched.length <= DETAILED;
        const known = detailed ? await detail(context, one, answers, matched) : matched;
        return { answers, data: { router: one, calls: known, detailed, limit: options.limit } };
      }),
    );
    frame(options.watch === true, io, () =>
      printAll(
        options,
        io,
        routers,
        all.map(({ data }) => ({ data: topJson(data), lines: () => renderTop(data, styleOf(options, io)) })),
      ),
    );
    if (!options.watch) return worst(all.map(({ answers }) => reportUnanswered(answers, io)));
    if (!(await awaitNext(options.interval, io.signal))) return EXIT.ok;
  }
}

/** Live calls whose callee is the backend, over all routers of its namespace. */
export async function callsOfBackend(
  context: Context,
  backend: PbxBackend,
): Promise<{ readonly calls: number; readonly more: boolean; readonly answers: readonly Answer<unknown>[] }> {
  const routers = (await context.fleet.routers()).filter(
    (one) => one.metadata.namespace === backend.metadata.namespace,
  );
  let count = 0;
  let more = false;
  const all: Answer<unknown>[] = [];
  for (const router of routers) {
    const answers = await askCalls(context, router);
    all.push(...answers);
    const matched = selectCalls(answers, {});
    const known = await detail(context, router, answers, matched.slice(0, COUNTED));
    more ||= matched.length > COUNTED;
    count += known.filter((call) => (call.backend ?? "").split(",").includes(backend.metadata.name)).length;
  }
  return { calls: count, more, answers: all };
}
