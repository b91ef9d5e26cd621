/** The operator as its users run it: the command `run` as a process of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { until } from "../../support/until.ts";

/** OPERATOR_MAIN: another one, e.g. the compiled dist/main.js */
const MAIN = process.env["OPERATOR_MAIN"] ?? fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

export interface LogEntry {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export class OperatorProcess {
  /** arguments of Node.js: its flags and the program */
  static program: readonly string[] = [MAIN];
  readonly lines: LogEntry[] = [];
  /** what is on standard error beside the log */
  readonly plain: string[] = [];
  /** told of each line of the log as it comes */
  onLine: ((line: LogEntry) => void) | undefined;
  readonly #child: ReturnType<typeof spawn>;
  /** everything that it wrote has been read */
  #read = false;

  constructor(kubeconfig: string, ...args: string[]) {
    const command = [
      ...OperatorProcess.program,
      "run",
      "--kubeconfig",
      kubeconfig,
      "--metrics-address",
      "127.0.0.1",
      "--metrics-port",
      "0",
      ...args,
    ];
    this.#child = spawn(process.execPath, command, { stdio: ["ignore", "inherit", "pipe"] });
    if (this.#child.stderr) {
      createInterface({ input: this.#child.stderr })
        .on("line", (line) => {
          if (!line.startsWith("{")) return void this.plain.push(line);
          const entry = JSON.parse(line) as LogEntry;
          this.lines.push(entry);
          this.onLine?.(entry);
        })
        .once("close", () => (this.#read = true));
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  logged(message: string): LogEntry | undefined {
    return this.lines.find((line) => line.message === message);
  }

  /** Waits for a line of this level: what it tells by HTTP may be here before the log's line of it. */
  complaint(level: "warn" | "error", text = ""): Promise<LogEntry> {
    return until(`its log has a line of level ${level} with "${text}"`, () =>
      this.lines.find((line) => line.level === level && JSON.stringify(line).includes(text)),
    );
  }

  /** Waits until it acts: caches filled and, where asked for, leading. */
  async started(): Promise<this> {
    await until("the operator has started", () => {
      if (this.#child.exitCode !== null) throw new Error(`it ended: ${this.plain.join("\n")}`);
      return this.logged("started") !== undefined;
    });
    return this;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const port = await until("its port", () => this.logged("starting")?.["port"] as number | undefined);
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Sends a signal and waits for the end; the exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<number | string | null> {
    if (this.running) {
      const exit = once(this.#child, "exit");
      this.#child.kill(signal);
      await exit;
    }
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** Waits until it ends by itself and all that it wrote is here. */
  async ended(): Promise<number | null> {
    await until("it ends", () => this.#child.exitCode !== null && this.#read);
    return this.#child.exitCode;
  }
}
