/**
 * Folders in which processes make UNIX sockets must have short paths: a socket's path may have 107 bytes (unix(7)). For a
 * pod whose folder lies deep there is a symlink in the system's temporary folder.
 */
import { createHash } from "node:crypto";
import { lstat, readlink, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isCode } from "./files.ts";

/** leaves room for the names of the sockets themselves */
const LONGEST = 80;

const linkOf = (podFolder: string): string =>
  join(tmpdir(), `sipr-${createHash("sha256").update(podFolder).digest("hex").slice(0, 16)}`);

/** The path under which a process is told of a folder that it writes to. */
export function writablePath(podFolder: string, volume: string): string {
  const path = join(podFolder, "volumes", volume);
  return path.length <= LONGEST ? path : join(linkOf(podFolder), volume);
}

/** Makes the symlink where the pod needs one. Throws when somebody else has something of that name. */
export async function makeShortPath(podFolder: string, volume: string): Promise<void> {
  if (writablePath(podFolder, volume) === join(podFolder, "volumes", volume)) return;
  const [link, target] = [linkOf(podFolder), join(podFolder, "volumes")];
  await symlink(target, link).catch((error: unknown) => {
    if (!isCode(error, "EEXIST")) throw error;
  });
  const [found, own] = [await readlink(link).catch(() => ""), (await lstat(podFolder)).uid];
  if (found !== target || (await lstat(link)).uid !== own)
    throw new Error(`${link} is not the symlink to ${target} that this pod needs`);
}

export const removeShortPath = (podFolder: string): Promise<void> => rm(linkOf(podFolder), { force: true });
