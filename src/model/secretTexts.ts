/** What is in a Secret that a spec names, as texts, and what a password may not hold. A value is never part of a message. */
import { indexOf } from "./lookup.ts";
import type { Snapshot } from "./types.ts";

const MAX_PASSWORD_BYTES = 256;

export interface SecretTexts {
  /** `namespace/name`, as messages name it */
  readonly key: string;
  /** of this Secret alone: what is derived from its values cannot be guessed without it */
  readonly salt: string;
  /** one character for each byte, whatever the encoding; "" for a value that is no text */
  readonly texts: Readonly<Record<string, string>>;
}

/** undefined: there is no such Secret. */
export function readSecret(snapshot: Snapshot, namespace: string, name: string): SecretTexts | undefined {
  const key = `${namespace}/${name}`;
  const secret = indexOf(snapshot).secrets.get(key);
  if (secret === undefined) return undefined;
  const data = (secret["data"] ?? {}) as Readonly<Record<string, unknown>>;
  const texts = Object.fromEntries(Object.entries(data).map(([field, base64]) => [field, textOf(base64)]));
  return { key, salt: secret.metadata.uid ?? key, texts };
}

const textOf = (base64: unknown): string =>
  typeof base64 === "string" ? Buffer.from(base64, "base64").toString("latin1") : "";

/** Why a password, one character for each byte, cannot be in a table of Kamailio. */
export function passwordFault(password: string): string | undefined {
  if (/[\0\r\n]/.test(password)) return "the password holds a line end: write it without one (printf, not echo).";
  if (password.length > MAX_PASSWORD_BYTES)
    return `the password has more than ${MAX_PASSWORD_BYTES} bytes: shorten it.`;
  return undefined;
}
