/** What goes into a bug report, without a secret. Pure. */
import { dump } from "js-yaml";
import type { RawObject } from "../../api/index.ts";
import type { Evidence } from "../fleet/index.ts";

/** Keys whose values are taken out wherever they occur. */
const secretKey =
  /pass(word|wd|phrase|code)?|pwd|secret$|token|credential|ha1|private|api[_-]?key|access[_-]?key|\.key$|authorization/i;
/** Names of objects are no secrets. */
const nameKey = /(secretname|Ref|tokenName|automountServiceAccountToken)$/i;
/** What the operator itself puts into the environment of a pod: the rest is the user's. */
const ownEnv = /^(POD_(IP|NAME|NAMESPACE|UID)|SIP_ROUTER_.*)$/;
/** dropped: what managers and kubectl keep of an object is the object again */
const copies = new Set(["managedFields", "kubectl.kubernetes.io/last-applied-configuration"]);
const MASK = "(removed)";

const isSecret = (name: string): boolean => secretKey.test(name) && !nameKey.test(name);

export function maskObject(value: unknown, key = ""): unknown {
  if (Array.isArray(value))
    return key === "args" || key === "command" ? maskArguments(value) : value.map((item) => maskItem(item, key));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !copies.has(name))
        .map(([name, item]) => [name, maskObject(item, name)]),
    );
  if (typeof value !== "string") return value;
  return isSecret(key) ? MASK : maskText(value);
}

/** Of lists: `{name, value}` says with its name what the value is; a variable may hold anything under any name. */
function maskItem(item: unknown, list: string): unknown {
  const masked = maskObject(item, list);
  if (typeof masked !== "object" || masked === null || !("name" in masked) || !("value" in masked)) return masked;
  const name = String(masked.name);
  return (list === "env" && !ownEnv.test(name)) || isSecret(name) ? { ...masked, value: MASK } : masked;
}

/** `--password=x` is masked as text is, `--password x` by what stands before it. */
const maskArguments = (given: readonly unknown[]): unknown[] =>
  given.map((one, at) => {
    const before = given[at - 1];
    const named = typeof before === "string" && /^-{1,2}[^=\s]+$/.test(before) && isSecret(before);
    return named ? MASK : maskObject(one);
  });

const secretName = String.raw`[\w.-]*(?:pass(?:word|wd|phrase|code|(?![a-z]))|pwd|secret|token|credential|ha1|api[_-]?key|access[_-]?key|private[_-]?key)[\w-]*`;
const assignment = new RegExp(
  String.raw`(?<![\w.-])(\\?["']?)(${secretName}|response|nonce|cnonce)(\\?["']?[ \t]*[=:](?!>)[ \t]*)(\\"(?:[^"\\]|\\[^"])*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|(?!["'])(?:(?!,[\w.-]+=)(?:\\.|[^\s"]))+)`,
  "gi",
);

/** Of a log or a configuration: credentials in the forms of HTTP, SIP, JSON, YAML, command lines and URLs, and private keys. */
export const maskText = (text: string): string =>
  text
    .replaceAll(/-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?(?:-----END \1-----|$)/g, MASK)
    .replaceAll(/((?:Proxy-)?Authorization["']?\s*:\s*)[^\r\n]*/gi, `$1${MASK}`)
    .replaceAll(/((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}/g, `$1${MASK}`)
    .replaceAll(assignment, (whole, open: string, name: string, equals: string) =>
      nameKey.test(name) ? whole : `${open}${name}${equals}${MASK}`,
    )
    .replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/)(?:[^\s"'<>@/]+|[^\s"'<>@]*:[^\s"'<>]*)@/gi, `$1${MASK}@`)
    .replaceAll(/(sip(?:s)?:[^\s:@>]+):[^\s@>]+@/gi, `$1:${MASK}@`);

export const objectEvidence = (object: RawObject): Evidence => ({
  name: `objects/${object.kind.toLowerCase()}-${object.metadata.name}.yaml`,
  content: dump(maskObject(object), { lineWidth: -1, noRefs: true, skipInvalid: true }),
});
