/** All volumes of one pod: where they are on this machine, and how they follow the objects that they are made of. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { makeShortPath, removeShortPath, writablePath } from "./shortPath.ts";
import { hasVersion, resolvePayload, writePayload } from "./volumes.ts";
import type { ObjectLookup, PodRecord } from "./types.ts";

export interface PodVolumesOptions {
  /** of the pod */
  readonly folder: string;
  readonly objects: ObjectLookup;
  /** see WriteOptions */
  readonly separateSeconds: boolean;
}

export class PodVolumes {
  readonly #record: PodRecord;
  readonly #options: PodVolumesOptions;
  #work: Promise<unknown> = Promise.resolve();

  constructor(record: PodRecord, options: PodVolumesOptions) {
    this.#record = record;
    this.#options = options;
  }

  /** The folder that stands for a volume of this name. */
  folderOf(name: string): string {
    const { folder } = this.#options;
    const { volumes = [] } = this.#record.spec;
    const isWritten = volumes.some((volume) => volume.name === name && volume.emptyDir !== undefined);
    return isWritten ? writablePath(folder, name) : join(folder, "volumes", name);
  }

  /** Brings all of them to the objects' content of now, one call after the other. Returns what is missing, "" when nothing. */
  sync(): Promise<string> {
    const work = this.#work.then(() => this.#write());
    this.#work = work.catch(() => undefined);
    return work;
  }

  /** What of them is outside of the pod's folder goes. */
  remove(): Promise<void> {
    return removeShortPath(this.#options.folder);
  }

  async #write(): Promise<string> {
    let missing = "";
    const { folder, separateSeconds, objects } = this.#options;
    for (const volume of this.#record.spec.volumes ?? []) {
      const target = join(folder, "volumes", volume.name);
      const payload = resolvePayload(volume, this.#record.namespace, objects);
      if (payload === undefined) {
        await mkdir(target, { recursive: true, mode: 0o700 });
        await makeShortPath(folder, volume.name);
      }
      // A version that is there goes on when its object is gone: a pod of an old template may be draining.
      else if (typeof payload === "string") missing ||= (await hasVersion(target)) ? "" : payload;
      else await writePayload(target, payload, { separateSeconds, now: Date.now });
    }
    return missing;
  }
}
