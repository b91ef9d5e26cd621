/** A snapshot of a list of objects of any kind. */
import type { RawObject } from "../api/index.ts";
import type { Families, Snapshot } from "./types.ts";

/** Objects of kinds that the pipeline does not look at are left out. */
export function snapshotOf(
  objects: readonly RawObject[],
  names: Snapshot["names"] = new Map(),
  families: Families = new Map(),
): Snapshot {
  const of = (kind: string): readonly RawObject[] => objects.filter((object) => object.kind === kind);
  return {
    routers: of("SipRouter"),
    backends: of("PbxBackend"),
    services: of("Service"),
    endpointSlices: of("EndpointSlice"),
    secrets: of("Secret"),
    names,
    families,
  };
}
