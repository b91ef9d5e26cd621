/** Which backends stand for which DNS names: these names are looked up, and these backends are told of a new answer. */
import { isIP } from "node:net";
import type { Key, PbxBackendStatus, RawObject } from "../api/index.ts";
import type { Change } from "../cluster/index.ts";

export interface NameUsers {
  /** True when the change is of a backend whose names are others than before. */
  follow(change: Change): boolean;
  /** all that any backend stands for */
  names(): readonly string[];
  backendsOf(name: string): Iterable<Key>;
  /** that the backend stands for */
  namesOf(backend: Key): readonly string[];
}

export function createNameUsers(namesToResolve: (backends: readonly RawObject[]) => readonly string[]): NameUsers {
  const users = new Map<string, Set<Key>>();
  const namesOf = new Map<Key, readonly string[]>();
  return {
    follow({ kind, namespace, name: backend, object }) {
      if (kind !== "PbxBackend") return false;
      const key = `${namespace}/${backend}`;
      const before = namesOf.get(key) ?? [];
      const names = object === undefined ? [] : namesToResolve([object]);
      if (names.length === before.length && names.every((name, index) => name === before[index])) return false;
      if (names.length === 0) namesOf.delete(key);
      else namesOf.set(key, names);
      for (const name of before) users.get(name)?.delete(key);
      for (const name of names) users.set(name, (users.get(name) ?? new Set()).add(key));
      for (const name of before) if (users.get(name)?.size === 0) users.delete(name);
      return true;
    },
    names: () => [...users.keys()],
    backendsOf: (name) => users.get(name) ?? [],
    namesOf: (backend) => namesOf.get(backend) ?? [],
  };
}

/** The addresses that an earlier operator found for the one name of a backend, unless the spec was edited since. */
export function addressesInStatus({ metadata, status }: RawObject): readonly string[] {
  const { observedGeneration, endpoints } = (status ?? {}) as Partial<PbxBackendStatus>;
  if (observedGeneration !== metadata.generation || !Array.isArray(endpoints)) return [];
  return endpoints.map(({ address }) => address).filter((address) => isIP(address) !== 0);
}
