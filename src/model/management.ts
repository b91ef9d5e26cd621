/** Where the manager interfaces of a backend are, and what to log in with. */
import { decodeSecretData, refOf, type PbxBackend } from "../api/index.ts";
import { unresolved } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import type { Endpoint, Issue, Snapshot } from "./types.ts";

const PATH = "spec.management.ami.secretName";
const MAX_CHARACTERS = 256;

/** One manager interface. The login is secret. */
export interface Manager {
  readonly address: {
    readonly host: string;
    readonly port: number;
    /** `authorities`: PEM; absent: the system's */
    readonly tls?: { readonly name: string; readonly authorities?: string };
  };
  readonly login: { readonly username: string; readonly password: string };
}

/** One for each address of the backend, ready or not; none while the Secret is not there or not right. */
export function resolveManagers(
  snapshot: Snapshot,
  backend: PbxBackend,
  endpoints: readonly Endpoint[],
): readonly Manager[] {
  const ami = backend.spec.management?.ami;
  const data = dataOf(snapshot, backend);
  if (ami === undefined || data === undefined || managementIssues(snapshot, backend).length > 0) return [];
  const { username = "", password = "", "ca.crt": authorities = "" } = data;
  if (username === "" || password === "") return [];
  const { service } = backend.spec;
  const named = service === undefined ? backend.spec.address : `${service.name}.${backend.metadata.namespace}.svc`;
  return [...new Set(endpoints.map(({ host }) => host))].toSorted().map((host) => ({
    address: {
      host,
      port: ami.port,
      ...(ami.tls ? { tls: { name: named ?? host, ...(authorities === "" ? {} : { authorities }) } } : {}),
    },
    login: { username, password },
  }));
}

/** Issues never show a value. A Secret that is not there, or lacks a key, is told by `backendSecretIssues`. */
export function managementIssues(snapshot: Snapshot, backend: PbxBackend): readonly Issue[] {
  const data = dataOf(snapshot, backend);
  if (data === undefined) return [];
  const wrong = (why: string): Issue =>
    unresolved(refOf(backend), PATH, "SecretInvalid", `Secret ${keyOf(backend)}: ${why}`);
  return ["username", "password"].flatMap((name) => {
    const value = data[name] ?? "";
    // a line end would begin another action
    if (/[\0\r\n]/.test(value)) return [wrong(`${name} holds a line end: write it without one (printf, not echo).`)];
    if (value !== value.trim()) return [wrong(`${name} begins or ends with a space: remove it.`)];
    if (value.length > MAX_CHARACTERS)
      return [wrong(`${name} has more than ${MAX_CHARACTERS} characters: shorten it.`)];
    return [];
  });
}

const keyOf = (backend: PbxBackend): string =>
  `${backend.metadata.namespace}/${backend.spec.management?.ami.secretName}`;

function dataOf(snapshot: Snapshot, backend: PbxBackend): Readonly<Record<string, string>> | undefined {
  if (backend.spec.management === undefined) return undefined;
  const secret = indexOf(snapshot).secrets.get(keyOf(backend));
  return secret === undefined ? undefined : decodeSecretData(secret);
}
