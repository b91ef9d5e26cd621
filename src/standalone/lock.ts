/** One instance per state folder: a lock file that names its holder, and dies with it. */
import { randomUUID } from "node:crypto";
import { link, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
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
    while (!(await tryLink(temporary, file))) await clearStale(file, state);
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

async function clearStale(file: string, state: string): Promise<void> {
  const text = await readFileIfThere(file);
  if (text === undefined) return;
  const holder = parseHolder(text);
  if (holder !== undefined && (await isAlive(holder))) throw locked(state, holder.pid);
  // Renamed first: of several that see a stale lock only one gets this very file.
  const aside = `${file}.${randomUUID().slice(0, 8)}`;
  await rename(file, aside).catch(() => undefined);
  const taken = await readFileIfThere(aside);
  if (taken !== undefined && taken !== text) await tryLink(aside, file);
  await rm(aside, { force: true });
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
