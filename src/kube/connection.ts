/**
 * A thin HTTPS layer over a KubeConfig's authentication: JSON requests on kept-alive connections, and watch streams.
 * The generated client lacks server-side apply for every kind and rebuilds each object; here a request is one
 * JSON.stringify and one JSON.parse. Retries nothing but a request that met a kept-alive connection just closed.
 */
import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { ApiError, apiError, parseRequest, unreachable } from "./failure.ts";
import type { RequestInfo } from "./failure.ts";
import { OperatorError } from "../errors.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

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
  readonly onRequest?: (info: RequestInfo, status: number, seconds: number) => void;
}

type Agents = { readonly http: http.Agent; readonly https: https.Agent };

const isOpen = (response: http.IncomingMessage): boolean => (response.statusCode ?? 0) < 300;

const readBody = async (response: http.IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
};

/** Splits a stream of JSON lines; a line that does not parse ends the stream with an error. */
const readLines = async (
  response: http.IncomingMessage,
  alive: () => void,
  onEvent: (event: WatchEvent) => void,
): Promise<void> => {
  response.setEncoding("utf8");
  let rest = "";
  for await (const chunk of response) {
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
  const cluster = kubeConfig.getCurrentCluster();
  if (!cluster) {
    throw new OperatorError("SIPR_USAGE", "The kubeconfig has no current context.", {
      remedy: "Name a kubeconfig with --kubeconfig and a context with --context, or run in a cluster.",
    });
  }
  const server = cluster.server.replace(/\/+$/, "");
  const timeoutMs = options.timeoutMs ?? 30_000;
  const keepAlive = { keepAlive: true, scheduling: "lifo" as const };
  const agents: Agents = { http: new http.Agent(keepAlive), https: new https.Agent(keepAlive) };
  const fence = new AbortController();

  const open = async (
    method: string,
    url: URL,
    info: RequestInfo,
    payload: string | undefined,
    settings: { contentType?: string | undefined; signal: AbortSignal },
  ): Promise<http.IncomingMessage> => {
    const auth: https.RequestOptions = {};
    await kubeConfig.applyToHTTPSOptions(auth);
    const secure = url.protocol === "https:";
    const request: https.RequestOptions = {
      ...auth,
      // a proxy of the kubeconfig needs its own agent; else ours, which keeps connections alive
      agent: cluster.proxyUrl ? auth.agent : secure ? agents.https : agents.http,
      method,
      signal: settings.signal,
      headers: {
        ...(auth.headers as Record<string, string> | undefined),
        accept: "application/json",
        "user-agent": "sip-router-operator",
        ...(payload === undefined
          ? {}
          : {
              "content-type": settings.contentType ?? "application/json",
              "content-length": Buffer.byteLength(payload),
            }),
      },
    };
    const send = (): Promise<http.IncomingMessage> =>
      new Promise((resolve, reject) => {
        const sent = (secure ? https : http).request(url, request, resolve);
        sent.once("error", (error: NodeJS.ErrnoException) => {
          const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
          if (stale && !settings.signal.aborted) resolve(send());
          else reject(unreachable(info, server, error));
        });
        sent.end(payload);
      });
    return send();
  };

  const urlOf = (path: string, query: Query | undefined): URL => {
    const url = new URL(server + path);
    for (const [key, value] of Object.entries(query ?? {}))
      if (value !== undefined) url.searchParams.set(key, String(value));
    return url;
  };

  return {
    server,
    async request(method, path, settings = {}) {
      const info = parseRequest(method, path, false);
      const writes = method !== "GET";
      if (writes && fence.signal.aborted) throw fence.signal.reason;
      const limit = linkSignals([settings.signal, writes ? fence.signal : undefined], timeoutMs);
      const began = performance.now();
      let status = 0;
      try {
        const payload = settings.body === undefined ? undefined : JSON.stringify(settings.body);
        const response = await open(method, urlOf(path, settings.query), info, payload, {
          contentType: settings.contentType,
          signal: limit.signal,
        });
        const body = await readBody(response);
        status = response.statusCode ?? 0;
        if (!isOpen(response)) throw apiError(info, status, body, response.headers["retry-after"]);
        return body;
      } catch (error) {
        if (fence.signal.aborted && writes) throw fence.signal.reason;
        throw error instanceof OperatorError ? error : unreachable(info, server, error);
      } finally {
        limit.release();
        options.onRequest?.(info, status, (performance.now() - began) / 1000);
      }
    },

    async watch(path, settings) {
      const info = parseRequest("GET", path, true);
      const limit = linkSignals([settings.signal], Math.min(timeoutMs, settings.quietMs));
      let opened = false;
      try {
        const response = await open("GET", urlOf(path, { ...settings.query, watch: true }), info, undefined, {
          signal: limit.signal,
        });
        if (!isOpen(response)) {
          throw apiError(info, response.statusCode ?? 0, await readBody(response), response.headers["retry-after"]);
        }
        opened = true;
        response.socket.setKeepAlive(true, 15_000);
        const alive = (): void => limit.extend(settings.quietMs);
        alive();
        await readLines(response, alive, settings.onEvent);
      } catch (error) {
        if (settings.signal.aborted || (opened && limit.signal.aborted)) return;
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
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
};
