/** What the commands have in common: which routers, how answers are printed, which exit code. */
import type { SipRouter } from "../../api/index.ts";
import { readDestinations } from "../../kamailio/ask.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import { chooseRouters, EXIT, outputOf, print, type CliIO, type OutputOptions } from "../print/output.ts";

export interface Context {
  readonly fleet: Fleet;
  readonly io: CliIO;
  /** milliseconds since the epoch */
  now(): number;
}

export interface WatchOptions {
  readonly watch?: boolean;
  /** seconds */
  readonly interval: number;
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
  views: readonly { readonly data: object; readonly lines: () => readonly string[] }[],
): void {
  const output = outputOf(options);
  print(output, io, {
    data: views.length === 1 ? views[0]?.data : views.map(({ data }) => data),
    lines: () => views.flatMap(({ lines }, index) => [...(index === 0 ? [] : [""]), ...lines()]),
    objects: routers,
  });
}

export const destinationsOf = (fleet: Fleet, pod: FleetPod): Promise<readonly ObservedDestination[]> =>
  readDestinations((method, ...params) => fleet.rpc(pod, method, params));
