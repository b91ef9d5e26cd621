/** `capture`: begins a capture on every pod, reads it while it runs, ends it, prints the ladder. */
import { randomInt } from "node:crypto";
import { OperatorError } from "../../errors.ts";
import type { Call } from "../../kamailio/ask.ts";
import {
  beginCapture,
  CAPTURABLE,
  endCapture,
  readCapture,
  type CapturedMessage,
  type CaptureOf,
} from "../../kamailio/capture.ts";
import { CAPTURE } from "../../render/layout.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import { answered, askAll, EXIT, reportRouter, type Answer, type OutputOptions } from "../print/output.ts";
import { awaitNext, unlessEnded } from "../print/watch.ts";
import { buildCalls, isOver, ladderJson, renderLadder, type LadderData } from "../views/ladder.ts";
import { nameResources } from "../views/naming.ts";
import { chosen, printAll, worst, type Context } from "./context.ts";

export interface CaptureOptions extends OutputOptions {
  readonly callId?: string;
  readonly number?: string;
  /** seconds */
  readonly for: number;
}

/** Between two readings, seconds. */
const POLL = 0.5;

export async function capture(context: Context, name: string | undefined, options: CaptureOptions): Promise<number> {
  const { fleet, io } = context;
  const what = parseWhat(options);
  const [routers, backends] = await Promise.all([chosen(context, name), fleet.backends()]);
  const session = randomInt(1, 2 ** 31 - 1);
  context.endsItself?.();
  const running = await Promise.all(
    routers.map(async (router) => ({
      router,
      naming: nameResources(router, backends),
      begun: await askAll(await fleet.pods(router), async (pod) => {
        await beginCapture(callOf(fleet, pod), what, session, options.for);
        return { messages: [], full: false, over: false, silent: undefined } as Got;
      }),
    })),
  );
  const dataOf = ({ router, naming, begun }: (typeof running)[number]): LadderData => ({
    router,
    naming,
    answers: begun.map((one): Answer<readonly CapturedMessage[]> =>
      "error" in one ? one : { pod: one.pod, value: one.value.messages },
    ),
    silent: silentOf(begun),
    full: answered(begun).some(({ value }) => value.full),
    texts: options.output === "wide",
  });
  const pods = running.flatMap(({ begun }) => answered(begun));
  if (pods.length > 0) io.stderr(`capturing on ${pods.length} pods for ${options.for} s; interrupt to end it before`);
  const deadline = context.now() + options.for * 1000;
  try {
    let wasOver = false;
    while (pods.length > 0) {
      if (!(await awaitNext(POLL, io.signal))) break;
      await unlessEnded(Promise.all(pods.map(({ pod, value }) => readMore(fleet, pod, session, value))), io.signal);
      const calls = running.flatMap((one) => buildCalls(dataOf(one)));
      // once more: what follows the last reply, as the ACK
      if (wasOver || context.now() >= deadline || pods.every(({ value }) => value.over)) break;
      wasOver = calls.length > 0 && calls.every(isOver);
    }
  } finally {
    await Promise.all(pods.map(({ pod }) => endCapture(callOf(fleet, pod), session).catch(() => false)));
  }
  const shown = running.map((one) => dataOf(one));
  printAll(
    options,
    io,
    routers,
    shown.map((data) => ({ data: ladderJson(data), lines: (style) => renderLadder(data, style) })),
  );
  const codes = running.map(({ router, begun }) =>
    reportRouter(
      router,
      begun.map((one) => silentOf([one])[0] ?? one),
      io,
    ),
  );
  return pods.length === 0 || shown.every((data) => buildCalls(data).length === 0) ? EXIT.failed : worst(codes);
}

const callOf =
  (fleet: Fleet, pod: FleetPod): Call =>
  (method, ...params) =>
    fleet.rpc(pod, method, params);

interface Got {
  readonly messages: CapturedMessage[];
  full: boolean;
  over: boolean;
  /** why it could not be read the last time */
  silent: OperatorError | undefined;
}

/** Pods that began, and do not answer any more. */
const silentOf = (begun: readonly Answer<Got>[]): readonly Answer<never>[] =>
  answered(begun).flatMap(({ pod, value: { silent } }) =>
    silent === undefined ? [] : [{ pod, error: silent.message, remedy: silent.remedy }],
  );

/** A pod that does not answer now may the next time; what it captured stays there. */
async function readMore(fleet: Fleet, pod: FleetPod, session: number, got: Got): Promise<void> {
  try {
    const found = await readCapture(callOf(fleet, pod), session, got.messages.length);
    got.messages.push(...found.messages);
    got.full = found.count > CAPTURE.maxMessages;
    got.over = found.over;
    got.silent = undefined;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    got.silent = error;
  }
}

function parseWhat({ callId, number }: CaptureOptions): CaptureOf {
  if ((callId === undefined) === (number === undefined))
    throw new OperatorError("SIPR_USAGE", "Which call is to be captured: --call-id or --number, one of them.", {
      remedy: "Take a Call-ID from: kubectl sip calls -o wide; or give the number of the caller or of who is called.",
    });
  if (number !== undefined && !CAPTURABLE.test(number))
    throw new OperatorError("SIPR_USAGE", `${JSON.stringify(number)} is no number and no user.`, {
      remedy: "Give the user part of an address: at most 64 letters, digits and . _ + * # -",
    });
  if (callId !== undefined && !/^[!#-[\]-~]{1,200}$/.test(callId))
    throw new OperatorError("SIPR_USAGE", `${JSON.stringify(callId)} is not a Call-ID that can be asked for.`, {
      remedy: 'At most 200 characters without spaces, " and \\. Use --number instead.',
    });
  return callId === undefined ? { number: number ?? "" } : { callId };
}
