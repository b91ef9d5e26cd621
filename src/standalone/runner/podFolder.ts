/**
 * What a pod has in its folder, `<namespace>/<name>` below the runner's: this is what a later instance knows of it, and what
 * `kubectl sip --state` reads (`src/cli/fleet/stateFleet.ts`).
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readFileIfThere, writeFileAtomic } from "./files.ts";
import type { PodRecord } from "./types.ts";

export const logFileOf = (folder: string): string => join(folder, "log");

/** see ProcessRecord */
export const processFileOf = (folder: string): string => join(folder, "process.json");

const recordFileOf = (folder: string): string => join(folder, "pod.json");
/** there while the pod is being ended */
const terminationFileOf = (folder: string): string => join(folder, "terminating");

/** Makes the folder; owner only. */
export async function writePodRecord(folder: string, record: PodRecord): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFileAtomic(recordFileOf(folder), `${JSON.stringify(record)}\n`, 0o600);
}

/** Every pod that an earlier instance left. */
export async function readPods(workDir: string): Promise<{ record: PodRecord; folder: string }[]> {
  const found: { record: PodRecord; folder: string }[] = [];
  for (const namespace of await readdir(workDir)) {
    for (const name of await readdir(join(workDir, namespace))) {
      const folder = join(workDir, namespace, name);
      const text = await readFileIfThere(recordFileOf(folder));
      if (text !== undefined) found.push({ record: JSON.parse(text) as PodRecord, folder });
    }
  }
  return found;
}

/** `deadline`: milliseconds since the epoch, by then the pod must be gone. */
export const writeTermination = (folder: string, deadline: number): Promise<void> =>
  writeFileAtomic(terminationFileOf(folder), `${deadline}\n`);

/** The moment by which a pod that an earlier instance was ending must be gone; undefined when it was not being ended. */
export async function readTermination(folder: string): Promise<number | undefined> {
  const text = await readFileIfThere(terminationFileOf(folder));
  return text === undefined ? undefined : Number(text);
}
