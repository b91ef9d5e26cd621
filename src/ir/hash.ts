/** Hashes of plans and of parts of plans. */
import { hash } from "node:crypto";

/** JSON with the keys of every object sorted; fields that are undefined are left out. */
export function canonicalJson(value: unknown): string {
  if (isSorted(value)) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map((inner) => canonicalJson(inner)).join(",")}]`;
  const fields = value as Readonly<Record<string, unknown>>;
  const names = Object.keys(fields).filter((name) => fields[name] !== undefined);
  return `{${names
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${canonicalJson(fields[name])}`)
    .join(",")}}`;
}

/** JSON.stringify alone, far quicker, gives its canonical form: what is long, as a list of destinations, is made so. */
function isSorted(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isSorted);
  let before = "";
  for (const [name, inner] of Object.entries(value)) {
    if (name < before || !isSorted(inner)) return false;
    before = name;
  }
  return true;
}

/** The first 12 hexadecimal digits of the SHA-256 of the canonical JSON. */
export const hashOf = (value: unknown): string => hash("sha256", canonicalJson(value)).slice(0, 12);
