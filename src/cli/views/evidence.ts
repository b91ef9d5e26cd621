/** What goes into a bug report, without a secret. Pure. */
import { dump } from "js-yaml";
import type { RawObject } from "../../api/index.ts";
import type { Evidence } from "../fleet/index.ts";

/** Keys whose values are taken out wherever they occur. */
const secretKey = /pass(word|wd)?|secret$|token|credential|ha1|private|\.key$|authorization/i;
/** Names of objects are no secrets. */
const nameKey = /(secretname|Ref|tokenName|automountServiceAccountToken)$/i;
const MASK = "(removed)";

export function maskObject(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => maskObject(item, key));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => name !== "managedFields" && name !== "kubectl.kubernetes.io/last-applied-configuration")
        .map(([name, item]) => [name, maskObject(item, name)]),
    );
  return typeof value === "string" && secretKey.test(key) && !nameKey.test(key) ? MASK : value;
}

/** Of a log or a configuration: digest credentials (RFC 7616), bearer tokens and AMI secrets. */
export const maskText = (text: string): string =>
  text
    .replaceAll(/((?:Proxy-)?Authorization:\s*)[^\r\n]*/gi, `$1${MASK}`)
    .replaceAll(/(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}/g, `$1${MASK}`)
    .replaceAll(/\b((?:response|nonce|cnonce|password|passwd|secret|ha1)\s*[=:]\s*)("[^"]*"|[^\s,;]+)/gi, `$1${MASK}`)
    .replaceAll(/(sip(?:s)?:[^\s:@>]+):[^\s@>]+@/gi, `$1:${MASK}@`);

export function objectEvidence(object: RawObject): Evidence {
  const masked = maskObject(object) as RawObject;
  const data = masked["data"];
  const text =
    object.kind === "ConfigMap" && typeof data === "object" && data !== null
      ? {
          ...masked,
          data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, maskText(String(value))])),
        }
      : masked;
  return {
    name: `objects/${object.kind.toLowerCase()}-${object.metadata.name}.yaml`,
    content: dump(text, { lineWidth: -1, noRefs: true, skipInvalid: true }),
  };
}
