/** Programs the demo starts: each in a process group of its own, so that Ctrl-C reaches only the demo, which ends them. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const started = new Set<ChildProcess>();
let ending = false;

/** `output`: a file for what it prints, so that it can outlive the demo. */
export function start(
  program: string,
  args: readonly string[],
  options: { cwd: string; output: string },
): ChildProcess {
  if (ending) throw new Error("the demo ends");
  const file = openSync(options.output, "a");
  const errors = openSync(`${options.output}.err`, "a");
  const child = spawn(program, args, { cwd: options.cwd, detached: true, stdio: ["ignore", file, errors] });
  closeSync(file);
  closeSync(errors);
  started.add(child);
  child.once("exit", () => started.delete(child));
  child.once("error", () => started.delete(child));
  return child;
}

/** Resolves with the exit code; -1 when it did not start or was ended by a signal. */
export const ended = (child: ChildProcess): Promise<number> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode ?? -1);
    child.once("exit", (code) => resolve(code ?? -1));
    child.once("error", () => resolve(-1));
  });

/** SIGTERM, and SIGKILL after `patienceMs`. */
export async function stop(child: ChildProcess, patienceMs = 2000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const end = ended(child);
  child.kill("SIGTERM");
  const late = new AbortController();
  await Promise.race([end, sleep(patienceMs, undefined, { signal: late.signal }).catch(() => {})]);
  late.abort();
  if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await end;
}

/** Nothing can be started any more. */
export function stopAll(): Promise<unknown> {
  ending = true;
  return Promise.all([...started].map((child) => stop(child)));
}

/** Lets the demo end while they run. */
export function leaveAll(): void {
  for (const child of started) child.unref();
}

/** Processes that have `folder` in their command line: whatever the demo or its children left (Linux). */
export function processesOf(folder: string): { pid: number; command: string }[] {
  const found = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (command.includes(folder)) found.push({ pid: Number(entry), command });
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}

/** Waits until `condition` gives something other than undefined, null or false. */
export async function until<Found>(
  what: string,
  condition: () => Found | undefined | null | false,
  options: { seconds: number; signal: AbortSignal },
): Promise<Found> {
  const deadline = performance.now() + options.seconds * 1000;
  for (;;) {
    options.signal.throwIfAborted();
    const found = condition();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${options.seconds} s`);
    await sleep(50, undefined, { signal: options.signal });
  }
}
