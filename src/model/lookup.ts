/**
 * Finding objects in a snapshot. The index of a list follows from one snapshot to the next: it costs what has changed
 * between the two, however many objects there are.
 */
import { compare, keyOf, type Key, type RawObject } from "../api/index.ts";
import type { Snapshot } from "./types.ts";

type List = readonly RawObject[];

/** An index of the list that was asked for last. */
abstract class ListIndex<Value> {
  #list: List = [];
  readonly found = new Map<Key, Value>();

  abstract add(object: RawObject): void;
  abstract remove(object: RawObject): void;
  /** the index may be wrong: two objects have one key */
  abstract isDoubtful(list: List): boolean;

  of(list: List): ReadonlyMap<Key, Value> {
    if (list === this.#list) return this.found;
    const before = this.#list;
    this.#list = list;
    const { from, end, endBefore } = difference(before, list);
    for (let index = from; index < endBefore; index += 1) this.remove(before[index] as RawObject);
    for (let index = from; index < end; index += 1) this.add(list[index] as RawObject);
    if (!this.isDoubtful(list)) return this.found;
    this.found.clear();
    for (const object of list) this.add(object);
    return this.found;
  }
}

/** Both lists are the same before `from`, and from `end` and `endBefore` on. */
function difference(before: List, after: List): { from: number; end: number; endBefore: number } {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from += 1;
  let same = 0;
  while (same < shorter - from && before[before.length - 1 - same] === after[after.length - 1 - same]) same += 1;
  return { from, end: after.length - same, endBefore: before.length - same };
}

class KeyIndex extends ListIndex<RawObject> {
  add(object: RawObject): void {
    this.found.set(keyOf(object), object);
  }
  remove(object: RawObject): void {
    this.found.delete(keyOf(object));
  }
  isDoubtful(list: List): boolean {
    return this.found.size !== list.length;
  }
}

const SERVICE_LABEL = "kubernetes.io/service-name";

class SliceIndex extends ListIndex<readonly RawObject[]> {
  add(object: RawObject): void {
    const key = serviceOf(object);
    if (key === undefined) return;
    const slices = [...(this.found.get(key) ?? []), object];
    this.found.set(
      key,
      slices.toSorted((a, b) => compare(a.metadata.name, b.metadata.name)),
    );
  }
  remove(object: RawObject): void {
    const key = serviceOf(object);
    if (key === undefined) return;
    const left = (this.found.get(key) ?? []).filter((one) => one !== object);
    if (left.length === 0) this.found.delete(key);
    else this.found.set(key, left);
  }
  isDoubtful(): boolean {
    return false;
  }
}

const serviceOf = ({ metadata }: RawObject): Key | undefined => {
  const service = metadata.labels?.[SERVICE_LABEL];
  return service === undefined ? undefined : `${metadata.namespace}/${service}`;
};

/** one index for each kind */
const keys = new Map<string, KeyIndex>();
const slices = new SliceIndex();
const nothing: ReadonlyMap<Key, RawObject> = new Map();

function byKey(list: List): ReadonlyMap<Key, RawObject> {
  const [first] = list;
  if (first === undefined) return nothing;
  const index = keys.get(first.kind) ?? new KeyIndex();
  keys.set(first.kind, index);
  return index.of(list);
}

/** One object of a list of objects of one kind. */
export const findIn = (list: List, key: Key): RawObject | undefined => byKey(list).get(key);

/** By key. To be asked each time: what it gives is of its snapshot until another snapshot is asked for. */
class Index {
  readonly #snapshot: Snapshot;
  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }
  get routers(): ReadonlyMap<Key, RawObject> {
    return byKey(this.#snapshot.routers);
  }
  get backends(): ReadonlyMap<Key, RawObject> {
    return byKey(this.#snapshot.backends);
  }
  get services(): ReadonlyMap<Key, RawObject> {
    return byKey(this.#snapshot.services);
  }
  get secrets(): ReadonlyMap<Key, RawObject> {
    return byKey(this.#snapshot.secrets);
  }
  /** key of the Service -> its slices, by name */
  get slices(): ReadonlyMap<Key, readonly RawObject[]> {
    return slices.of(this.#snapshot.endpointSlices);
  }
}

export const indexOf = (snapshot: Snapshot): Index => new Index(snapshot);
