/** `status`, `stats`, `dump`: gather, print, exit code. */
import { keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import {
  askAll,
  chooseRouters,
  EXIT,
  outputOf,
  print,
  styleOf,
  type Answer,
  type OutputOptions,
} from "../print/output.ts";
import { awaitNext } from "../print/watch.ts";
import { disagrees, dumpJson, mergeDestinations, renderDump, type DumpData } from "../views/dump.ts";
import { backendsOfRouter } from "../views/members.ts";
import { findProblems } from "../views/problems.ts";
import { parseStats, renderStats, statQuestions, type StatAnswers, statsJson, type PodStats } from "../views/stats.ts";
import { renderStatus, statusJson, type StatusData } from "../views/status.ts";
import { chosen, destinationsOf, repeated, showRouters, type Context, type WatchOptions } from "./context.ts";
import { desiredOf } from "./verify.ts";

export const status = (
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { check?: boolean },
): Promise<number> =>
  repeated(options, context, async () => {
    const { fleet } = context;
    const [all, backends] = await Promise.all([fleet.routers(), fleet.backends()]);
    const routers = chooseRouters(all, router, fleet.source);
    const fleets = await Promise.all(routers.map(async (one) => ({ router: one, pods: await fleet.pods(one) })));
    // of a router that is named only what is its own: another one's dead PBX is not its trouble
    const used =
      router === undefined
        ? backends
        : backends.filter((one) => routers.some((of) => backendsOfRouter(of, [one]).length > 0));
    const data: StatusData = { fleets, backends: used };
    return {
      draw: (io) =>
        print(outputOf(options), io, {
          data: statusJson(data),
          lines: () => renderStatus(data, styleOf(options, io)),
          objects: [...routers, ...used],
        }),
      report: () => (options.check && findProblems(fleets, used).length > 0 ? EXIT.failed : EXIT.ok),
    };
  });

// stats -------------------------------------------------------------------------------------------------------------------

interface Reading {
  /** milliseconds since the epoch */
  readonly at: number;
  readonly answers: readonly Answer<PodStats>[];
}

async function podStats(fleet: Fleet, pod: FleetPod): Promise<PodStats> {
  const answers: [string, unknown][] = [];
  for (const [name, method, params] of statQuestions) answers.push([name, await fleet.rpc(pod, method, [...params])]);
  return parseStats(Object.fromEntries(answers) as StatAnswers);
}

/** A rate takes two readings: without --watch the first one is not shown. */
export async function stats(
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { rate?: boolean },
): Promise<number> {
  const { fleet } = context;
  const earlier = new Map<string, Reading>();
  const read = async (one: SipRouter): Promise<Reading> => ({
    at: context.now(),
    answers: await askAll(await fleet.pods(one), (pod) => podStats(fleet, pod)),
  });
  if (options.rate === true && options.watch !== true) {
    for (const one of await chosen(context, router)) earlier.set(keyOf(one), await read(one));
    if (!(await awaitNext(options.interval ?? 2, context.io.signal))) return EXIT.interrupted;
  }
  return showRouters(context, router, options, async (one) => {
    const now = await read(one);
    const before = earlier.get(keyOf(one));
    earlier.set(keyOf(one), now);
    const data = {
      router: one,
      answers: now.answers,
      before: before && { answers: before.answers, seconds: (now.at - before.at) / 1000 },
    };
    return { data: statsJson(data), lines: (style) => renderStats(data, style), answers: now.answers };
  });
}

// dump --------------------------------------------------------------------------------------------------------------------

export async function dump(
  context: Context,
  router: string | undefined,
  options: OutputOptions & { set?: string; perPod?: boolean },
): Promise<number> {
  const { fleet } = context;
  const [routers, backends] = await Promise.all([chosen(context, router), fleet.backends()]);
  const sets = new Set(routers.flatMap((one) => one.spec.dispatcherSets.map((set) => set.name)));
  if (options.set !== undefined && !sets.has(options.set))
    throw new OperatorError("SIPR_USAGE", `There is no dispatcher set ${options.set}.`, {
      remedy: `Use one of: ${[...sets].join(", ")}.`,
    });
  return showRouters(context, router, options, async (one) => {
    const [pods, desired] = await Promise.all([fleet.pods(one), desiredOf(fleet, one)]);
    const answers = await askAll(pods, (pod) => destinationsOf(fleet, pod));
    const data: DumpData = { router: one, backends, desired, set: options.set, answers };
    return {
      data: dumpJson(data),
      lines: (style) => renderDump(data, style, options.perPod === true),
      answers,
      failed: mergeDestinations(data).some(disagrees),
    };
  });
}
