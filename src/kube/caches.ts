/**
 * The copies of the cluster's objects, and over them the answers to this process' own writes until the watch brings
 * them: what was written is read back at once. A read costs what has changed since the last one, however many objects
 * there are.
 */
import { keyOf, splitKey, type Key, type RawObject } from "../api/index.ts";
import { labels, MANAGED_BY } from "../render/layout.ts";
import type { Snapshot } from "../model/types.ts";
import { copyOf } from "./copies.ts";
import type { OperatorShell } from "./operator.ts";
import { routerOf } from "./views.ts";

/** Resource versions grow; compared as numbers (Kubernetes 1.35 documents that, etcd always did it). */
const isNewer = (left: RawObject, right: RawObject): boolean =>
  BigInt(left.metadata.resourceVersion ?? "0") > BigInt(right.metadata.resourceVersion ?? "0");

/** All objects of a kind, sorted by key, as of the last time that they were asked for. */
interface Listed {
  list: readonly RawObject[];
  /** changed since */
  readonly stale: Set<Key>;
}

/** Where the key is in the list, or would be. */
const placeOf = (list: readonly RawObject[], key: Key): number => {
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (keyOf(list[middle] as RawObject) < key) from = middle + 1;
    else to = middle;
  }
  return from;
};

/** Of so many objects that were deleted last it is remembered. */
const REMEMBERED = 1000;

/** With so many of a list's objects changed, it is made anew. */
const isMuch = (changed: number, all: number): boolean => changed > 16 && changed * 8 > all;

export class Caches {
  readonly #shell: OperatorShell;
  /** "kind/namespace/name" -> answer to the last write */
  readonly #written = new Map<string, RawObject>();
  /** "kind/namespace/name" -> resource version that the last write made */
  readonly #made = new Map<string, string>();
  /** "kind/namespace/name" -> ends with the write under way */
  readonly #writing = new Map<string, Promise<void>>();
  /** uids, the oldest first: the answer to a write may come after the watch has told that the object is gone */
  readonly #deleted = new Set<string>();
  readonly #lists = new Map<string, Listed>();
  /** "kind namespace/router" -> keys of the objects with its label */
  readonly #owned = new Map<string, Set<Key>>();
  #secrets: { readonly of: readonly RawObject[]; readonly list: readonly RawObject[] } = { of: [], list: [] };

  constructor(shell: OperatorShell) {
    this.#shell = shell;
  }

  get(kind: string, namespace: string, name: string): RawObject | undefined {
    const cached = this.#cached(kind, `${namespace}/${name}`);
    const id = `${kind}/${namespace}/${name}`;
    return cached ? this.#newest(cached, id) : this.#written.get(id);
  }

  #newest(cached: RawObject, id: string): RawObject {
    const written = this.#written.get(id);
    return written && isNewer(written, cached) ? written : cached;
  }

  #cached(kind: string, key: Key): RawObject | undefined {
    for (const { objects } of this.#shell.reflectors(kind)) {
      const object = objects.get(key);
      if (object) return object;
    }
    return undefined;
  }

  /** All objects of a kind, sorted by key; the same array as long as nothing changed. */
  list(kind: string): readonly RawObject[] {
    const listed = this.#lists.get(kind);
    if (listed === undefined || isMuch(listed.stale.size, listed.list.length)) return this.#listAnew(kind);
    if (listed.stale.size === 0) return listed.list;
    const list = [...listed.list];
    for (const key of listed.stale) {
      const cached = this.#cached(kind, key);
      const place = placeOf(list, key);
      const present = list[place];
      const known = present !== undefined && keyOf(present) === key;
      list.splice(place, known ? 1 : 0, ...(cached ? [this.#newest(cached, `${kind}/${key}`)] : []));
    }
    listed.stale.clear();
    listed.list = list;
    return list;
  }

  #listAnew(kind: string): readonly RawObject[] {
    // a Secret may be watched by its label and by its name
    const objects = new Map(this.#shell.reflectors(kind).flatMap(({ objects: some }) => [...some]));
    const sorted = [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const list = sorted.map(([key, object]) => this.#newest(object, `${kind}/${key}`));
    this.#lists.set(kind, { list, stale: new Set() });
    return list;
  }

  wrote(answer: RawObject): void {
    if (this.#deleted.has(answer.metadata.uid ?? "")) return;
    const object = copyOf(answer);
    const key = keyOf(object);
    this.#made.set(`${object.kind}/${key}`, object.metadata.resourceVersion ?? "");
    const cached = this.#cached(object.kind, key);
    if (cached && !isNewer(object, cached)) return;
    this.#written.set(`${object.kind}/${key}`, object);
    this.#lists.get(object.kind)?.stale.add(key);
  }
  forget(kind: string, key: Key): void {
    this.#written.delete(`${kind}/${key}`);
    this.#lists.get(kind)?.stale.add(key);
  }

  /** Notes that the object is being written, and the answer when it comes. */
  async write(kind: string, key: Key, request: Promise<unknown>): Promise<RawObject> {
    const id = `${kind}/${key}`;
    const noted = request.then((answer) => {
      this.wrote(answer as RawObject);
      return answer as RawObject;
    });
    const settled = noted.then(
      () => undefined,
      () => undefined,
    );
    this.#writing.set(id, settled);
    try {
      return await noted;
    } finally {
      if (this.#writing.get(id) === settled) this.#writing.delete(id);
    }
  }
  /** Resolves when the answer to the write under way is noted. */
  writing(object: RawObject): Promise<void> | undefined {
    return this.#writing.get(`${object.kind}/${keyOf(object)}`);
  }
  /** It is what the last write of this process made. */
  isOwn(object: RawObject): boolean {
    return this.#made.get(`${object.kind}/${keyOf(object)}`) === object.metadata.resourceVersion;
  }

  /** To be called for each event of the shell. */
  changed(object: RawObject, deleted: boolean, previous?: RawObject): void {
    const { kind } = object;
    const key = keyOf(object);
    this.#lists.get(kind)?.stale.add(key);
    this.#own(object, deleted, previous);
    const id = `${kind}/${key}`;
    const written = this.#written.get(id);
    if (written && (deleted ? written.metadata.uid === object.metadata.uid : !isNewer(written, object)))
      this.#written.delete(id);
    if (!deleted) {
      // its label was taken off, and is back
      this.#deleted.delete(object.metadata.uid ?? "");
      return;
    }
    this.#made.delete(id);
    if (object.metadata.uid === undefined) return;
    this.#deleted.add(object.metadata.uid);
    const [oldest] = this.#deleted;
    if (this.#deleted.size > REMEMBERED && oldest !== undefined) this.#deleted.delete(oldest);
  }

  #own(object: RawObject, deleted: boolean, previous: RawObject | undefined): void {
    const key = keyOf(object);
    const router = deleted ? undefined : routerOf(object);
    for (const before of [previous, object].map((one) => one && routerOf(one))) {
      if (before === undefined || before === router) continue;
      const id = `${object.kind} ${before}`;
      const keys = this.#owned.get(id);
      keys?.delete(key);
      if (keys?.size === 0) this.#owned.delete(id);
    }
    if (router === undefined) return;
    const id = `${object.kind} ${router}`;
    const keys = this.#owned.get(id) ?? new Set();
    this.#owned.set(id, keys.add(key));
  }

  /** Sorted by key. */
  owned(kind: string, router: Key): readonly RawObject[] {
    return [...(this.#owned.get(`${kind} ${router}`) ?? [])].toSorted().flatMap((key) => {
      const { namespace, name } = splitKey(key);
      const object = this.#cached(kind, key) && this.get(kind, namespace, name);
      return object !== undefined && routerOf(object) === router ? [object] : [];
    });
  }

  snapshot(): Snapshot {
    return {
      routers: this.list("SipRouter"),
      backends: this.list("PbxBackend"),
      services: this.list("Service"),
      endpointSlices: this.list("EndpointSlice"),
      secrets: this.#referenced(),
      names: new Map(),
    };
  }

  /** The router's own control Secret is nobody's reference. */
  #referenced(): readonly RawObject[] {
    const of = this.list("Secret");
    if (of !== this.#secrets.of)
      this.#secrets = { of, list: of.filter(({ metadata }) => metadata.labels?.[labels.managedBy] !== MANAGED_BY) };
    return this.#secrets.list;
  }
}
