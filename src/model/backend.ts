/** One PbxBackend: what is wrong with it, and the endpoints it stands for. */
import { refOf, type Key, type RawObject } from "../api/index.ts";
import { resolveEndpoints } from "./endpoints.ts";
import { sortIssues } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import { parseBackend } from "./parse.ts";
import { resolveRegistrant } from "./registrants.ts";
import { backendSecretIssues } from "./secrets.ts";
import { resolveLogin } from "./trunks.ts";
import type { Issue, ResolvedBackend, Snapshot } from "./types.ts";
import { refuseUnsupported } from "./unsupported.ts";

export interface BackendResolution {
  /** absent when the object does not exist or its spec is wrong; without endpoints when its references are not there yet */
  readonly backend?: ResolvedBackend;
  readonly issues: readonly Issue[];
}

/** Everything beside its own object that a backend is resolved with. */
const surroundings = ["services", "endpointSlices", "secrets", "names", "contacts"] as const;

/** Grows when the surroundings are others than those that were asked about last. */
const age = { now: 0, of: [] as readonly unknown[] };

function ageOf(snapshot: Snapshot): number {
  if (surroundings.every((field, index) => age.of[index] === snapshot[field])) return age.now;
  age.of = surroundings.map((field) => snapshot[field]);
  age.now += 1;
  return age.now;
}

const resolved = new WeakMap<RawObject, { readonly age: number; readonly resolution: BackendResolution }>();
const nothing: BackendResolution = { issues: [] };

/**
 * No object of that key: no backend and no issue. An object that is resolved again in the same surroundings gives the same
 * resolution: one change costs what it changes, however many backends there are.
 */
export function resolveBackend(snapshot: Snapshot, key: Key): BackendResolution {
  const raw = indexOf(snapshot).backends.get(key);
  if (raw === undefined) return nothing;
  const now = ageOf(snapshot);
  const known = resolved.get(raw);
  if (known?.age === now) return known.resolution;
  const resolution = resolveObject(snapshot, raw);
  resolved.set(raw, { age: now, resolution });
  return resolution;
}

function resolveObject(snapshot: Snapshot, raw: RawObject): BackendResolution {
  const ref = refOf(raw);
  const parsed = parseBackend(raw);
  if (!("object" in parsed)) return { issues: sortIssues(parsed.issues) };
  const { object } = parsed;
  const refused = refuseUnsupported("PbxBackend", ref, object.spec);
  const { endpoints, issues } = resolveEndpoints(snapshot, object);
  const { login, issues: wrongLogin } = resolveLogin(snapshot, object);
  const { registrant, issues: wrongRegistrant } = resolveRegistrant(snapshot, object);
  const all = sortIssues([
    ...refused,
    ...issues,
    ...backendSecretIssues(snapshot, object),
    ...wrongLogin,
    ...wrongRegistrant,
  ]);
  if (all.some((issue) => !issue.transient)) return { issues: all };
  const { adminState } = object.spec;
  const logins = { ...(login === undefined ? {} : { login }), ...(registrant === undefined ? {} : { registrant }) };
  return { backend: { ref, object, adminState, endpoints, ...logins }, issues: all };
}
