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
  return {
    ...now,
    files: { ...now.files, desired: keep(before.files.desired, now.files.desired) },
    objects: now.objects.map((object) => keep(known.get(idOf(object)), object)),
  };
}

const idOf = ({ kind, metadata }: RawObject): string => `${kind}/${metadata.name}`;
