/**
 * The objects the operator makes (ConfigMaps, Deployments, the control Secret), kept in memory and one file each under
 * `STATE/objects/<namespace>/<kind>/`, its owner's only: a restarted instance knows what it runs.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { refOf, type Key, type ObjectRef, type RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";
import { labels } from "../render/layout.ts";
import { describeRef } from "./resources.ts";
import { readFileIfThere, writeFileAtomic } from "./runner/index.ts";

export class OwnedObjects {
  readonly #folder: string;
  readonly #objects = new Map<string, RawObject>();
  #version = 0;

  constructor(state: string) {
    this.#folder = join(state, "objects");
  }

  async load(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const entry of await readdir(this.#folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".json")) continue;
      const text = await readFileIfThere(join(entry.parentPath, entry.name));
      if (text === undefined) continue;
      const object = JSON.parse(text) as RawObject;
      this.#objects.set(describeRef(refOf(object)), object);
    }
  }

  get(ref: ObjectRef): RawObject | undefined {
    return this.#objects.get(describeRef(ref));
  }

  list(kind?: string): readonly RawObject[] {
    const all = [...this.#objects.values()];
    return kind === undefined ? all : all.filter((object) => object.kind === kind);
  }

  of(router: Key): readonly RawObject[] {
    return this.list().filter((object) => routerOf(object) === router);
  }

  /** undefined when nothing changed */
  async put(object: RawObject): Promise<Change | undefined> {
    const ref = refOf(object);
    const previous = this.get(ref);
    if (previous !== undefined && contentOf(previous) === contentOf(object)) return undefined;
    const sameSpec = previous !== undefined && JSON.stringify(previous.spec) === JSON.stringify(object.spec);
    this.#version += 1;
    const metadata = {
      ...object.metadata,
      uid: previous?.metadata.uid ?? randomUUID(),
      generation: (previous?.metadata.generation ?? 0) + (sameSpec ? 0 : 1),
      creationTimestamp: previous?.metadata.creationTimestamp ?? new Date().toISOString(),
      resourceVersion: String(Date.now() * 1000 + (this.#version % 1000)),
    };
    const stored = { ...object, metadata };
    await writeFileAtomic(this.#path(ref), `${JSON.stringify(stored, null, 1)}\n`, 0o600);
    this.#objects.set(describeRef(ref), stored);
    return { ...ref, object: stored, ...(previous === undefined ? {} : { previous }) };
  }

  async remove(ref: ObjectRef): Promise<Change | undefined> {
    const previous = this.get(ref);
    if (previous === undefined) return undefined;
    await rm(this.#path(ref), { force: true });
    this.#objects.delete(describeRef(ref));
    return { ...ref, previous };
  }

  #path(ref: ObjectRef): string {
    return join(this.#folder, ref.namespace, ref.kind, `${ref.name}.json`);
  }
}

/** "namespace/name" of the router an object belongs to, by its label */
export const routerOf = (object: RawObject): Key | undefined => {
  const router = object.metadata.labels?.[labels.router];
  return router === undefined ? undefined : `${object.metadata.namespace}/${router}`;
};

const contentOf = (object: RawObject): string => {
  const { metadata, ...rest } = object;
  const { labels: own = {}, annotations = {}, ownerReferences = [] } = metadata;
  return JSON.stringify([rest, own, annotations, ownerReferences]);
};
