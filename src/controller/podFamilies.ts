/** Which IP version the pods of each router have: what they can send to depends on it. */
import { isIP } from "node:net";
import type { Key } from "../api/index.ts";
import type { PodView } from "../cluster/index.ts";
import type { Families } from "../model/types.ts";

export interface PodFamilies {
  /** what is known now; the same object until something changes */
  current(): Families;
  /** Looks at a router's pods; true when they have another IP version than before. Without an address the last one stays. */
  look(router: Key, pods: readonly PodView[]): boolean;
  forget(router: Key): void;
}

export function createPodFamilies(): PodFamilies {
  let families: Families = new Map();
  const change = (edit: (next: Map<Key, 4 | 6>) => void): void => {
    const next = new Map(families);
    edit(next);
    families = next;
  };
  return {
    current: () => families,
    look(router, pods) {
      const seen = new Set(pods.map(({ ip }) => isIP(ip)).filter((version) => version === 4 || version === 6));
      const [family] = seen;
      if (family === undefined) return false;
      // pods of both versions are there while a network is changed: nothing is left out then
      const found = seen.size === 1 ? family : undefined;
      if (families.get(router) === found) return false;
      change((next) => (found === undefined ? next.delete(router) : next.set(router, found)));
      return true;
    },
    forget(router) {
      if (families.has(router)) change((next) => next.delete(router));
    },
  };
}
