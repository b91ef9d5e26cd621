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
  reportRouter,
  styleOf,
  type Answer,
  type CliIO,
  type OutputOptions,
} from "../print/output.ts";
import { plain, type Style } from "../print/table.ts";
import { awaitNext, openScreen, unlessEnded } from "../print/watch.ts";

export interface Context {
  readonly fleet: Fleet;
  readonly io: CliIO;
  /** milliseconds since the epoch */
  now(): number;
  /** From now on the command ends by itself when it is interrupted (`io.signal`); before it is left where it is. */
  endsItself?(): void;
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
  /** whom it was asked of; undefined: nobody had to be asked */
  readonly answers: readonly Answer<unknown>[] | undefined;
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

/** What was gathered: drawn, then what is missing is told, which gives the exit code. */
export interface Picture {
  draw(io: CliIO): void;
  report(io: CliIO): number;
}

/** With --watch again and again until the user ends it; the exit code is that of the last picture. */
export async function repeated(options: WatchOptions, context: Context, look: () => Promise<Picture>): Promise<number> {
  const { io } = context;
  const first = await look();
  if (options.watch !== true) {
    first.draw(io);
    return first.report(io);
  }
  context.endsItself?.();
  const screen = openScreen(io);
  try {
    return await watch(context, first, look, options.interval ?? 2, (picture) => {
      let code: number = EXIT.ok;
      screen.show((to) => {
        picture.draw(to);
        code = picture.report(to);
      });
      return code;
    });
  } finally {
    screen.close();
  }
}

/** What cannot be gathered once may be the next time: the last picture stays, with the reason and its age. */
async function watch(
  { io, now }: Context,
  first: Picture,
  look: () => Promise<Picture>,
  seconds: number,
  show: (picture: Picture) => number,
): Promise<number> {
  let last = first;
  let at = now();
  let code = show(last);
  while (await awaitNext(seconds, io.signal)) {
    try {
      const next = await unlessEnded(look(), io.signal);
      if (next === undefined) break;
      last = next;
      at = now();
      code = show(last);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      code = show(stale(last, at, error));
    }
  }
  return code;
}

const stale = (picture: Picture, at: number, error: OperatorError): Picture => ({
  draw: (io) => (io.columns === undefined ? undefined : picture.draw(io)),
  report(io) {
    io.stderr(plain(`stale, of ${new Date(at).toISOString().slice(11, 19)} UTC: ${error.message} ${error.remedy}`));
    return EXIT.failed;
  },
});

/** One view per chosen router; those pods that did not answer are named on standard error. */
export const showRouters = (
  context: Context,
  name: string | undefined,
  options: OutputOptions & WatchOptions,
  look: (router: SipRouter) => Promise<View>,
): Promise<number> =>
  repeated(options, context, async () => {
    const routers = await chosen(context, name);
    const views = await Promise.all(routers.map(look));
    return {
      draw: (io) => printAll(options, io, routers, views),
      report(io) {
        const unanswered = views.map(({ answers }, index) => {
          const router = routers[index];
          return answers === undefined || router === undefined ? EXIT.ok : reportRouter(router, answers, io);
        });
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
