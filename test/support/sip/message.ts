/** SIP messages as text: just enough of RFC 3261 for a test to write them and to look into them. */

export interface SipMessage {
  /** of a request */
  readonly method?: string;
  readonly uri?: string;
  /** of a reply */
  readonly status?: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly text: string;
}

const compact: Readonly<Record<string, string>> = {
  v: "via", f: "from", t: "to", i: "call-id", m: "contact", l: "content-length", k: "supported",
}; // prettier-ignore

export function parseMessage(text: string): SipMessage {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end < 0 ? undefined : end).split("\r\n");
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim().toLowerCase();
    return [compact[name] ?? name, line.slice(colon + 1).trim()];
  });
  const body = end < 0 ? "" : text.slice(end + 4);
  if (first.startsWith("SIP/2.0 ")) return { status: Number(first.split(" ")[1]), fields, body, text };
  const [method = "", uri = ""] = first.split(" ");
  return { method, uri, fields, body, text };
}

/** All values of a header, lists taken apart. */
export const headers = (message: SipMessage, name: string): readonly string[] =>
  message.fields
    .filter(([field]) => field === name.toLowerCase())
    .flatMap(([field, value]) =>
      listed.has(field) ? value.split(/,(?=\s*(?:<|SIP\/2\.0))/).map((one) => one.trim()) : [value],
    );
const listed = new Set(["via", "route", "record-route", "path", "contact"]);

export const header = (message: SipMessage, name: string): string => headers(message, name)[0] ?? "";

/** An IPv6 address is in brackets (RFC 3261 19.1.2, 25.1). */
export const inUri = (host: string): string => (host.includes(":") ? `[${host}]` : host);

export const callIdOf = (message: SipMessage): string => header(message, "call-id");
/** The URI in a name-addr: `<sip:a@b>;tag=x` -> `sip:a@b` */
export const uriIn = (value: string): string => /<([^>]*)>/.exec(value)?.[1] ?? value.split(";")[0] ?? value;
export const tagOf = (value: string): string | undefined => /;tag=([^;>\s]+)/.exec(value)?.[1];

export interface Written {
  readonly first: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

export const writeMessage = ({ first, fields, body = "" }: Written): string =>
  [
    first,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");

export interface ReplyOptions {
  readonly reason?: string;
  readonly contact?: string;
  readonly tag?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** RFC 3261 8.2.6: what a reply copies from its request. */
export function writeReply(request: SipMessage, status: number, options: ReplyOptions = {}): string {
  const to = header(request, "to");
  const tagged = status === 100 || tagOf(to) !== undefined ? to : `${to};tag=${options.tag ?? "callee"}`;
  return writeMessage({
    first: `SIP/2.0 ${status} ${options.reason ?? "Reason"}`,
    fields: [
      ...headers(request, "via").map((value): [string, string] => ["Via", value]),
      ...headers(request, "record-route").map((value): [string, string] => ["Record-Route", value]),
      ["From", header(request, "from")],
      ["To", tagged],
      ["Call-ID", callIdOf(request)],
      ["CSeq", header(request, "cseq")],
      ...(options.contact === undefined ? [] : [["Contact", options.contact] as [string, string]]),
      ...(options.fields ?? []),
    ],
    ...(options.body === undefined ? {} : { body: options.body }),
  });
}
