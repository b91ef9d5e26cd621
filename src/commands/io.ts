/**
 * commands: one file for each command of `sip-router-operator`; wiring, and the words the user sees. This is what a command
 * may use of its process: passed in by `main.ts`, which touches `process`. */
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
