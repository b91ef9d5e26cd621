/**
 * cli: `kubectl sip`. Here the names, options and help of its commands. A command (`commands/`) asks a fleet (`fleet/`), gives
 * the answers to a pure view (`views/`) and prints that as text or data (`print/`).
 */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { isIP } from "node:net";
import { OperatorError } from "../errors.ts";
import { renderCompletion, shells, type CommandShape } from "./completion.ts";
import { openFleet, type ConnectOptions } from "./fleet/connect.ts";
import { EXIT, type CliIO, type OutputOptions } from "./print/output.ts";
import { plain } from "./print/table.ts";
import type { Context } from "./commands/context.ts";

const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return value;
  };
const seconds = (text: string): number => {
  const value = Number(text);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || value < 0.1 || value > 86_400)
    throw new InvalidArgumentError("Give seconds, from 0.1 to 86400.");
  return value;
};
const address = (text: string): string => {
  if (isIP(text) === 0) throw new InvalidArgumentError("Give an IP address.");
  return text;
};

const output = (): Option => new Option("-o, --output <format>", "json, yaml, wide or name");
const watch = (command: Command): Command =>
  command
    .option("-w, --watch", "again and again, until interrupted")
    .option("--interval <seconds>", "between two readings", seconds, 2);
const examples = (...lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

export interface ProgramIO extends CliIO {
  /** milliseconds since the epoch */
  now(): number;
}

/** Runs one command line (without program names) and returns the exit code. Never throws. */
export async function runProgram(args: readonly string[], io: ProgramIO, version: string): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(
    version,
    async (run, options) => {
      const fleet = await openFleet(options, io);
      try {
        code = await run({ fleet, io, now: () => io.now() });
      } finally {
        fleet.close();
      }
    },
    async (run) => {
      code = await run(io);
    },
  );
  const width = Math.max(40, Math.min(io.columns ?? 100, 120));
  for (const command of allCommands(program))
    command.exitOverride().configureOutput({
      writeOut: (text) => io.stdout(text.trimEnd()),
      writeErr: (text) => io.stderr(text.trimEnd()),
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
    });
  try {
    await program.parseAsync(args, { from: "user" });
    return io.signal.aborted && code === EXIT.ok ? EXIT.ok : code;
  } catch (error) {
    return report(error, io);
  }
}

function report(error: unknown, io: CliIO): number {
  if (error instanceof CommanderError)
    return error.exitCode === 0 || error.code === "commander.help" ? EXIT.ok : EXIT.usage;
  if (error instanceof OperatorError) {
    io.stderr(plain(`error ${error.code}: ${error.message}`));
    io.stderr(plain(`  ${error.remedy}`));
    return error.code === "SIPR_USAGE" ? EXIT.usage : EXIT.failed;
  }
  io.stderr(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  return EXIT.failed;
}

const allCommands = (command: Command): Command[] => [command, ...command.commands.flatMap((one) => allCommands(one))];

type WithFleet = (run: (context: Context) => Promise<number>, options: ConnectOptions) => Promise<void>;
type Alone = (run: (io: CliIO) => Promise<number>) => Promise<void>;

export function buildProgram(version: string, withFleet: WithFleet, alone: Alone): Command {
  const program = new Command("kubectl sip")
    .description("See and operate the SIP routers of a cluster, or of a standalone (--state).")
    .version(version)
    .enablePositionalOptions(false)
    .showHelpAfterError("(kubectl sip --help shows all commands)");
  const connected = (name: string, description: string, parent: Command = program): Command =>
    parent
      .command(name)
      .description(description)
      .option("-n, --namespace <name>", "namespace (default: that of the context; with --state all)")
      .option("-A, --all-namespaces", "all namespaces")
      .option("-l, --selector <labels>", "only routers with these labels, e.g. region=us-east,tier!=test")
      .option("--context <name>", "context of the kubeconfig")
      .option("--kubeconfig <file>", "kubeconfig (default: KUBECONFIG, ~/.kube/config, in-cluster)")
      .option("--state <dir>", "a standalone's state folder instead of a cluster")
      .option("--direct", "reach pods at their own addresses, not through the API server")
      .option("--request-timeout <seconds>", "of one control request", seconds, 5)
      .option("--no-color", "no colours (also: NO_COLOR)");
  const act = (
    command: Command,
    run: (context: Context, args: readonly (string | undefined)[], options: never) => Promise<number>,
  ): void => {
    command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      const options = self.opts() as ConnectOptions;
      await withFleet((context) => run(context, self.args, options as never), options);
    });
  };

  const status = watch(
    connected("status", "routers, sets, backends and pods as a tree; what is wrong comes first")
      .argument("[router]")
      .addOption(output()),
  ).option("--check", "exit code 1 when something is wrong");
  status.addHelpText(
    "after",
    examples("kubectl sip status", "kubectl sip status edge --watch", "kubectl sip status -A --check"),
  );
  act(status, async (context, [router], options) =>
    (await import("./commands/view.ts")).status(context, router, options),
  );

  const dump = connected("dump", "destinations as every pod has them, merged; disagreements are marked")
    .argument("[router]")
    .addOption(output())
    .option("--set <name>", "only this dispatcher set")
    .option("--per-pod", "one line per pod and destination");
  dump.addHelpText(
    "after",
    examples("kubectl sip dump edge", "kubectl sip dump edge --set trunks --per-pod", "kubectl sip dump edge -o json"),
  );
  act(dump, async (context, [router], options) => (await import("./commands/view.ts")).dump(context, router, options));

  const stats = watch(
    connected("stats", "calls, calls per second, replies by class, memory: each pod and the sum")
      .argument("[router]")
      .addOption(output()),
  ).option("--no-rate", "at once, without calls per second (they take two readings)");
  stats.addHelpText(
    "after",
    examples(
      "kubectl sip stats edge",
      "kubectl sip stats edge --watch --interval 5",
      "kubectl sip stats edge --no-rate -o json",
    ),
  );
  act(stats, async (context, [router], options) =>
    (await import("./commands/view.ts")).stats(context, router, options),
  );

  const calls = watch(
    connected("calls", "live calls, the oldest first").alias("online").argument("[router]").addOption(output()),
  )
    .option("--from <text>", "only callers whose address contains this")
    .option("--to <text>", "only called addresses that contain this")
    .option("--call-id <text>", "only Call-IDs that contain this")
    .option("--limit <number>", "calls shown", whole(1, 10_000), 50)
    .option("--offset <number>", "calls left out first", whole(0, 10_000_000), 0);
  calls.addHelpText(
    "after",
    examples(
      "kubectl sip calls edge",
      "kubectl sip calls --from 1234 -o wide",
      "kubectl sip calls --offset 50",
      "kubectl sip end 61:3523@edge-7c9f-x2x8k",
    ),
  );
  act(calls, async (context, [router], options) =>
    (await import("./commands/calls.ts")).listCalls(context, router, options),
  );

  const end = connected("end", "end one call: BYE to both sides").argument("<id>", "from the column ID of calls");
  act(end, async (context, [id]) => (await import("./commands/calls.ts")).endCall(context, id ?? ""));

  const top = watch(
    connected("top", "backends, routes, callers and called numbers with the most calls")
      .argument("[router]")
      .addOption(output()),
  ).option("--limit <number>", "lines of each list", whole(1, 1000), 10);
  act(top, async (context, [router], options) =>
    (await import("./commands/calls.ts")).topCalls(context, router, options),
  );

  const route = program.command("route").description("the dialplan");
  const explain = connected("explain", "what happens to a call to a number, and what the running pods say", route)
    .argument("<number>", "called number")
    .argument("[router]")
    .addOption(output())
    .option("--domain <name>", "host part of the called address")
    .option("--source <ip>", "address of the caller", address);
  explain.addHelpText(
    "after",
    examples(
      "kubectl sip route explain 1234",
      "kubectl sip route explain +442071234567 edge --source 192.0.2.7",
      "kubectl sip route explain 1234 --domain b.example.com",
    ),
  );
  act(explain, async (context, [number, router], options: OutputOptions & { domain?: string; source?: string }) =>
    (await import("./commands/routes.ts")).routeExplain(
      context,
      router,
      { number: number ?? "", domain: options.domain, source: options.source },
      options,
    ),
  );

  const ping = connected("ping", "OPTIONS to each destination from each pod, now")
    .argument("[backend]")
    .addOption(output())
    .option("--router <name>", "only from this router");
  ping.addHelpText("after", examples("kubectl sip ping", "kubectl sip ping freepbx-1 --router edge"));
  act(ping, async (context, [backend], options) =>
    (await import("./commands/routes.ts")).ping(context, backend, options),
  );

  const reload = connected("reload", "have every pod read back and put right; ends when all run the current revision")
    .argument("[router]")
    .addOption(output())
    .option("--timeout <seconds>", "longest wait", seconds, 120);
  reload.addHelpText("after", examples("kubectl sip reload edge"));
  act(reload, async (context, [router], options) =>
    (await import("./commands/change.ts")).reload(context, router, options),
  );

  const drain = connected("drain", "no new calls to a backend; waits until its calls are over")
    .argument("<backend>")
    .option("--no-wait", "do not wait for the calls")
    .option("--timeout <seconds>", "longest wait", seconds, 3600);
  drain.addHelpText("after", examples("kubectl sip drain freepbx-1", "kubectl sip undrain freepbx-1"));
  act(drain, async (context, [backend], options) =>
    (await import("./commands/change.ts")).drain(context, backend ?? "", options),
  );
  const undrain = connected("undrain", "a drained (or disabled) backend takes calls again").argument("<backend>");
  act(undrain, async (context, [backend]) => (await import("./commands/change.ts")).undrain(context, backend ?? ""));

  const diagnose = connected("diagnose", "one archive for a bug report, without secrets; lists what it holds")
    .argument("[router]")
    .option("--to <file>", "write it here (.tar.gz); without it, only the list");
  diagnose.addHelpText("after", examples("kubectl sip diagnose edge", "kubectl sip diagnose edge --to edge.tar.gz"));
  act(diagnose, async (context, [router], options) =>
    (await import("./commands/change.ts")).diagnose(context, router, options),
  );

  const files = "YAML files or folders; - for standard input";
  const validate = program
    .command("validate")
    .description("every issue of resource files; needs no cluster")
    .requiredOption("-f, --file <path...>", files);
  validate.addHelpText(
    "after",
    examples("kubectl sip validate -f config/", "kustomize build . | kubectl sip validate -f -"),
  );
  validate.action(async (options: { file: string[] }) =>
    alone(async (io) =>
      (await import("../commands/render.ts")).render(
        { ...options, output: "yaml" },
        { ...io, stdout: () => undefined },
      ),
    ),
  );
  const render = program
    .command("render")
    .description("what would run (files and objects), or every issue; needs no cluster")
    .requiredOption("-f, --file <path...>", files)
    .option("-o, --output <format>", "yaml or json", "yaml");
  render.action(async (options: { file: string[]; output: string }) =>
    alone(async (io) => (await import("../commands/render.ts")).render(options, io)),
  );

  const completion = program
    .command("completion")
    .description("completion script for a shell")
    .argument("<shell>", shells.join(", "));
  completion.addHelpText(
    "after",
    examples(
      "source <(kubectl-sip completion bash)",
      "kubectl-sip completion fish > ~/.config/fish/completions/kubectl-sip.fish",
    ),
  );
  completion.action(async (shell: string) =>
    alone(async (io) => (io.stdout(renderCompletion(shell, shapeOf(program)).trimEnd()), EXIT.ok)),
  );
  program.addHelpText(
    "after",
    "\nExit codes: 0 done; 1 something failed or is not as it should be; 2 the command line is wrong; 3 some pods did not answer.",
  );
  return program;
}

const shapeOf = (command: Command): CommandShape => ({
  name: command.name(),
  description: command.description(),
  options: command.options.flatMap(({ long, short, hidden }) =>
    hidden ? [] : [long, short].filter((one): one is string => typeof one === "string"),
  ),
  commands: command.commands.map((one) => shapeOf(one)),
});
