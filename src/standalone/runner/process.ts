/**
 * One process and all it forks, as a container would hold them: started detached so that it outlives its starter,
 * recorded before and after the start so that a later instance finds it again, and ended as a whole.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import { readFileIfThere, writeFileAtomic } from "./files.ts";
import { findByEnvironment, identify, isAlive, sendSignal, type ProcessIdentity } from "./proc.ts";

/** In the environment of every process of one start: finds those that lost their parent. */
const MARKER = "SIP_ROUTER_PROCESS";

export interface ProcessRecord {
  /** random, one per start */
  readonly marker: string;
  /** absent while the process is being started */
  readonly identity?: ProcessIdentity;
  readonly startedAt: string;
  readonly restartCount: number;
}

export interface StartOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly recordFile: string;
  readonly cwd: string;
  readonly restartCount: number;
}

export interface RunningProcess {
  readonly record: ProcessRecord;
  readonly pid: number;
  /** resolves when the main process is gone, with how, in words; "" when that cannot be known (it was adopted) */
  readonly exited: Promise<string>;
  /** stops watching; the process goes on */
  release(): void;
}

/** Throws when the program cannot be executed (`code` ENOENT, EACCES). */
export async function startProcess(options: StartOptions): Promise<RunningProcess> {
  const [program, ...args] = options.argv;
  if (program === undefined) throw new Error("no command");
  const base = { marker: randomUUID(), startedAt: new Date().toISOString(), restartCount: options.restartCount };
  await writeRecord(options.recordFile, base);
  const log = await open(options.logFile, "a", 0o640);
  try {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...options.env, [MARKER]: base.marker },
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
    });
    const exited = new Promise<string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    child.unref();
    const pid = child.pid ?? 0;
    const identity = await identify(pid);
    const record: ProcessRecord = identity === undefined ? base : { ...base, identity };
    await writeRecord(options.recordFile, record);
    return { record, pid, exited, release: () => child.removeAllListeners("exit") };
  } finally {
    await log.close();
  }
}

/** The process that an earlier instance recorded, if it still runs. */
export async function adoptProcess(recordFile: string): Promise<RunningProcess | undefined> {
  const record = await readRecord(recordFile);
  if (record === undefined) return undefined;
  const identity = record.identity ?? (await findRoot(record.marker));
  if (identity === undefined || !(await isAlive(identity))) return undefined;
  const found = { ...record, identity };
  if (record.identity === undefined) await writeRecord(recordFile, found);
  let timer: NodeJS.Timeout | undefined;
  const exited = new Promise<string>((resolve) => {
    const look = async (): Promise<void> => {
      if (!(await isAlive(identity))) {
        clearInterval(timer);
        resolve("");
      }
    };
    timer = setInterval(() => void look().catch(() => undefined), 200);
  });
  return { record: found, pid: identity.pid, exited, release: () => clearInterval(timer) };
}

/** Started, but its pid not yet recorded: the one whose parent is not of the same start. */
async function findRoot(marker: string): Promise<ProcessIdentity | undefined> {
  const members = await findByEnvironment(`${MARKER}=${marker}`);
  const pids = new Set(members.map((member) => member.pid));
  const root = members.find((member) => !pids.has(member.parent));
  return root === undefined ? undefined : { pid: root.pid, startTime: root.startTime, bootId: root.bootId };
}

/** Signals the main process only, as the kubelet does. False when it is gone. */
export async function signalProcess(record: ProcessRecord, signal: NodeJS.Signals): Promise<boolean> {
  if (record.identity === undefined || !(await isAlive(record.identity))) return false;
  return sendSignal(record.identity.pid, signal);
}

/** Signals the main process and all it forked. */
export async function signalMembers(record: ProcessRecord, signal: NodeJS.Signals): Promise<void> {
  for (const member of await findByEnvironment(`${MARKER}=${record.marker}`)) sendSignal(member.pid, signal);
}

/** What makes another process one of this start. */
export const markerEntry = (record: ProcessRecord): Record<string, string> => ({ [MARKER]: record.marker });

/** Kills what is left of one start: in a container all processes end with the first. Returns when they are gone. */
export async function killRemains(record: ProcessRecord): Promise<void> {
  const entry = `${MARKER}=${record.marker}`;
  for (let members = await findByEnvironment(entry); members.length > 0; members = await findByEnvironment(entry)) {
    for (const member of members) if (await isAlive(member)) sendSignal(member.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function readRecord(file: string): Promise<ProcessRecord | undefined> {
  const text = await readFileIfThere(file);
  return text === undefined ? undefined : (JSON.parse(text) as ProcessRecord);
}

const writeRecord = (file: string, record: ProcessRecord): Promise<void> =>
  writeFileAtomic(file, `${JSON.stringify(record)}\n`);
