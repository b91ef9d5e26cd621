/** `data` of a Secret: base64 of UTF-8 texts. */
import type { RawObject } from "./objects.ts";

export const encodeSecretData = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "utf8").toString("base64")]));

export const decodeSecretData = (secret: RawObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(secret["data"] ?? {}).map(([key, value]: [string, unknown]) => [
      key,
      typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "",
    ]),
  );
