/** One instance per state folder: a lock file that names its holder, and dies with it. */
import { randomUUID } from "node:crypto";
import { link, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { OperatorError } from "../errors.ts";
import { identifySelf, isAlive, readFileIfThere, type ProcessIdentity } from "./runner/index.ts";

export interface StateLock {
  release(): Promise<void>;
}

/** Throws OperatorError SIPR_STATE_LOCKED. The lock of a process that is gone is taken over. */
export async function lockState(state: string): Promise<StateLock> {
  await mkdir(state, { recursive: true, mode: 0o750 });
  const file = join(state, "lock");
  const self = await identifySelf();
  const own = JSON.stringify(self);
  const temporary = `${file}.${randomUUID().slice(0, 8)}`;
  await writeFile(temporary, own);
  try {
    // Linked, not written: the file is complete from the moment it is there.
    while (!(await tryLink(temporary, file))) await clearStale(file, temporary, state);
  } finally {
    await rm(temporary, { force: true });
  }
  return {
    async release() {
      if ((await readFileIfThere(file)) === own) await rm(file, { force: true });
    },
  };
}

const tryLink = (from: string, to: string): Promise<boolean> =>
  link(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return false;
      throw error;
    },
  );

/** Of several that see a stale lock one at a time may remove it, and only while it is still that one. */
async function clearStale(file: string, own: string, state: string): Promise<void> {
  const text = await readFileIfThere(file);
  if (text === undefined) return;
  const holder = parseHolder(text);
  if (holder !== undefined && (await isAlive(holder))) throw locked(state, holder.pid);
  const clearing = `${file}.clearing`;
  if (!(await tryLink(own, clearing))) {
    const other = parseHolder((await readFileIfThere(clearing)) ?? "");
    if (other !== undefined && !(await isAlive(other))) await rm(clearing, { force: true });
    return setTimeout(10);
  }
  try {
    if ((await readFileIfThere(file)) === text) await rm(file, { force: true });
  } finally {
    await rm(clearing, { force: true });
  }
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(text) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

const locked = (state: string, pid: number): OperatorError =>
  new OperatorError("SIPR_STATE_LOCKED", `The state folder ${state} is in use by another instance (pid ${pid}).`, {
    remedy: `Stop that instance (kill ${pid}), or name another folder with --state.`,
  });
