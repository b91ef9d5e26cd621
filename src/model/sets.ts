/** Dispatcher sets: their ids and the backends in them. */
import { isIP } from "node:net";
import {
  keyOf,
  refOf,
  compare,
  type Algorithm,
  type Key,
  type ObjectRef,
  type PbxBackend,
  type RawObject,
  type SipRouter,
  type SipRouterSpec,
  type Transport,
} from "../api/index.ts";
import { resolveBackend } from "./backend.ts";
import { unresolved } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import { parseBackend } from "./parse.ts";
import { matchesSelector } from "./selector.ts";
import type { Issue, ResolvedBackend, ResolvedMember, ResolvedSet, Snapshot } from "./types.ts";

type SetSpec = SipRouterSpec["dispatcherSets"][number];

export const MAX_SET_ID = 9999;

/**
 * name -> id: the spec's own id; else the one that the status keeps; else the lowest free one, by name. An id that the
 * status names is never given to another set, unless that set's spec asks for it.
 */
export function assignSetIds(sets: readonly SetSpec[], status: unknown): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const set of sets) if (set.id !== undefined) ids.set(set.name, set.id);
  const kept = keptIds(status);
  const taken = new Set(ids.values());
  const unnumbered = sets.filter((set) => set.id === undefined).toSorted((a, b) => compare(a.name, b.name));
  for (const { name } of unnumbered) {
    const id = kept.get(name);
    if (id === undefined || taken.has(id)) continue;
    ids.set(name, id);
    taken.add(id);
  }
  const reserved = new Set([...taken, ...kept.values()]);
  let next = 1;
  for (const { name } of unnumbered) {
    if (ids.has(name)) continue;
    while (reserved.has(next)) next += 1;
    ids.set(name, next);
    reserved.add(next);
  }
  return ids;
}

function keptIds(status: unknown): ReadonlyMap<string, number> {
  const sets = (status as { sets?: unknown } | undefined)?.sets;
  const kept = new Map<string, number>();
  for (const set of Array.isArray(sets) ? (sets as { name?: unknown; id?: unknown }[]) : []) {
    const { name, id } = set ?? {};
    if (typeof name === "string" && typeof id === "number" && Number.isInteger(id) && id >= 1 && id <= MAX_SET_ID)
      kept.set(name, id);
  }
  return kept;
}

export interface SetResolution {
  readonly set: ResolvedSet;
  readonly issues: readonly Issue[];
}

/** Backends that cannot be used now are left out, each with an issue; the others go on. */
export function resolveSet(snapshot: Snapshot, router: SipRouter, index: number, id: number): SetResolution {
  const set = router.spec.dispatcherSets[index] as SetSpec;
  const ref = refOf(router);
  const path = `spec.dispatcherSets[${index}]`;
  const issues: Issue[] = [];
  const members: ResolvedMember[] = [];
  const named: PbxBackend[] = [];
  for (const wanted of wantedBackends(snapshot, router, set, path)) {
    const key = `${ref.namespace}/${wanted.name}`;
    const raw = indexOf(snapshot).backends.get(key);
    if (raw === undefined) {
      issues.push(
        unresolved(
          ref,
          wanted.path,
          "BackendNotFound",
          `PbxBackend ${key} does not exist: create it, or correct the name.`,
        ),
      );
      continue;
    }
    const parsed = parseBackend(raw);
    if ("object" in parsed) named.push(parsed.object);
    const { backend, issues: own } = resolveBackend(snapshot, key);
    const usable = backend !== undefined && backend.endpoints.length > 0;
    issues.push(...issuesOfMember(ref, wanted.path, key, own, usable));
    const { reached, fault } = usable ? reachedBy(snapshot, router, backend) : { reached: backend, fault: undefined };
    if (fault !== undefined)
      issues.push(unresolved(ref, wanted.path, "BackendInvalid", `PbxBackend ${key} is left out: ${fault}`));
    const sendable = usable && fault === undefined;
    // one that registers itself is known to the router before it has a destination
    const awaited = backend?.object.spec.registration !== undefined;
    if (sendable && reached !== undefined) members.push(memberOf(set.algorithm, reached, wanted));
    else if (awaited) members.push(memberOf(set.algorithm, { ...backend, endpoints: [] }, wanted));
  }
  // a set whose PBXes have yet to register is told by them
  if (members.length === 0)
    issues.push(
      unresolved(
        ref,
        path,
        "NoBackends",
        `the set ${set.name} has no usable backend: until one is there its calls go to the destinations that it had before, or get 503.`,
      ),
    );
  members.sort((a, b) => a.priority - b.priority || compare(a.backend.ref.name, b.backend.ref.name));
  return { set: { name: set.name, id, algorithm: set.algorithm, members, named }, issues };
}

/** What of a backend the router can send to, or why nothing. */
function reachedBy(
  snapshot: Snapshot,
  router: SipRouter,
  backend: ResolvedBackend,
): { readonly reached?: ResolvedBackend; readonly fault?: string } {
  const unsendable = transportWithoutListener(router, backend);
  if (unsendable !== undefined)
    return {
      fault: `it is reached over ${unsendable}, and the router sends from its listeners: add a ${unsendable} listener, or change the transport of the backend.`,
    };
  const family = snapshot.families?.get(keyOf(router));
  const endpoints = backend.endpoints.filter(({ host }) => family === undefined || isIP(host) === family);
  if (endpoints.length > 0) return { reached: { ...backend, endpoints } };
  return {
    fault: `it has no IPv${family} address, and the router's pods have no other: give the PBX one, or run the router where pods have IPv${family === 4 ? 6 : 4} addresses.`,
  };
}

/** What is sent over a transport goes out of a listener of it, so that answers and requests of the PBX come in there. */
const transportWithoutListener = (router: SipRouter, backend: ResolvedBackend): Transport | undefined =>
  backend.endpoints
    .map(({ transport }) => transport)
    .find((used) => router.spec.listeners.every(({ transport }) => transport !== used));

/** What the router's reader is told about a backend of his: why it is left out, or that nobody of it takes calls. */
function issuesOfMember(
  ref: ObjectRef,
  path: string,
  key: Key,
  own: readonly Issue[],
  usable: boolean,
): readonly Issue[] {
  const wrongs = own.filter((issue) => !issue.transient);
  const told = wrongs.length > 0 ? wrongs : own.filter((issue) => !usable || issue.reason === "NoEndpoints");
  return told.map((issue) => {
    const message = `PbxBackend ${key}${usable ? "" : " is left out"}, see its ${issue.path}: ${issue.message}`;
    return unresolved(ref, path, issue.transient ? issue.reason : "BackendInvalid", message);
  });
}

interface Wanted {
  readonly name: string;
  readonly path: string;
  readonly priority: number;
  readonly weight?: number;
}

/** By name first; what the selector adds has priority 0. */
function wantedBackends(snapshot: Snapshot, router: SipRouter, set: SetSpec, path: string): readonly Wanted[] {
  const listed: Wanted[] = (set.backends ?? []).map((backend, index) => ({
    name: backend.name,
    path: `${path}.backends[${index}].name`,
    priority: backend.priority,
    ...(backend.weight === undefined ? {} : { weight: backend.weight }),
  }));
  const { selector } = set;
  if (selector === undefined) return listed;
  const names = new Set(listed.map((wanted) => wanted.name));
  const selected = snapshot.backends
    .filter((raw: RawObject) => raw.metadata.namespace === router.metadata.namespace && !names.has(raw.metadata.name))
    .filter((raw) => matchesSelector(selector, raw.metadata.labels ?? {}))
    .map((raw): Wanted => ({ name: raw.metadata.name, path: `${path}.selector`, priority: 0 }));
  return [...listed, ...selected];
}

/** Weighted without a weight counts 1, as in other Kubernetes APIs. */
const memberOf = (algorithm: Algorithm, backend: ResolvedMember["backend"], wanted: Wanted): ResolvedMember => ({
  backend,
  priority: wanted.priority,
  ...(algorithm === "Weighted" ? { weight: wanted.weight ?? 1 } : {}),
});
