/**
 * The objects of the resources folder as the API server would keep them: uid, generation (of the spec), resourceVersion
 * and status, remembered over a restart.
 */
import { createHash } from "node:crypto";
import { refOf, type ObjectRef, type RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";
import { describeRef } from "./resources.ts";

/** Stable: the same object has the same uid after a restart. */
export function uidOf(ref: ObjectRef): string {
  const hex = createHash("sha256").update(describeRef(ref)).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

/** Equal but for what the store itself assigns. */
const contentOf = (object: RawObject): string => {
  const { metadata, status: _status, ...rest } = object;
  const { labels = {}, annotations = {} } = metadata;
  return JSON.stringify([rest, labels, annotations]);
};

export class UserObjects {
  readonly #objects = new Map<string, RawObject>();
  readonly #now: () => Date;
  #version: number;

  constructor(now: () => Date) {
    this.#now = now;
    this.#version = now().getTime();
  }

  /** What an earlier instance knew of an object: its generation, creation time and status. Before the first update. */
  remember(object: RawObject): void {
    this.#objects.set(describeRef(refOf(object)), object);
  }

  list(): readonly RawObject[] {
    return [...this.#objects.values()];
  }

  get(ref: ObjectRef): RawObject | undefined {
    return this.#objects.get(describeRef(ref));
  }

  /** Takes the folder's objects over and says what changed. */
  update(objects: readonly RawObject[]): Change[] {
    const changes: Change[] = [];
    const present = new Set<string>();
    for (const object of objects) {
      const ref = refOf(object);
      const id = describeRef(ref);
      present.add(id);
      const previous = this.#objects.get(id);
      if (previous !== undefined && contentOf(previous) === contentOf(object)) continue;
      const stored = this.#assign(object, previous);
      this.#objects.set(id, stored);
      changes.push({ ...ref, object: stored, ...(previous === undefined ? {} : { previous }) });
    }
    for (const [id, previous] of this.#objects) {
      if (present.has(id)) continue;
      this.#objects.delete(id);
      changes.push({ ...refOf(previous), previous });
    }
    return changes;
  }

  /** undefined when there is no such object */
  setStatus(ref: ObjectRef, status: object): RawObject | undefined {
    const object = this.get(ref);
    if (object === undefined) return undefined;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: this.#nextVersion() }, status };
    this.#objects.set(describeRef(ref), stored);
    return stored;
  }

  #assign(object: RawObject, previous: RawObject | undefined): RawObject {
    const sameSpec = previous !== undefined && JSON.stringify(previous.spec) === JSON.stringify(object.spec);
    const generation = previous === undefined ? 1 : (previous.metadata.generation ?? 0) + (sameSpec ? 0 : 1);
    const metadata = {
      ...object.metadata,
      uid: uidOf(refOf(object)),
      generation,
      resourceVersion: this.#nextVersion(),
      creationTimestamp: previous?.metadata.creationTimestamp ?? this.#now().toISOString(),
    };
    return { ...object, metadata, ...(previous?.status === undefined ? {} : { status: previous.status }) };
  }

  #nextVersion(): string {
    this.#version += 1;
    return String(this.#version);
  }
}
