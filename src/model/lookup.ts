/** Finding objects in a snapshot. An index is made once per snapshot, however many routers ask. */
import { keyOf, type Key, type RawObject } from "../api/index.ts";
import type { Snapshot } from "./types.ts";

interface Index {
  readonly routers: ReadonlyMap<Key, RawObject>;
  readonly backends: ReadonlyMap<Key, RawObject>;
  readonly services: ReadonlyMap<Key, RawObject>;
  readonly secrets: ReadonlyMap<Key, RawObject>;
  /** key of the Service -> its slices */
  readonly slices: ReadonlyMap<Key, readonly RawObject[]>;
}

const SERVICE_LABEL = "kubernetes.io/service-name";
const indexes = new WeakMap<Snapshot, Index>();

export function indexOf(snapshot: Snapshot): Index {
  const known = indexes.get(snapshot);
  if (known !== undefined) return known;
  const made: Index = {
    routers: byKey(snapshot.routers),
    backends: byKey(snapshot.backends),
    services: byKey(snapshot.services),
    secrets: byKey(snapshot.secrets),
    slices: slicesByService(snapshot.endpointSlices),
  };
  indexes.set(snapshot, made);
  return made;
}

const byKey = (objects: readonly RawObject[]): ReadonlyMap<Key, RawObject> =>
  new Map(objects.map((object) => [keyOf(object), object]));

function slicesByService(slices: readonly RawObject[]): ReadonlyMap<Key, readonly RawObject[]> {
  const found = new Map<Key, RawObject[]>();
  for (const slice of slices) {
    const service = slice.metadata.labels?.[SERVICE_LABEL];
    if (service === undefined) continue;
    const key = `${slice.metadata.namespace}/${service}`;
    const list = found.get(key) ?? [];
    list.push(slice);
    found.set(key, list);
  }
  return found;
}
