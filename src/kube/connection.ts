/**
 * A thin HTTPS layer over a KubeConfig's authentication: JSON requests and watch streams, by HTTP/2 where the server has it
 * and no proxy is between, else on kept-alive connections.
 * The generated client lacks server-side apply for every kind and rebuilds each object; here a request is one
 * JSON.stringify and one JSON.parse. Retries nothing but a request that met a kept-alive connection just closed.
 */
import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { ApiError, apiError, parseRequest, unreachable } from "./failure.ts";
import type { RequestInfo } from "./failure.ts";
import { OperatorError } from "../errors.ts";
import { Http2Client, type Answer } from "./http2.ts";

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

/** What was read of a kubeconfig's credentials is used for so long: they may be rotated, and to read them takes time. */
const AUTH_MS = 1000;

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

const lowerCase = (headers: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

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

  let known: { readonly auth: Promise<https.RequestOptions>; readonly until: number } | undefined;
  const authorize = (): Promise<https.RequestOptions> => {
    if (known !== undefined && performance.now() < known.until) return known.auth;
    const read = async (): Promise<https.RequestOptions> => {
      const auth: https.RequestOptions = {};
      await kubeConfig.applyToHTTPSOptions(auth);
      return auth;
    };
    known = { auth: read(), until: performance.now() + AUTH_MS };
    known.auth.catch(() => (known = undefined));
    return known.auth;
  };

  const http2 =
    server.startsWith("https:") && !cluster.proxyUrl
      ? new Http2Client(new URL(server), async () => {
          const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = await authorize();
          const given = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername };
          return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
        })
      : undefined;

  const open = async (
    method: string,
    url: URL,
    info: RequestInfo,
    payload: string | undefined,
    settings: { contentType?: string | undefined; signal: AbortSignal },
  ): Promise<Answer> => {
    const auth = await authorize();
    const headers = {
      ...lowerCase(auth.headers as Record<string, string> | undefined),
      accept: "application/json",
      "user-agent": "sip-router-operator",
      ...(payload === undefined
        ? {}
        : {
            "content-type": settings.contentType ?? "application/json",
            "content-length": Buffer.byteLength(payload),
          }),
    };
    const { signal } = settings;
    try {
      const path = `${url.pathname}${url.search}`;
      const answer = await http2?.send({ method, path, headers, payload, signal });
      if (answer !== undefined) return answer;
    } catch (error) {
      throw unreachable(info, server, error);
    }
    const secure = url.protocol === "https:";
    const request: https.RequestOptions = {
      ...auth,
      // a proxy of the kubeconfig needs its own agent; else ours, which keeps connections alive
      agent: cluster.proxyUrl ? auth.agent : secure ? agents.https : agents.http,
      method,
      signal,
      headers,
    };
    const send = (): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const sent = (secure ? https : http).request(url, request, (response) => {
          response.socket.setKeepAlive(true, 15_000);
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: response.headers["retry-after"],
            body: response,
          });
        });
        sent.once("error", (error: NodeJS.ErrnoException) => {
          const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
          if (stale && !signal.aborted) resolve(send());
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
        const answer = await open(method, urlOf(path, settings.query), info, payload, {
          contentType: settings.contentType,
          signal: limit.signal,
        });
        const body = await readBody(answer);
        ({ status } = answer);
        if (!isOpen(answer)) throw apiError(info, status, body, answer.retryAfter);
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
      let opened: Answer | undefined;
      try {
        const answer = await open("GET", urlOf(path, { ...settings.query, watch: true }), info, undefined, {
          signal: limit.signal,
        });
        if (!isOpen(answer)) throw apiError(info, answer.status, await readBody(answer), answer.retryAfter);
        opened = answer;
        const alive = (): void => limit.extend(settings.quietMs);
        alive();
        await readLines(answer, alive, settings.onEvent);
      } catch (error) {
        if (settings.signal.aborted) return;
        if (opened && limit.signal.aborted) return http2?.retire(opened.body);
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
      http2?.close();
      agents.http.destroy();
      agents.https.destroy();
    },
  };
};
