/**
 * One function per quoting context. Each refuses what it cannot write safely; none guesses or repairs. The schema has
 * the same allow-lists: a string that is refused here got past it.
 */
import { isIPv4, isIPv6 } from "node:net";
import type { Transport } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";

/** @param what the field that is refused, in the words of its reader */
export function refuse(what: string, value: unknown, allowed: string): never {
  const shown = JSON.stringify(value) ?? String(value);
  throw new OperatorError(
    "SIPR_RENDER_REFUSED",
    `${what} ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown} cannot be written into a Kamailio file`,
    { remedy: `Use ${allowed}.` },
  );
}

/** A domain in lower case, in any context (RFC 1123 2.1). */
export const isDomain = (text: string): boolean => /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(text);

/** A decimal integer in any context. */
export function integer(what: string, value: number, min = 0, max = 2_147_483_647): string {
  if (!Number.isInteger(value) || value < min || value > max)
    refuse(what, value, `a whole number from ${min} to ${max}`);
  return String(value);
}

/** An IP address, in brackets when it is IPv6. Names are refused: a name would be looked up while a call waits. */
export function ipLiteral(what: string, host: string): string {
  if (isIPv4(host)) return host;
  if (isIPv6(host) && !host.includes("%")) return `[${host}]`;
  return refuse(what, host, "an IPv4 or IPv6 address");
}

/** `dispatcher.list`, field destination: built anew from its parts (RFC 3261 19.1.1), at most 80 bytes. */
export const dispatcherUri = (what: string, host: string, port: number, transport: Transport): string =>
  `sip:${ipLiteral(what, host)}:${integer(`${what}: port`, port, 1, 65_535)};transport=${transport.toLowerCase()}`;

/**
 * `dispatcher.list`, field attrs: `name=value` pairs joined by `;`. A value with `;` would add an attribute of its own
 * (`obproxy=` sends calls elsewhere), one with a space or `#` would end the field.
 */
export function dispatcherAttrs(what: string, attrs: readonly (readonly [name: string, value: string])[]): string {
  for (const [name, value] of attrs) {
    if (!/^[a-z_]{1,32}$/.test(name)) refuse(what, name, "lower case letters and _");
    if (!/^[A-Za-z0-9._-]{1,128}$/.test(value)) refuse(what, value, "letters, digits, dots, underscores and hyphens");
  }
  return attrs.map(([name, value]) => `${name}=${value}`).join(";");
}

/** The reader of `dispatcher.list` takes 1,023 bytes at a time: the rest of a longer line becomes a destination of its own. */
export function dispatcherLine(what: string, fields: readonly string[]): string {
  for (const field of fields)
    if (!/^[!"$-~]+$/.test(field)) refuse(what, field, "printable ASCII without spaces and #");
  const line = fields.join(" ");
  if (line.length > 1000) refuse(what, line, "a shorter text: a line has at most 1,000 bytes");
  return `${line}\n`;
}

/** A field of a db_text table: `:` separates, `\` escapes, a line end ends the row, an empty one is NULL (dbt_file.c). */
export function dbTextField(what: string, value: string): string {
  if (value === "" || value.length > 4096 || !/^[\x20-\x7e]*$/.test(value))
    refuse(what, value, "printable ASCII, at most 4,096 bytes");
  return value.replaceAll("\\", "\\\\").replaceAll(":", "\\:");
}

/**
 * Text inside a quoted string of `kamailio.cfg`: no quote, no escape, no pseudo-variable (`$`), no preprocessor (`!`,
 * `#`). `SIPR_` is the prefix of the names that the preprocessor replaces anywhere.
 */
export function cfgText(what: string, value: string): string {
  if (!/^[A-Za-z0-9 .,:;_@/()=+*<>[\]-]{0,512}$/.test(value) || value.includes("SIPR_"))
    refuse(what, value, 'letters, digits and common punctuation, without " \\ $ ! #');
  return value;
}

/** A host that Kamailio says it is (`advertise`): IP address or DNS name. */
export function advertisedHost(what: string, value: string): string {
  if (isIPv4(value) || isIPv6(value)) return ipLiteral(what, value);
  const label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  if (value.length > 253 || !new RegExp(`^${label}(\\.${label})*$`).test(value))
    refuse(what, value, "an IP address or a DNS name");
  return cfgText(what, value);
}

/** From of the OPTIONS: not the pod's own address, which needs brackets when it is IPv6 and which topology hiding hides. */
export const pingFrom = ({ advertise }: { readonly advertise?: string | undefined }): string =>
  `sip:sip-router@${advertise === undefined ? "sip-router.invalid" : advertisedHost("advertise.address", advertise)}`;
