/**
 * cli/commands: one file for each command or group of alike ones: it asks the fleet, hands the answers to a view, gives the
 * exit code. Here is what they have in common: which routers, how answers are printed once or again and again.
 */
import { OperatorError } from "../../errors.ts";
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import { keyOf } from "../../api/index.ts";
import { readDestinations } from "../../kamailio/ask.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import { podNameOf, type Fleet, type FleetPod } from "../fleet/index.ts";
import {
  chooseRouters,
  EXIT,
  outputOf,
  print,
  reportUnanswered,
  styleOf,
  type Answer,
  type CliIO,
  type OutputOptions,
} from "../print/output.ts";
import type { Style } from "../print/table.ts";
import { awaitNext, frame } from "../print/watch.ts";

export interface Context {
  readonly fleet: Fleet;
  readonly io: CliIO;
  /** milliseconds since the epoch */
  now(): number;
}

export interface WatchOptions {
  readonly watch?: boolean;
  /** seconds */
  readonly interval?: number;
}

/** What is shown of one router. */
export interface View {
  readonly data: object;
  readonly lines: (style: Style) => readonly string[];
  /** whom it was asked of */
  readonly answers: readonly Answer<unknown>[];
  /** something is not as it should be */
  readonly failed?: boolean;
}

export const worst = (codes: readonly number[]): number =>
  codes.includes(EXIT.failed) ? EXIT.failed : codes.includes(EXIT.partial) ? EXIT.partial : EXIT.ok;

export const chosen = async ({ fleet }: Context, name: string | undefined): Promise<readonly SipRouter[]> =>
  chooseRouters(await fleet.routers(), name, fleet.source);

/** Prints one view per router as text, or one list of all of them as data. */
export function printAll(
  options: OutputOptions,
  io: CliIO,
  routers: readonly SipRouter[],
  views: readonly Pick<View, "data" | "lines">[],
): void {
  const style = styleOf(options, io);
  print(outputOf(options), io, {
    data: views.length === 1 ? views[0]?.data : views.map(({ data }) => data),
    lines: () => views.flatMap(({ lines }, index) => [...(index === 0 ? [] : [""]), ...lines(style)]),
    objects: routers,
  });
}

/** `look` gathers; what it returns draws and gives the exit code. With --watch again and again until the user ends it. */
export async function repeated(
  options: WatchOptions,
  io: CliIO,
  look: () => Promise<{ readonly draw: () => void; readonly code: () => number }>,
): Promise<number> {
  for (;;) {
    const { draw, code } = await look();
    frame(options.watch === true, io, draw);
    if (options.watch !== true) return code();
    if (!(await awaitNext(options.interval ?? 2, io.signal))) return EXIT.ok;
  }
}

/** One view per chosen router; those pods that did not answer are named on standard error. */
export const showRouters = (
  context: Context,
  name: string | undefined,
  options: OutputOptions & WatchOptions,
  look: (router: SipRouter) => Promise<View>,
): Promise<number> =>
  repeated(options, context.io, async () => {
    const routers = await chosen(context, name);
    const views = await Promise.all(routers.map(look));
    return {
      draw: () => printAll(options, context.io, routers, views),
      code: () => {
        const unanswered = views.map(({ answers }) => reportUnanswered(answers, context.io));
        return views.some(({ failed }) => failed === true) ? EXIT.failed : worst(unanswered);
      },
    };
  });

export const destinationsOf = (fleet: Fleet, pod: FleetPod): Promise<readonly ObservedDestination[]> =>
  readDestinations((method, ...params) => fleet.rpc(pod, method, params));

/** @throws OperatorError SIPR_USAGE: there is none, or more than one */
export async function findBackend({ fleet }: Context, name: string): Promise<PbxBackend> {
  const backends = await fleet.backends();
  const found = backends.filter((one) => one.metadata.name === name || keyOf(one) === name);
  const [first] = found;
  if (first === undefined) {
    const known = backends
      .map((one) => keyOf(one))
      .slice(0, 8)
      .join(", ");
    throw new OperatorError("SIPR_USAGE", `There is no PbxBackend ${name} in ${fleet.source}.`, {
      remedy: known === "" ? "Name another namespace with -n." : `Use one of: ${known}.`,
    });
  }
  if (found.length > 1)
    throw new OperatorError(
      "SIPR_USAGE",
      `There are ${found.length} PbxBackends ${name}: ${found.map((one) => keyOf(one)).join(", ")}.`,
      { remedy: "Name one of them with its namespace." },
    );
  return first;
}

/** @throws OperatorError SIPR_USAGE: no router that is seen has it, or there are two of that name */
export async function findPod({ fleet }: Context, name: string): Promise<FleetPod> {
  const pods = (await Promise.all((await fleet.routers()).map((router) => fleet.pods(router)))).flat();
  const [found, ...others] = pods.filter((one) => one.name === name || podNameOf(one) === name);
  if (found !== undefined && others.length === 0) return found;
  if (found !== undefined)
    throw new OperatorError(
      "SIPR_USAGE",
      `There are ${others.length + 1} pods ${name}: ${[found, ...others].map(podNameOf).join(", ")}.`,
      { remedy: "Name one of them with its namespace." },
    );
  const known = pods
    .map((one) => one.name)
    .slice(0, 8)
    .join(", ");
  throw new OperatorError("SIPR_USAGE", `There is no pod ${name} in ${fleet.source}.`, {
    remedy: known === "" ? "Name its namespace with -n." : `Use one of: ${known}, or name a namespace with -n.`,
  });
}
