/**
 * A capture of one call in one Kamailio: begun and ended over the control port, read from its table `capture`
 * (../render/kamailio/capture.ts). It ends by itself.
 */
import { OperatorError } from "../errors.ts";
import { CAPTURE } from "../render/layout.ts";
import { NOT_THERE, orWhen, type Call } from "./ask.ts";
import { parseHtableAnswer } from "./parse.ts";

/** What is captured: one Call-ID, or the calls whose caller or called party has this number. */
export type CaptureOf = { readonly callId: string } | { readonly number: string };

/** A SIP message as Kamailio received or sent it; its credentials and keys are masked. */
export interface CapturedMessage {
  /** microseconds since the epoch, by the clock of the pod */
  readonly at: number;
  readonly sent: boolean;
  /** e.g. "udp" */
  readonly transport: string;
  /** `address:port` */
  readonly from: string;
  readonly to: string;
  /** bytes on the wire */
  readonly bytes: number;
  /** the first 3,000 bytes */
  readonly text: string;
}

const get = async (call: Call, key: string): Promise<string | number | undefined> =>
  parseHtableAnswer(await orWhen<unknown>(NOT_THERE, undefined, call("htable.get", CAPTURE.table, key)));

/** What `--number` takes: no character that a regular expression would need a backslash for. */
export const CAPTURABLE = /^[0-9A-Za-z*#+._-]{1,64}$/;
const literal = (number: string): string => number.replaceAll(/[*+.]/g, "[$&]");

/** POSIX extended: the request line, From or To has the number as its user. Kamailio ignores case. */
export const firstRequest = (number: string): string => {
  const user = `sips?:${literal(number)}[@;]`;
  return `^[A-Z]+ (${user}[^[:cntrl:]]* SIP/2|[^[:cntrl:]]* SIP/2.*[[:cntrl:]](from|f|to|t)[[:blank:]]*:[^[:cntrl:]]*${user})`;
};

/**
 * @param session from 1 to 2,147,483,647: tells this capture from another
 * @param seconds at most 600
 * @throws OperatorError SIPR_USAGE when another capture runs; SIPR_RPC_*
 */
export async function beginCapture(call: Call, what: CaptureOf, session: number, seconds: number): Promise<void> {
  if ((await get(call, "session")) !== undefined)
    throw new OperatorError("SIPR_USAGE", "another capture runs in it.", {
      remedy: `Try again when it is over, at the latest after ${CAPTURE.maxSeconds} s.`,
    });
  const { table } = CAPTURE;
  await call("htable.seti", table, "count", 0);
  await call("htable.seti", table, "calls", 0);
  if ("number" in what) await call("htable.sets", table, "first", firstRequest(what.number));
  else {
    await orWhen(NOT_THERE, undefined, call("htable.delete", table, "first"));
    await call("htable.seti", table, `${session}:${what.callId}`, 1);
  }
  await call("htable.setxi", table, "session", session, seconds);
  await call("sipdump.enable", 1);
}

/** false: it was over already, and may be another's by now */
export async function endCapture(call: Call, session: number): Promise<boolean> {
  if ((await get(call, "session")) !== session) return false;
  await call("sipdump.enable", 0);
  await call("htable.delete", CAPTURE.table, "session");
  return true;
}

export interface Captured {
  readonly messages: readonly CapturedMessage[];
  /** how many were captured, also those that found no room */
  readonly count: number;
  readonly over: boolean;
}

/** @param known messages that were read before */
export async function readCapture(call: Call, session: number, known: number): Promise<Captured> {
  const over = (await get(call, "session")) !== session;
  const count = Number((await get(call, "count")) ?? 0);
  const messages: CapturedMessage[] = [];
  for (let at = known + 1; at <= Math.min(count, CAPTURE.maxMessages); at += 1) {
    const message = parseMessage(await get(call, String(at)), session);
    // its number is drawn before it is written: it is there the next time
    if (message === undefined) break;
    messages.push(message);
  }
  return { messages, count, over };
}

/** undefined when it is of an earlier capture */
function parseMessage(value: unknown, session: number): CapturedMessage | undefined {
  const [mine, time = "", tag, transport = "", source, sourcePort, target, targetPort, bytes, text = ""] =
    String(value).split(" ");
  if (mine !== String(session)) return undefined;
  const [seconds, micros] = time.split(".");
  return {
    at: Number(seconds) * 1_000_000 + Number(micros),
    sent: tag === "snd",
    transport,
    from: endpoint(source, sourcePort),
    to: endpoint(target, targetPort),
    bytes: Number(bytes),
    text: Buffer.from(text, "base64").toString("utf8"),
  };
}

const endpoint = (address = "", port = ""): string => `${address.includes(":") ? `[${address}]` : address}:${port}`;
