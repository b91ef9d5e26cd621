/** `STATE/status/<namespace>/<kind>/<name>.yaml`: each object with its status, written whole; and `STATE/events.jsonl`. */
import { appendFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { CORE_SCHEMA, dump, load } from "js-yaml";
import type { ObjectRef, RawObject } from "../api/index.ts";
import type { EventInput } from "../cluster/index.ts";
import { readFileIfThere, writeFileAtomic } from "./runner/index.ts";

const EVENTS_LIMIT_BYTES = 4 * 1024 * 1024;

export class StatusFiles {
  readonly #folder: string;
  readonly #eventsFile: string;
  readonly #written = new Map<string, string>();
  /** writes of one file must not overtake each other */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(state: string) {
    this.#folder = join(state, "status");
    this.#eventsFile = join(state, "events.jsonl");
  }

  /** What an earlier instance wrote. A file that is not what was written is left out. */
  async read(): Promise<RawObject[]> {
    const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const objects: RawObject[] = [];
    for (const entry of entries) {
      if (!entry.isFile() || !entry.name.endsWith(".yaml")) continue;
      const text = await readFileIfThere(join(entry.parentPath, entry.name));
      const object = parseObject(text ?? "");
      if (object !== undefined && text !== undefined) {
        objects.push(object);
        this.#written.set(this.#path({ ...object.metadata, kind: object.kind }), text);
      }
    }
    return objects;
  }

  write(object: RawObject): Promise<void> {
    const path = this.#path({ ...object.metadata, kind: object.kind });
    const text = dump(object, { noRefs: true, lineWidth: -1 });
    return this.#enqueue(async () => {
      if (this.#written.get(path) === text) return;
      await writeFileAtomic(path, text);
      this.#written.set(path, text);
    });
  }

  remove(ref: ObjectRef): Promise<void> {
    const path = this.#path(ref);
    return this.#enqueue(async () => {
      this.#written.delete(path);
      await rm(path, { force: true });
    });
  }

  event(ref: ObjectRef, event: EventInput, now: Date): Promise<void> {
    const line = JSON.stringify({ time: now.toISOString(), ...event, object: ref });
    return this.#enqueue(async () => {
      const size = (await stat(this.#eventsFile).catch(() => undefined))?.size ?? 0;
      if (size > EVENTS_LIMIT_BYTES) await rename(this.#eventsFile, `${this.#eventsFile}.1`);
      await appendFile(this.#eventsFile, `${line}\n`);
    });
  }

  async flush(): Promise<void> {
    await this.#queue.catch(() => undefined);
  }

  #path(ref: { namespace: string; kind: string; name: string }): string {
    return join(this.#folder, ref.namespace, ref.kind, `${ref.name}.yaml`);
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

function parseObject(text: string): RawObject | undefined {
  try {
    const value = load(text, { schema: CORE_SCHEMA }) as Partial<RawObject> | null;
    const usable = typeof value?.kind === "string" && typeof value.metadata?.name === "string";
    return usable && typeof value.metadata?.namespace === "string" ? (value as RawObject) : undefined;
  } catch {
    return undefined;
  }
}
