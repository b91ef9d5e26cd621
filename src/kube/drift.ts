/** Does the live object still hold what was applied? Pure. */
import { createHash } from "node:crypto";

type Json = unknown;
const isRecord = (value: Json): value is Record<string, Json> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** JSON with sorted keys; undefined fields are left out. */
export const stableStringify = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map((item) => stableStringify(item ?? null)).join(",")}]`;
  if (!isRecord(value)) return JSON.stringify(value ?? null);
  const fields = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${stableStringify(value[key])}`);
  return `{${fields.join(",")}}`;
};

/**
 * The part of `live` at the paths that `applied` has. Lists of equal length are followed item by item, others are taken
 * whole (somebody added or removed an item).
 */
export const project = (applied: Json, live: Json): Json => {
  if (isRecord(applied) && isRecord(live)) {
    return Object.fromEntries(Object.keys(applied).map((key) => [key, project(applied[key], live[key])]));
  }
  if (Array.isArray(applied) && Array.isArray(live) && applied.length === live.length) {
    return applied.map((item, index) => project(item, live[index]));
  }
  return live;
};

/**
 * Equal digests: equal values. What was applied is compared by it with what the API server made of it (which may write
 * a quantity in another way), and that with the live object later.
 */
export const digest = (value: Json): string => createHash("sha256").update(stableStringify(value)).digest("base64");
