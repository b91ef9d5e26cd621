/**
 * What a router's new rendering has in common with its last one stays the same object: whoever knows it by identity
 * (what was applied, which reading of a pod is right) need not look again.
 */
import type { RawObject } from "../api/index.ts";
import type { RenderedRouter } from "../render/types.ts";
import { sameJson } from "../status/index.ts";

const keep = <Value>(before: Value | undefined, now: Value): Value =>
  before !== undefined && sameJson(before, now) ? before : now;

export function shareUnchanged(before: RenderedRouter | undefined, now: RenderedRouter): RenderedRouter {
  if (before === undefined) return now;
  const known = new Map(before.objects.map((object): [string, RawObject] => [idOf(object), object]));
  const desired = keep(before.files.desired, now.files.desired);
  const objects = now.objects.map((object) => keep(known.get(idOf(object)), object));
  const same =
    desired === before.files.desired &&
    now.files.structureHash === before.files.structureHash &&
    objects.length === before.objects.length &&
    objects.every((object) => known.get(idOf(object)) === object);
  return same ? before : { ...now, files: { ...now.files, desired }, objects };
}

const idOf = ({ kind, metadata }: RawObject): string => `${kind}/${metadata.name}`;
