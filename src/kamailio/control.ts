/**
 * JSON-RPC over HTTP to the control port of a Kamailio. One request at a time to one address, in the order of the
 * calls: overlapping reloads can corrupt shared memory up to Kamailio 6.1.4. Connections are kept and used again.
 */
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { OperatorError } from "../errors.ts";
import { BrokenOff } from "./brokenOff.ts";
import { MAX_RPC_BODY, PING_METHOD, rpcMethods } from "../render/layout.ts";
import { countDestinations } from "./parse.ts";
import type { Control, ControlAddress } from "./types.ts";

export interface ControlOptions {
  /** of one request from its sending to the last byte of the answer, milliseconds; default 3000 */
  readonly timeoutMs?: number;
}

/** A {@link Control} that holds kept-alive connections until it is closed. */
export interface ClosableControl extends Control {
  /** nothing is sent any more, also of what waits for its turn; what was sent is waited for */
  fence(reason: string): void;
  close(): void;
}

const MAX_ANSWER = 64 * 1024 * 1024;
/**
 * Kamailio keeps two dispatcher lists and frees the older one when the next change begins, whoever still reads it (5.6 to
 * 6.1): its processes need this long, milliseconds, to be done with what was replaced. A round of health checks reads the list
 * from its beginning to its end, and so do a thousand time-outs at once: measured, at one round a second and changes without
 * end, 5 ms are enough for 200 destinations; with 1,000 they ended Kamailio within seconds, 25 ms within half a minute.
 */
export const changeGapMs = (destinations: number): number => 5 + Math.max(0, destinations - FEW_DESTINATIONS) / 16;
const FEW_DESTINATIONS = 200;
/** What Kamailio gathers in a time that grows with the square of what there is. */
const slow = new Set(["ul.dump"]);
const SLOWER = 10;
const LIST = "dispatcher.list";
const changesList = /^dispatcher\.(add|remove|reload)$/;

export const createControl = (options: ControlOptions = {}): ClosableControl => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1, scheduling: "lifo" });
  const timeoutMs = options.timeoutMs ?? 3000;
  const last = new Map<string, Promise<unknown>>();
  /** address -> ends when the next change of the list may begin */
  const resting = new Map<string, Promise<void>>();
  /** address -> destinations, when they were read last */
  const lengths = new Map<string, number>();
  const rest = (key: string): void => {
    const over = pause(changeGapMs(lengths.get(key) ?? 0)).then(() => {
      if (resting.get(key) === over) resting.delete(key);
    });
    resting.set(key, over);
  };
  let id = 0;
  let fenced: string | undefined;
  const passFence = (address: ControlAddress, method: string): void => {
    if (fenced === undefined) return;
    throw new OperatorError("SIPR_RPC_UNREACHABLE", `${method} to ${nameOf(address)} was not sent: ${fenced}`, {
      remedy: "Nothing: whoever leads or is started next brings the pod to what is wanted.",
    });
  };
  return {
    async call(address, method, params = [], workMs = 0) {
      const key = `${address.host} ${address.port}`;
      const before = last.get(key) ?? Promise.resolve();
      id = (id % 1_000_000_000) + 1;
      const own = id;
      const body = canonicalBody(method, params, own);
      const changes = changesList.test(method);
      const mine = before.then(async () => {
        if (changes) await resting.get(key);
        passFence(address, method);
        const longest = (slow.has(method) ? timeoutMs * SLOWER : timeoutMs) + workMs;
        const answer = await exchange(agent, address, method, body, own, longest);
        if (changes) rest(key);
        if (method === LIST) lengths.set(key, countDestinations(answer));
        return answer;
      });
      const settled = mine.catch(() => undefined);
      last.set(key, settled);
      try {
        return await mine;
      } finally {
        if (last.get(key) === settled) last.delete(key);
      }
    },
    fence: (reason) => void (fenced ??= reason),
    close() {
      fenced ??= "the connections were closed.";
      agent.destroy();
    },
  };
};

/** The only form that the control port accepts: these keys in this order, no space, no escape in a string. */
export function canonicalBody(method: string, params: readonly (string | number)[], id: number): string {
  const wrong = (message: string): never => {
    throw new OperatorError("SIPR_RPC_MALFORMED", `${method}: ${message}`, {
      remedy: "This request is never sent: report it as a defect.",
    });
  };
  const served = method === PING_METHOD || (rpcMethods as readonly string[]).includes(method);
  if (!served) wrong("the control port does not serve this method");
  for (const given of params) {
    const param = method === PING_METHOD && typeof given === "string" ? given.replaceAll("\r\n", "") : given;
    if (typeof param === "number" ? !Number.isSafeInteger(param) : !/^[\x20-\x7e]*$/.test(param) || /["\\]/.test(param))
      wrong(`the parameter ${JSON.stringify(param)} needs escaping`);
  }
  const body = JSON.stringify({ jsonrpc: "2.0", method, params, id });
  if (body.length > MAX_RPC_BODY) wrong(`the request has more than ${MAX_RPC_BODY} bytes`);
  return body;
}

const nameOf = ({ host, port }: ControlAddress): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

async function exchange(
  agent: Agent,
  address: ControlAddress,
  method: string,
  body: string,
  id: number,
  timeoutMs: number,
): Promise<unknown> {
  const { status, text } = await post(agent, address, body, timeoutMs).catch((cause: unknown) => {
    throw new OperatorError(
      "SIPR_RPC_UNREACHABLE",
      `no answer of the control port: ${method} to ${nameOf(address)}: ${reasonOf(cause)}`,
      {
        remedy: "Check that the pod runs and that a NetworkPolicy lets the operator reach its control port.",
        cause,
      },
    );
  });
  return resultOf(address, method, id, status, text);
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message || cause.name : String(cause));

function resultOf(address: ControlAddress, method: string, id: number, status: number, text: string): unknown {
  const at = `${method} to ${nameOf(address)}`;
  const answer = parseAnswer(text);
  if (answer?.error !== undefined) {
    const { message, code } = answer.error;
    throw new OperatorError("SIPR_RPC_FAULT", `${at}: ${String(message)} (${String(code)})`, {
      remedy: "Look at the log of that Kamailio.",
    });
  }
  if (status !== 200 && answer === undefined)
    throw new OperatorError("SIPR_RPC_FAULT", `${at}: HTTP ${status} ${text.slice(0, 100).trim()}`, {
      remedy:
        status === 401
          ? "The token differs from that of the Secret: restart the pod."
          : "Check that the operator and the pod's kamailio.cfg are of one version.",
    });
  if (answer === undefined || !("result" in answer) || answer.id !== id)
    throw new OperatorError(
      "SIPR_RPC_MALFORMED",
      `${at}: not a JSON-RPC answer to this request: ${text.slice(0, 100)}`,
      {
        remedy: "Check that Kamailio listens there, and its version.",
      },
    );
  return answer.result;
}

interface Answer {
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
}

function parseAnswer(text: string): Answer | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "jsonrpc" in value ? (value as Answer) : undefined;
  } catch {
    return undefined;
  }
}

function post(
  agent: Agent,
  { host, port, token }: ControlAddress,
  body: string,
  timeoutMs: number,
): Promise<{ status: number; text: string }> {
  let stood = false;
  const attempt = (retry: boolean): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const headers = {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
        "Content-Length": Buffer.byteLength(body),
      };
      const sent = request({ agent, host, port, method: "POST", path: "/rpc", headers });
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        sent.destroy(new Error(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      sent.on("socket", (socket) => {
        if (sent.reusedSocket) stood = true;
        else socket.once("connect", () => void (stood = true));
      });
      sent.on("close", () => clearTimeout(timer));
      sent.on("error", (error: NodeJS.ErrnoException) => {
        // Kamailio closed the kept connection before it read anything of this request
        if (retry && sent.reusedSocket && error.code === "ECONNRESET") resolve(attempt(false));
        else reject(stood && !late ? new BrokenOff(error.message || error.code, { cause: error }) : error);
      });
      sent.on("response", (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          chunks.push(chunk);
          if (length > MAX_ANSWER) sent.destroy(new Error(`an answer of more than ${MAX_ANSWER} bytes`));
        });
        response.on("error", reject);
        response.on("aborted", () => reject(new BrokenOff("the answer broke off")));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
      });
      sent.end(body);
    });
  return attempt(true);
}
