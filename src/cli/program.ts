/**
 * cli: `kubectl sip`. The command line (`commandLine/`) calls a command (`commands/`), which asks a fleet (`fleet/`), gives
 * the answers to a pure view (`views/`) and prints that as text or data (`print/`); `ui/` is the page of `kubectl sip ui`.
 * Here: one run of it, and its exit code.
 */
import { Command, CommanderError } from "commander";
import { OperatorError } from "../errors.ts";
import { completeWords } from "./completion.ts";
import { addCallCommands } from "./commandLine/calls.ts";
import { addChangeCommands } from "./commandLine/change.ts";
import { addFileCommands, shapeOf } from "./commandLine/files.ts";
import { addFleetCommands } from "./commandLine/fleet.ts";
import { createKit, type Alone, type WithFleet } from "./commandLine/kit.ts";
import { openFleet } from "./fleet/connect.ts";
import { EXIT, type CliIO } from "./print/output.ts";
import { plain } from "./print/table.ts";

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
      let own = false;
      const endsItself = (): void => void (own = true);
      try {
        code = await orInterrupted(io.signal, run({ fleet, io, now: () => io.now(), endsItself }), () => own);
      } finally {
        fleet.close();
      }
    },
    async (run) => {
      code = await orInterrupted(io.signal, run(io));
    },
  );
  // as kubectl asks: what follows may look like options
  if (args[0] === "__complete") {
    for (const line of completeWords(shapeOf(program), args.slice(1))) io.stdout(line);
    return EXIT.ok;
  }
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
    return code;
  } catch (error) {
    return report(error, io);
  }
}

/** Who interrupts it waits for nothing more, unless the command sees to its end itself. */
function orInterrupted(signal: AbortSignal, running: Promise<number>, endsItself = () => false): Promise<number> {
  return new Promise((resolve, reject) => {
    running.then(resolve, reject);
    const end = (): void => {
      if (!endsItself()) resolve(signal.reason === "SIGTERM" ? EXIT.terminated : EXIT.interrupted);
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
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

export function buildProgram(version: string, withFleet: WithFleet, alone: Alone): Command {
  const program = new Command("kubectl sip")
    .description("See and operate the SIP routers of a cluster, or of a standalone (--state).")
    .version(version)
    .enablePositionalOptions()
    .showHelpAfterError("(kubectl sip --help shows all commands)");
  const kit = createKit(program, withFleet, alone);
  addFleetCommands(kit);
  addCallCommands(kit);
  addChangeCommands(kit);
  addFileCommands(kit);
  program.addHelpText(
    "after",
    "\nExit codes: 0 done; 1 something failed or is not as it should be; 2 the command line is wrong; 3 some pods did not answer; 130 interrupted.",
  );
  return program;
}
