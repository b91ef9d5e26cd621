/** `calls`, `end` and `top`: gather, print, exit code. */
import type { SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { NOT_THERE, orWhen } from "../../kamailio/ask.ts";
import { parseDialogAnswer } from "../../kamailio/parse.ts";
import { podNameOf, type FleetPod } from "../fleet/index.ts";
import { askAll, EXIT, outputOf, type Answer, type CliIO, type OutputOptions } from "../print/output.ts";
import { plain } from "../print/table.ts";
import { awaitNext, unlessEnded } from "../print/watch.ts";
import { callEvents, renderEvent, type CallEvent } from "../views/callEvents.ts";
import {
  addDetail,
  BRIEFING,
  callsJson,
  parseBriefing,
  parseCallId,
  renderCalls,
  selectCalls,
  withNamespace,
  type Call,
  type Filter,
} from "../views/calls.ts";
import { nameResources } from "../views/naming.ts";
import { DETAILED, renderTop, topJson } from "../views/top.ts";
import { chosen, findPod, showRouters, type Context, type WatchOptions } from "./context.ts";

/** Kamailio builds an answer in 8 MiB of private memory; a call takes about 200 bytes of it (10,000: 2 MB in 0.5 s). */
const LISTABLE = 20_000;

export async function readCalls({ fleet, now }: Context, pod: FleetPod): Promise<readonly Call[]> {
  const active = parseDialogAnswer(await fleet.rpc(pod, "dlg.stats_active"));
  if (active > LISTABLE)
    throw new OperatorError("SIPR_RPC_FAULT", `it has ${active} calls, more than can be listed.`, {
      remedy: "Count them with: kubectl sip stats",
    });
  return parseBriefing(await fleet.rpc(pod, "dlg.briefing", [BRIEFING]), pod, now() / 1000);
}

const askCalls = async (context: Context, router: SipRouter): Promise<readonly Answer<readonly Call[]>[]> =>
  askAll(await context.fleet.pods(router), (pod) => readCalls(context, pod));

/** With route and backend of each. */
export async function withDetail(
  context: Context,
  router: SipRouter,
  pods: readonly FleetPod[],
  calls: readonly Call[],
): Promise<readonly Call[]> {
  const naming = nameResources(router, await context.fleet.backends());
  const podOf = new Map(pods.map((pod) => [pod.name, pod]));
  return Promise.all(
    calls.map(async (call) => {
      const pod = podOf.get(call.pod);
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

const detail = (
  context: Context,
  router: SipRouter,
  answers: readonly Answer<readonly Call[]>[],
  calls: readonly Call[],
): Promise<readonly Call[]> =>
  withDetail(
    context,
    router,
    answers.map(({ pod }) => pod),
    calls,
  );

export interface CallsOptions extends OutputOptions, WatchOptions {
  readonly from?: string;
  readonly to?: string;
  readonly callId?: string;
  readonly limit: number;
  readonly offset: number;
  readonly follow?: boolean;
  readonly allNamespaces?: boolean;
}

export async function listCalls(context: Context, router: string | undefined, options: CallsOptions): Promise<number> {
  const filter: Filter = { from: options.from, to: options.to, callId: options.callId };
  if (options.follow === true) return followCalls(context, router, options, filter);
  return showRouters(context, router, options, async (one) => {
    const answers = await askCalls(context, one);
    const matched = selectCalls(answers, filter);
    const shown = matched.slice(options.offset, options.offset + options.limit);
    const page = (await detail(context, one, answers, shown)).map((call) => named(call, one, options));
    const data = { router: one, answers, matched, page, offset: options.offset };
    return { data: callsJson(data), lines: (style) => renderCalls(data, style), answers };
  });
}

const named = (call: Call, { metadata }: SipRouter, { allNamespaces = false }: CallsOptions): Call =>
  allNamespaces ? withNamespace(call, metadata.namespace) : call;

/** One line whenever a call begins, is answered or ends, until the user ends it. */
async function followCalls(
  context: Context,
  name: string | undefined,
  options: CallsOptions,
  filter: Filter,
): Promise<number> {
  const { io } = context;
  const routers = await chosen(context, name);
  const output = outputOf(options);
  const followed: readonly Followed[] = routers.map((router) => ({ router, silent: new Set(), failed: false }));
  const tell = ({ event, call }: CallEvent, router: SipRouter): void => {
    const told = { event, call: named(call, router, options) };
    io.stdout(
      output === "json" ? JSON.stringify({ time: context.now() / 1000, ...told }) : renderEvent(told, context.now()),
    );
  };
  context.endsItself?.();
  do {
    await unlessEnded(Promise.all(followed.map((one) => followRouter(context, one, filter, tell))), io.signal);
  } while (await awaitNext(options.interval ?? 1, io.signal));
  if (followed.some(({ failed }) => failed)) return EXIT.failed;
  return followed.some(({ silent }) => silent.size > 0) ? EXIT.partial : EXIT.ok;
}

interface Followed {
  readonly router: SipRouter;
  readonly silent: Set<string>;
  calls?: readonly Call[];
  /** its pods could not be listed the last time */
  failed: boolean;
}

async function followRouter(
  context: Context,
  followed: Followed,
  filter: Filter,
  tell: (event: CallEvent, router: SipRouter) => void,
): Promise<void> {
  const { router, silent, calls: before } = followed;
  try {
    const answers = await askCalls(context, router);
    tellSilent(answers, silent, context.io);
    // what a silent pod had is not over
    const kept = (before ?? []).filter((call) => silent.has(`${router.metadata.namespace}/${call.pod}`));
    const now = await detailNew(context, router, answers, before ?? [], selectCalls(answers, filter));
    followed.calls = [...now, ...kept];
    followed.failed = false;
    for (const event of callEvents(before, followed.calls)) tell(event, router);
  } catch (error) {
    if (!(error instanceof OperatorError) || before === undefined) throw error;
    if (!followed.failed) context.io.stderr(plain(`not up to date: ${error.message} ${error.remedy}`));
    followed.failed = true;
  }
}

/** Names a pod once when it falls silent and once when it answers again; one that is gone, and its calls with it, no more. */
export function tellSilent(answers: readonly Answer<unknown>[], silent: Set<string>, io: CliIO): void {
  const there = new Set(answers.map(({ pod }) => podNameOf(pod)));
  for (const name of [...silent]) if (!there.has(name)) silent.delete(name);
  for (const answer of answers) {
    const name = podNameOf(answer.pod);
    const quiet = "error" in answer;
    if (quiet && !silent.has(name)) io.stderr(plain(`no answer from pod ${name}: ${answer.error}`));
    if (!quiet && silent.has(name)) io.stderr(`pod ${name} answers again`);
    if (quiet) silent.add(name);
    else silent.delete(name);
  }
}

/** The backend of a call is asked for when it is new, and when it is answered. */
async function detailNew(
  context: Context,
  router: SipRouter,
  answers: readonly Answer<readonly Call[]>[],
  before: readonly Call[],
  now: readonly Call[],
): Promise<readonly Call[]> {
  const earlier = new Map(before.map((call) => [call.id, call]));
  const fresh = now.filter((call) => earlier.get(call.id)?.state !== call.state).slice(0, DETAILED);
  const known = new Map((await detail(context, router, answers, fresh)).map((call) => [call.id, call]));
  return now.map((call) => ({ ...earlier.get(call.id), ...(known.get(call.id) ?? call) }));
}

/** Kamailio sends BYE to both sides. */
export async function endCall(context: Context, id: string): Promise<number> {
  const { fleet, io } = context;
  const wanted = parseCallId(id);
  if (wanted === undefined)
    throw new OperatorError("SIPR_USAGE", `${id} is not the ID of a call.`, {
      remedy: "Take it from the column ID of: kubectl sip calls",
    });
  const pod = await findPod(context, wanted.pod);
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

export const topCalls = (
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { limit: number },
): Promise<number> =>
  showRouters(context, router, options, async (one) => {
    const answers = await askCalls(context, one);
    const matched = selectCalls(answers, {});
    const detailed = matched.length <= DETAILED;
    const calls = detailed ? await detail(context, one, answers, matched) : matched;
    const data = { router: one, answers, calls, detailed, limit: options.limit };
    return { data: topJson(data), lines: (style) => renderTop(data, style), answers };
  });
