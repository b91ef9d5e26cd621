/**
 * commands: one file for each command of `sip-router-operator`; wiring, and the words the user sees. Here is what they
 * share: what they may use of their process, and how they are ended.
 */
import { OperatorError } from "../errors.ts";

/** What a command may use of its process: passed in by `main.ts`, which touches `process`. */
export interface CommandIO {
  stdout(line: string): void;
  stderr(line: string): void;
  /** all of standard input, as text */
  readonly stdin?: () => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** aborted on SIGTERM or SIGINT */
  readonly signal: AbortSignal;
}

/** Returns the exit code. */
export type Command<Options> = (options: Options, io: CommandIO) => Promise<number>;

const levels = ["trace", "debug", "info", "warn", "error"];

/** Throws OperatorError SIPR_USAGE. */
export function checkLogLevel(level: string): void {
  if (levels.includes(level)) return;
  throw new OperatorError("SIPR_USAGE", `--log-level ${level} is unknown.`, {
    remedy: `Use one of ${levels.join(", ")}.`,
  });
}

export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
