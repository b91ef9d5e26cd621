/**
 * The protocol of Asterisk's manager interface: a line of greeting, then messages of "Name: value" lines that end with an
 * empty line (CR LF). Pure.
 */

/** Names in lower case; of a name that comes more than once, the first value. */
export type AmiMessage = ReadonlyMap<string, string>;

export interface AmiStream {
  /** "Asterisk Call Manager/11.0.0"; undefined until it is there */
  readonly greeting: string | undefined;
  /** the message under way */
  readonly fields: AmiMessage;
  /** a line whose end has not come yet */
  readonly rest: Buffer;
}
export interface AmiParsed {
  readonly stream: AmiStream;
  readonly messages: readonly AmiMessage[];
  /** not the manager interface, or more than anybody sends: nothing after it counts */
  readonly error?: string;
}

export const newStream: AmiStream = { greeting: undefined, fields: new Map(), rest: Buffer.alloc(0) };

const MAX_LINE_BYTES = 64 * 1024;
const MAX_FIELDS = 1024;
const GREETING = /^Asterisk Call Manager\/[0-9][0-9.]{0,20}$/;
const LF = 0x0a;

/** Takes the bytes in whatever pieces they come. */
export function parseAmi(stream: AmiStream, chunk: Buffer): AmiParsed {
  const bytes = stream.rest.length === 0 ? chunk : Buffer.concat([stream.rest, chunk]);
  const messages: AmiMessage[] = [];
  let { greeting } = stream;
  let fields = new Map(stream.fields);
  let start = 0;
  const stop = (error: string): AmiParsed => ({ stream: { greeting, fields, rest: Buffer.alloc(0) }, messages, error });
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
    if (end - start > MAX_LINE_BYTES) return stop("a line is longer than 64 KiB");
    const line = bytes.toString("utf8", start, end).replace(/\r$/, "");
    start = end + 1;
    if (greeting === undefined) {
      if (!GREETING.test(line)) return stop("it does not greet as Asterisk's manager interface does");
      greeting = line;
    } else if (line === "") {
      if (fields.size > 0) messages.push(fields);
      fields = new Map();
    } else addField(fields, line);
    if (fields.size > MAX_FIELDS) return stop(`a message has more than ${MAX_FIELDS} fields`);
  }
  const rest = Buffer.from(bytes.subarray(start));
  if (rest.length > MAX_LINE_BYTES) return stop("a line is longer than 64 KiB");
  return { stream: { greeting, fields, rest }, messages };
}

/** A line without a colon is the output of a command: nobody here asks for any. */
function addField(fields: Map<string, string>, line: string): void {
  const colon = line.indexOf(":");
  if (colon < 1) return;
  const name = line.slice(0, colon).trim().toLowerCase();
  if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
}

/**
 * An action as it is sent.
 * @throws TypeError when a value would begin another line: whoever gives it has to refuse such values before
 */
export function formatAction(fields: readonly (readonly [name: string, value: string])[]): string {
  for (const [name, value] of fields)
    if (/[\0\r\n]/.test(name + value)) throw new TypeError(`the value of ${JSON.stringify(name)} holds a line end`);
  return `${fields.map(([name, value]) => `${name}: ${value}`).join("\r\n")}\r\n\r\n`;
}
