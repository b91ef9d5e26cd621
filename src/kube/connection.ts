/**
 * JSON requests and watch streams to one API server, and the fence after which nothing is written.
 * The generated client lacks server-side apply for every kind and rebuilds each object; here a request is one
 * JSON.stringify and one JSON.parse. Retries nothing.
 */
import type { KubeConfig } from "@kubernetes/client-node";
import { ApiError, apiError, parseRequest, unreachable } from "./failure.ts";
import type { RequestInfo } from "./failure.ts";
import { OperatorError } from "../errors.ts";
import type { Answer } from "./http2.ts";
import { Transport, type Query } from "./transport.ts";

export type { Query };

export interface RequestOptions {
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

export interface WatchOptions {
  readonly query: Query;
  readonly signal: AbortSignal;
  /** the stream is given up when nothing at all arrives for so long, milliseconds */
  readonly quietMs: number;
  readonly onEvent: (event: WatchEvent) => void;
}

export interface Connection {
  readonly server: string;
  /** Throws {@link ApiError}. */
  request(method: string, path: string, options?: RequestOptions): Promise<unknown>;
  /** Resolves when the server ends the stream or it went quiet; throws {@link ApiError} when it was refused or broke. */
  watch(path: string, options: WatchOptions): Promise<void>;
  /** From now on nothing is written: what is under way is aborted, later writes throw. Reads go on. */
  fence(reason: string): void;
  close(): void;
}

export interface ConnectionOptions {
  /** a request without an answer after so long fails, milliseconds */
  readonly timeoutMs?: number;
  /** default: the operator */
  readonly userAgent?: string;
  readonly onRequest?: (info: RequestInfo, status: number, seconds: number) => void;
}

const isOpen = (answer: Answer): boolean => answer.status < 300;

const readBody = async ({ body }: Answer): Promise<unknown> => {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
};

/** Splits a stream of JSON lines; a line that does not parse ends the stream with an error. */
const readLines = async ({ body }: Answer, alive: () => void, onEvent: (event: WatchEvent) => void): Promise<void> => {
  body.setEncoding("utf8");
  let rest = "";
  for await (const chunk of body) {
    alive();
    rest += chunk as string;
    let start = 0;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", start)) {
      if (end > start) onEvent(JSON.parse(rest.slice(start, end)) as WatchEvent);
      start = end + 1;
    }
    rest = rest.slice(start);
  }
};

/** One signal for a request: aborted with any of the sources or when the time is over. Nothing stays behind after release. */
const linkSignals = (sources: readonly (AbortSignal | undefined)[], timeoutMs: number) => {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const over = (): void => controller.abort(new Error("no answer in time"));
  let timer = setTimeout(over, timeoutMs);
  for (const source of sources) {
    if (source?.aborted) abort();
    else source?.addEventListener("abort", abort, { once: true });
  }
  return {
    signal: controller.signal,
    extend: (milliseconds: number): void => {
      clearTimeout(timer);
      timer = setTimeout(over, milliseconds);
    },
    release: (): void => {
      clearTimeout(timer);
      for (const source of sources) source?.removeEventListener("abort", abort);
    },
  };
};

export const createConnection = (kubeConfig: KubeConfig, options: ConnectionOptions = {}): Connection => {
  const transport = new Transport(kubeConfig, options.userAgent ?? "sip-router-operator");
  const { server } = transport;
  const timeoutMs = options.timeoutMs ?? 30_000;
  const fence = new AbortController();

  return {
    server,
    async request(method, path, { query, body, contentType, signal: given } = {}) {
      const info = parseRequest(method, path, false);
      const writes = method !== "GET";
      if (writes && fence.signal.aborted) throw fence.signal.reason;
      let limit: ReturnType<typeof linkSignals> | undefined;
      const began = performance.now();
      let status = 0;
      try {
        await transport.authorized();
        limit = linkSignals([given, writes ? fence.signal : undefined], timeoutMs);
        const { signal } = limit;
        const payload = body === undefined ? undefined : JSON.stringify(body);
        const answer = await transport.send({ method, path, query, payload, contentType, signal });
        const said = await readBody(answer);
        ({ status } = answer);
        if (!isOpen(answer)) throw apiError(info, status, said, answer.retryAfter);
        return said;
      } catch (error) {
        if (fence.signal.aborted && writes) throw fence.signal.reason;
        throw error instanceof OperatorError ? error : unreachable(info, server, error);
      } finally {
        limit?.release();
        options.onRequest?.(info, status, (performance.now() - began) / 1000);
      }
    },

    async watch(path, { query: asked, signal: given, quietMs, onEvent }) {
      const info = parseRequest("GET", path, true);
      const limit = linkSignals([given], Math.min(timeoutMs, quietMs));
      const { signal } = limit;
      let opened: Answer | undefined;
      try {
        const answer = await transport.send({ method: "GET", path, query: { ...asked, watch: true }, signal });
        if (!isOpen(answer)) throw apiError(info, answer.status, await readBody(answer), answer.retryAfter);
        opened = answer;
        const alive = (): void => limit.extend(quietMs);
        alive();
        await readLines(answer, alive, onEvent);
      } catch (error) {
        if (given.aborted) return;
        if (opened && signal.aborted) return transport.retire(opened.body);
        throw error instanceof ApiError ? error : unreachable(info, server, error);
      } finally {
        limit.release();
      }
    },

    fence(reason) {
      fence.abort(
        new OperatorError("SIPR_API", `Nothing is written any more: ${reason}`, {
          remedy: "Another instance has taken over, or this one restarts.",
        }),
      );
    },
    close: () => transport.close(),
  };
};
