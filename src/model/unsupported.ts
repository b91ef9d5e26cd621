/**
 * Features of the API that the data plane does not have yet. A spec that asks for one is refused with `NotSupported`;
 * nothing is ever ignored silently. One row per feature: whoever builds it deletes its row.
 */
import type { ObjectRef } from "../api/index.ts";
import { wrong } from "./issue.ts";
import type { Issue } from "./types.ts";

interface Row {
  readonly kind: "SipRouter" | "PbxBackend";
  /** `a.b[].c`: every item of a list */
  readonly path: string;
  /** which values ask for the feature; default: any value that is there */
  readonly refuse?: (value: unknown) => boolean;
  /** what to do instead */
  readonly message: string;
}

const is =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);

const rows: readonly Row[] = [
  {
    kind: "SipRouter",
    path: "spec.hostNetwork",
    refuse: is(true),
    message: "the host network is not supported yet: set it to false.",
  },
];

/** One issue for each place of `spec` that asks for a feature that is not there. */
export function refuseUnsupported(kind: Row["kind"], object: ObjectRef, spec: unknown): readonly Issue[] {
  return rows
    .filter((row) => row.kind === kind)
    .flatMap((row) =>
      valuesAt({ spec }, row.path)
        .filter(({ value }) => value !== undefined && (row.refuse?.(value) ?? true))
        .map(({ path }) => wrong(object, path, "NotSupported", row.message)),
    );
}

interface Place {
  readonly path: string;
  readonly value: unknown;
}

function valuesAt(root: unknown, pattern: string): readonly Place[] {
  let places: readonly Place[] = [{ path: "", value: root }];
  for (const segment of pattern.split(".")) {
    const field = segment.replace("[]", "");
    places = places.flatMap(({ path, value }) => {
      const child = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[field] : undefined;
      const at = path === "" ? field : `${path}.${field}`;
      if (!segment.endsWith("[]")) return [{ path: at, value: child }];
      return Array.isArray(child) ? child.map((item, index) => ({ path: `${at}[${index}]`, value: item })) : [];
    });
  }
  return places;
}
