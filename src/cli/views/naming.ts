/**
 * cli/views: answers of a fleet to what the user reads, or to the data behind it; one file or more for each command. Pure.
 * Here is what they share: from what Kamailio says (set numbers, addresses) back to the names of resources.
 */
import type { PbxBackend, SipRouter } from "../../api/index.ts";
import { setIdOf } from "../../ir/setId.ts";
import { assignSetIds } from "../../model/sets.ts";

export interface Naming {
  /** name of the dispatcher set of a Kamailio set id, "" when the router has none of that number */
  set(kamailioSet: number): string;
  /** names of the backends that have this address, "" when nobody has it; a host with any port when none fits exactly */
  backend(uri: string): string;
}

const parseUri = (uri: string): { host: string; port: string } | undefined => {
  const match = /^<?sips?:(?:[^@>]*@)?(\[[0-9A-Fa-f:.]+\]|[^:;>?]+)(?::([0-9]+))?/.exec(uri);
  return match === null ? undefined : { host: (match[1] ?? "").replaceAll(/[[\]]/g, ""), port: match[2] ?? "5060" };
};

export function nameResources(router: SipRouter, backends: readonly PbxBackend[]): Naming {
  const sets = new Map<number, string>(
    [...assignSetIds(router.spec.dispatcherSets, router.status)].map(([name, id]) => [id, name]),
  );
  for (const { name, id } of router.status?.sets ?? []) sets.set(id, name);
  const exact = new Map<string, Set<string>>();
  const byHost = new Map<string, Set<string>>();
  const note = (map: Map<string, Set<string>>, key: string, name: string): void => {
    map.set(key, (map.get(key) ?? new Set()).add(name));
  };
  for (const backend of backends.filter((one) => one.metadata.namespace === router.metadata.namespace))
    for (const { address, port } of backend.status?.endpoints ?? []) {
      note(exact, `${address} ${port}`, backend.metadata.name);
      note(byHost, address, backend.metadata.name);
    }
  return {
    set: (kamailioSet) => sets.get(setIdOf(kamailioSet)) ?? "",
    backend(uri) {
      const at = parseUri(uri);
      if (at === undefined) return "";
      const found = exact.get(`${at.host} ${at.port}`) ?? byHost.get(at.host);
      return found === undefined ? "" : [...found].toSorted().join(",");
    },
  };
}

export const hostOf = (uri: string): string => {
  const at = parseUri(uri);
  return at === undefined ? uri : `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`;
};

/** The user part of a SIP URI, else the whole. */
export const userOf = (uri: string): string => /^<?sips?:([^@;>]+)@/.exec(uri)?.[1] ?? uri;
