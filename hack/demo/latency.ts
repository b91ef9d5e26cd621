/**
 * Time from INVITE to the first ringing or final answer, on a clock finer than SIPp's milliseconds: the same call straight
 * to the PBX and through the router, by turns; the difference of the medians is what the router adds.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "./endpoints.ts";

interface Call {
  readonly sentAt: number;
  ringingAt?: number;
  /** something came back, be it 100 */
  heard?: true;
  readonly answered: PromiseWithResolvers<string>;
  readonly ended: PromiseWithResolvers<string>;
}

const header = (message: string, name: string): string =>
  new RegExp(`^${name}:\\s*(.*?)\\r$`, "im").exec(message)?.[1] ?? "";
/** Route set of a caller: the Record-Route headers, last first (RFC 3261 12.1.2). */
const routeSet = (answer: string): string[] =>
  [...answer.matchAll(/^Record-Route:\s*(.*?)\r$/gim)].flatMap((match) => (match[1] ?? "").split(",")).toReversed();

function request(method: string, uri: string, cseq: number, from: Address, headers: readonly string[]): string {
  const via = `Via: SIP/2.0/UDP ${from.ip}:${from.port};branch=z9hG4bK${Math.random().toString(36).slice(2)}`;
  const lines = [`${method} ${uri} SIP/2.0`, via, "Max-Forwards: 70", `CSeq: ${cseq} ${method}`, ...headers];
  return [...lines, `Contact: <sip:probe@${from.ip}:${from.port}>`, "Content-Length: 0", "", ""].join("\r\n");
}

/** A datagram can be lost: it is sent again until something comes back (RFC 3261 17.1). The time counts from the first. */
const AGAIN_MS = 500;

/** What comes within the time, "" else. */
async function within(ms: number, { promise, resolve }: PromiseWithResolvers<string>): Promise<string> {
  const timer = setTimeout(() => resolve(""), ms);
  const message = await promise;
  clearTimeout(timer);
  return message;
}

class Probe {
  readonly #socket: Socket = createSocket("udp4");
  readonly #calls = new Map<string, Call>();
  readonly #from: Address;
  #count = 0;

  constructor(from: Address) {
    this.#from = from;
    this.#socket.on("message", (data) => this.#receive(data.toString("latin1"), performance.now()));
  }

  async open(): Promise<void> {
    this.#socket.bind(this.#from.port, this.#from.ip);
    await once(this.#socket, "listening");
  }

  close(): void {
    this.#socket.close();
  }

  #receive(message: string, now: number): void {
    const status = Number(/^SIP\/2\.0 (\d{3}) /.exec(message)?.[1] ?? 0);
    const call = this.#calls.get(header(message, "Call-ID"));
    if (!call) return;
    call.heard = true;
    if (status <= 100) return;
    if (header(message, "CSeq").endsWith("BYE")) call.ended.resolve(message);
    else call.ringingAt ??= now;
    if (status >= 200) call.answered.resolve(message);
  }

  /** Milliseconds until the first answer above 100; undefined when the call was not answered with 200. */
  async call(number: string, to: Address): Promise<number | undefined> {
    const id = `probe-${this.#count++}-${this.#from.ip}`;
    const same = [`From: <sip:probe@${this.#from.ip}>;tag=${id}`, `Call-ID: ${id}`];
    const uri = `sip:${number}@${to.ip}:${to.port}`;
    const call: Call = { sentAt: performance.now(), answered: Promise.withResolvers(), ended: Promise.withResolvers() };
    this.#calls.set(id, call);
    const invite = request("INVITE", uri, 1, this.#from, [...same, `To: <${uri}>`]);
    const send = (): void => this.#socket.send(invite, to.port, to.ip);
    send();
    const again = setInterval(() => call.heard || send(), AGAIN_MS);
    const answer = await within(5000, call.answered);
    clearInterval(again);
    if (!answer.startsWith("SIP/2.0 200") || call.ringingAt === undefined) return undefined;
    const target = /<(.*?)>/.exec(header(answer, "Contact"))?.[1] ?? uri;
    const dialog = [
      ...same,
      `To: ${header(answer, "To")}`,
      ...routeSet(answer).map((route) => `Route: ${route.trim()}`),
    ];
    this.#socket.send(request("ACK", target, 1, this.#from, dialog), to.port, to.ip);
    // so that the BYE does not overtake it
    await sleep(5);
    this.#socket.send(request("BYE", target, 2, this.#from, dialog), to.port, to.ip);
    await within(1000, call.ended);
    this.#calls.delete(id);
    return call.ringingAt - call.sentAt;
  }
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Milliseconds the router adds at the median of `calls` calls; undefined when a call failed. */
export async function addedByRouter(options: {
  number: string;
  from: Address;
  router: Address;
  pbx: Address;
  calls: number;
}): Promise<number | undefined> {
  const probe = new Probe(options.from);
  await probe.open();
  try {
    const direct: (number | undefined)[] = [];
    const routed: (number | undefined)[] = [];
    for (let index = 0; index < options.calls; index++) {
      direct.push(await probe.call(options.number, options.pbx));
      routed.push(await probe.call(options.number, options.router));
    }
    if ([...direct, ...routed].includes(undefined)) return undefined;
    return median(routed as number[]) - median(direct as number[]);
  } finally {
    probe.close();
  }
}
