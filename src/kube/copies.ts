/** What is kept of an object of the API server: without what nobody reads, and what many objects have in common once. */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { RawObject } from "../api/index.ts";

/** kubectl's own copy of the object within the object */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** managedFields are half of an object's size. */
export function copyOf(object: RawObject): RawObject {
  const { managedFields: _fields, ...metadata } = object.metadata as RawObject["metadata"] & {
    managedFields?: unknown;
  };
  if (metadata.annotations?.[LAST_APPLIED] !== undefined) {
    const { [LAST_APPLIED]: _applied, ...annotations } = metadata.annotations;
    metadata.annotations = annotations;
  }
  return shareData({ ...object, metadata });
}

/** A status that is written leaves the spec what it was: the same object, so that what was worked out of it is known. */
export function keepSpec(object: RawObject, previous: RawObject | undefined): RawObject {
  const spec = previous?.spec;
  if (typeof spec !== "object" || spec === null || !isDeepStrictEqual(spec, object.spec)) return object;
  return { ...object, spec };
}

/** digest -> data of immutable ConfigMaps that somebody holds */
const held = new Map<string, WeakRef<object>>();
const forgotten = new FinalizationRegistry<string>((digest) => {
  if (held.get(digest)?.deref() === undefined) held.delete(digest);
});

/** A thousand routers of one structure have a thousand ConfigMaps with the same `kamailio.cfg`: its text is held once. */
function shareData(object: RawObject): RawObject {
  const data = object["data"];
  if (object["immutable"] !== true || typeof data !== "object" || data === null) return object;
  const digest = createHash("sha256").update(JSON.stringify(data)).digest("base64");
  const known = held.get(digest)?.deref();
  if (known !== undefined) return { ...object, data: known };
  held.set(digest, new WeakRef(data));
  forgotten.register(data, digest);
  return object;
}
