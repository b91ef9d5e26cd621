/** What the stages work from: the cluster's snapshot with looked-up names, contacts of PBXes and the pods' IP versions. */
import type { Families, Snapshot } from "../model/types.ts";

/** The returned function gives the same object as long as nothing in it changed. */
export function mergedSnapshot(
  read: () => Snapshot,
  names: () => Snapshot["names"],
  contacts: () => NonNullable<Snapshot["contacts"]>,
  families: () => Families,
): () => Snapshot {
  let last: Snapshot | undefined;
  const fields = ["routers", "backends", "services", "endpointSlices"] as const;
  return () => {
    const now = read();
    const known = names();
    const registered = contacts();
    const versions = families();
    const same =
      last !== undefined &&
      last.names === known &&
      last.contacts === registered &&
      last.families === versions &&
      fields.every((field) => last?.[field] === now[field]) &&
      last.secrets.length === now.secrets.length &&
      last.secrets.every((secret, index) => secret === now.secrets[index]);
    if (same && last !== undefined) return last;
    last = { ...now, names: known, contacts: registered, families: versions };
    return last;
  };
}
