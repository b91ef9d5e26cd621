/** `maxCalls` of backends, limits of concurrent calls: what is one number in the spec is shared by the pods of the router. */
import type { ResolvedSet } from "../model/index.ts";
import { buildSet } from "./destinations.ts";
import type { CallCap } from "./types.ts";

/** By the specs, not by what is usable at the moment: endpoints come and go without a restart. */
export const hasCaps = (sets: readonly ResolvedSet[]): boolean =>
  sets.some(({ named }) => named.some(({ spec }) => spec.maxCalls !== undefined));

/** Each pod counts its own calls, so each has its part of the limit, rounded up. */
export function buildCaps(sets: readonly ResolvedSet[], replicas: number): readonly CallCap[] {
  const limits = new Map<string, Omit<CallCap, "uri">>();
  for (const { backend } of sets.flatMap(({ members }) => members)) {
    const { metadata, spec } = backend.object;
    if (spec.maxCalls === undefined) continue;
    const limit = Math.ceil(spec.maxCalls / Math.max(1, replicas));
    limits.set(`${metadata.namespace}/${metadata.name}`, { backend: metadata.name, limit });
  }
  const caps = new Map<string, CallCap>();
  for (const { uri, backend } of sets.flatMap((set) => buildSet(set).destinations)) {
    const cap = limits.get(backend);
    const other = caps.get(uri);
    // two backends at one address: the lower limit, then the first name
    if (cap === undefined || (other !== undefined && !isBefore(cap, other))) continue;
    caps.set(uri, { uri, ...cap });
  }
  return [...caps.values()].toSorted((a, b) => (a.uri < b.uri ? -1 : 1));
}

const isBefore = (a: Omit<CallCap, "uri">, b: CallCap): boolean =>
  a.limit < b.limit || (a.limit === b.limit && a.backend < b.backend);
