/** `status`, `stats`, `dump`: gather, print, exit code. */
import { keyOf } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { disagrees, dumpJson, mergeDestinations, renderDump, type DumpData } from "../views/dump.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import { chosen, destinationsOf, printAll, worst, type Context, type WatchOptions } from "./context.ts";
import {
  askAll,
  chooseRouters,
  EXIT,
  outputOf,
  print,
  reportUnanswered,
  styleOf,
  type Answer,
  type OutputOptions,
} from "../print/output.ts";
import { findProblems } from "../views/problems.ts";
import { parseStats, renderStats, statGroups, statsJson, type PodStats, type StatsData } from "../views/stats.ts";
import { renderStatus, statusJson, type StatusData } from "../views/status.ts";
import { desiredOf } from "./verify.ts";
import { awaitNext, frame } from "../print/watch.ts";

// status ------------------------------------------------------------------------------------------------------------------

export async function status(
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { check?: boolean },
): Promise<number> {
  const { fleet, io } = context;
  for (;;) {
    const [all, backends] = await Promise.all([fleet.routers(), fleet.backends()]);
    const routers = chooseRouters(all, router, fleet.source);
    const fleets = await Promise.all(routers.map(async (one) => ({ router: one, pods: await fleet.pods(one) })));
    const namespaces = new Set(routers.map((one) => one.metadata.namespace));
    const used = router === undefined ? backends : backends.filter((one) => namespaces.has(one.metadata.namespace));
    const data: StatusData = { fleets, backends: used };
    frame(options.watch === true, io, () =>
      print(outputOf(options), io, {
        data: statusJson(data),
        lines: () => renderStatus(data, styleOf(options, io)),
        objects: [...routers, ...used],
      }),
    );
    if (!options.watch) return options.check && findProblems(fleets, used).length > 0 ? EXIT.failed : EXIT.ok;
    if (!(await awaitNext(options.interval, io.signal))) return EXIT.ok;
  }
}

// stats -------------------------------------------------------------------------------------------------------------------

const podStats = async (fleet: Fleet, pod: FleetPod): Promise<PodStats> =>
  parseStats(await fleet.rpc(pod, "stats.fetch", [...statGroups]), await fleet.rpc(pod, "core.uptime"));

export async function stats(
  context: Context,
  router: string | undefined,
  options: OutputOptions & WatchOptions & { rate?: boolean },
): Promise<number> {
  const { fleet, io } = context;
  let before: { at: number; answers: ReadonlyMap<string, readonly Answer<PodStats>[]> } | undefined;
  for (let round = 0; ; round += 1) {
    const routers = await chosen(context, router);
    const at = context.now();
    const all = await Promise.all(
      routers.map(async (one) => ({
        router: one,
        answers: await askAll(await fleet.pods(one), (pod) => podStats(fleet, pod)),
      })),
    );
    const views = all.map(({ router: one, answers }): StatsData => {
      const earlier = before?.answers.get(keyOf(one));
      return {
        router: one,
        answers,
        before: earlier === undefined ? undefined : { answers: earlier, seconds: (at - (before?.at ?? at)) / 1000 },
      };
    });
    before = { at, answers: new Map(all.map((one) => [keyOf(one.router), one.answers])) };
    const first = round === 0 && (options.rate === true || options.watch === true);
    if (!first || options.watch === true)
      frame(options.watch === true, io, () =>
        printAll(
          options,
          io,
          routers,
          views.map((data) => ({ data: statsJson(data), lines: () => renderStats(data, styleOf(options, io)) })),
        ),
      );
    if (!options.watch && !first) return worst(all.map(({ answers }) => reportUnanswered(answers, io)));
    if (!(await awaitNext(options.interval, io.signal))) return EXIT.ok;
  }
}

// dump --------------------------------------------------------------------------------------------------------------------

export async function dump(
  context: Context,
  router: string | undefined,
  options: OutputOptions & { set?: string; perPod?: boolean },
): Promise<number> {
  const { fleet, io } = context;
  const [routers, backends] = await Promise.all([chosen(context, router), fleet.backends()]);
  if (
    options.set !== undefined &&
    !routers.some((one) => one.spec.dispatcherSets.some((set) => set.name === options.set))
  )
    throw new OperatorError("SIPR_USAGE", `There is no dispatcher set ${options.set}.`, {
      remedy: `Use one of: ${[...new Set(routers.flatMap((one) => one.spec.dispatcherSets.map((set) => set.name)))].join(", ")}.`,
    });
  const all = await Promise.all(
    routers.map(async (one): Promise<DumpData> => {
      const [pods, desired] = await Promise.all([fleet.pods(one), desiredOf(fleet, one)]);
      return {
        router: one,
        backends,
        desired,
        set: options.set,
        answers: await askAll(pods, (pod) => destinationsOf(fleet, pod)),
      };
    }),
  );
  printAll(
    options,
    io,
    routers,
    all.map((data) => ({
      data: dumpJson(data),
      lines: () => renderDump(data, styleOf(options, io), options.perPod === true),
    })),
  );
  const unanswered = all.map(({ answers }) => reportUnanswered(answers, io));
  return all.some((data) => mergeDestinations(data).some(disagrees)) ? EXIT.failed : worst(unanswered);
}
