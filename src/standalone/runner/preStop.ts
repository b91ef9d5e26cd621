/** The preStop hook: a command that may take until the deadline; the pod's end waits for it. */
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { markerEntry, type RunningProcess } from "./process.ts";

export interface PreStopOptions {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly process: RunningProcess;
  readonly logFile: string;
  /** milliseconds of `performance` */
  readonly deadline: number;
  readonly log: (message: string) => void;
}

/** Resolves when the hook ended, the process it prepares ended, or the deadline passed. Never throws. */
export async function runPreStop(options: PreStopOptions): Promise<void> {
  const [program = "", ...args] = options.command;
  const log = await open(options.logFile, "a", 0o640);
  let timer: NodeJS.Timeout | undefined;
  try {
    // The marker makes the hook one of the pod's processes: what is left of it ends with the pod.
    const env = { ...options.env, ...markerEntry(options.process.record) };
    const child = spawn(program, args, { env, detached: true, stdio: ["ignore", log.fd, log.fd] });
    const ended = new Promise<void>((resolve) => {
      child.once("error", (error) => {
        options.log(`preStop ${program}: ${error.message}`);
        resolve();
      });
      child.once("exit", (code) => {
        if (code !== 0 && code !== null) options.log(`preStop ${program}: exit code ${code}`);
        resolve();
      });
    });
    const late = new Promise<void>(
      (resolve) => (timer = setTimeout(resolve, Math.max(0, options.deadline - performance.now()))),
    );
    await Promise.race([ended, late, options.process.exited]);
    child.unref();
  } finally {
    clearTimeout(timer);
    await log.close();
  }
}
