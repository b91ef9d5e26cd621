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

const cache = new WeakMap<Snapshot, Map<Key, BackendResolution>>();

/** No object of that key: no backend and no issue. */
export function resolveBackend(snapshot: Snapshot, key: Key): BackendResolution {
  const known = cache.get(snapshot) ?? new Map<Key, BackendResolution>();
  cache.set(snapshot, known);
  const cached = known.get(key);
  if (cached !== undefined) return cached;
  const raw = indexOf(snapshot).backends.get(key);
  const made = raw === undefined ? { issues: [] } : resolveObject(snapshot, raw);
  known.set(key, made);
  return made;
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
