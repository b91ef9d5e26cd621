/**
 * cli/commandLine: names, options and help of the commands, one file for each group of them. A command of a fleet is made
 * by {@link Kit.connected} and told what it runs by {@link Kit.run}; what it runs is loaded when it is called.
 */
import { InvalidArgumentError, Option, type Command } from "commander";
import { isIP } from "node:net";
import type { Context } from "../commands/context.ts";
import type { ConnectOptions } from "../fleet/connect.ts";
import { outputs, type CliIO } from "../print/output.ts";

export type WithFleet = (run: (context: Context) => Promise<number>, options: ConnectOptions) => Promise<void>;
export type Alone = (run: (io: CliIO) => Promise<number>) => Promise<void>;

export interface Kit {
  readonly program: Command;
  /** a command of a fleet, with the options that say which */
  connected(name: string, description: string, parent?: Command): Command;
  /** `options` are what commander made of the command's own: its names and parsers are what their type is held against */
  run(
    command: Command,
    action: (context: Context, args: readonly (string | undefined)[], options: never) => Promise<number>,
  ): void;
  /** what a command without a fleet runs */
  readonly alone: Alone;
}

/** Options of every command of a fleet; before the command, too, as kubectl takes them. */
const fleetOptions = (command: Command): Command =>
  command
    .option("-n, --namespace <name>", "namespace (default: that of the context; with --state all)")
    .option("-A, --all-namespaces", "all namespaces")
    .option("-l, --selector <labels>", "only routers with these labels, e.g. region=us-east,tier!=test")
    .option("--context <name>", "context of the kubeconfig")
    .option("--kubeconfig <file>", "kubeconfig (default: KUBECONFIG, ~/.kube/config, in-cluster)")
    .option("--state <dir>", "a standalone's state folder instead of a cluster")
    .option("--direct", "reach pods at their own addresses, not through the API server")
    .option("--request-timeout <duration>", "of one control request", seconds, 5)
    .option("--no-color", "no colours (also: NO_COLOR)");

/** What stands behind the command counts, then what stands before it, then what is meant without either. */
const given = (program: Command, self: Command): ConnectOptions => {
  const before = Object.entries(program.opts()).filter(
    ([key]) => program.getOptionValueSource(key) === "cli" && self.getOptionValueSource(key) !== "cli",
  );
  return { ...self.opts<ConnectOptions>(), ...Object.fromEntries(before) };
};

export const createKit = (program: Command, withFleet: WithFleet, alone: Alone): Kit => ({
  program: fleetOptions(program),
  alone,
  connected: (name, description, parent = program) => fleetOptions(parent.command(name).description(description)),
  run(command, action) {
    command.action(async (...all: unknown[]) => {
      const self = all.at(-1) as Command;
      const options = given(program, self);
      await withFleet((context) => action(context, self.args, options as never), options);
    });
  },
});

export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return value;
  };
const units = { h: 3600, m: 60, s: 1, ms: 0.001 } as const;
/** `90`, `90s`, `1m30s`, `500ms`: as kubectl takes them; NaN for anything else. */
const secondsOf = (text: string): number => {
  if (/^[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text);
  if (!/^([0-9]+(\.[0-9]+)?(h|ms|m|s))+$/.test(text)) return Number.NaN;
  const parts = [...text.matchAll(/([0-9.]+)(h|ms|m|s)/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units], 0);
};
const secondsUpTo =
  (most: number) =>
  (text: string): number => {
    const value = secondsOf(text);
    if (!(value >= 0.1 && value <= most))
      throw new InvalidArgumentError(`Give seconds, from 0.1 to ${most}, or a duration like 30s or 2m.`);
    return value;
  };
export const wholeSeconds =
  (least: number, most: number) =>
  (text: string): number =>
    whole(least, most)(String(/[a-z]$/.test(text) ? secondsOf(text) : text));
export const seconds = secondsUpTo(86_400);
export const address = (text: string): string => {
  if (isIP(text) === 0) throw new InvalidArgumentError("Give an IP address.");
  return text;
};

export const output = (): Option => new Option("-o, --output <format>", "how it is printed").choices(outputs);
export const watch = (command: Command): Command =>
  command
    .option("-w, --watch", "again and again, until interrupted")
    .option("--interval <duration>", "between two readings", seconds, 2);
export const examples = (command: Command, ...lines: readonly string[]): Command =>
  command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`);
