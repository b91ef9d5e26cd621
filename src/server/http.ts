/**
 * server: what the operator tells about itself, by its log, its metrics and this health and metrics port. GET /healthz: the
 * process works; /readyz: it can do its job (503 and the reasons as lines of text else); /metrics: Prometheus text format.
 * Carries no secret and takes no input but, on a secure port, the token of who asks for metrics.
 */
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { OperatorError } from "../errors.ts";
import type { createAuthorize } from "./authorize.ts";
import type { KeyPair } from "./certificate.ts";

export interface ServerOptions {
  readonly address: string;
  /** 0: any free port */
  readonly port: number;
  /** reasons why it is not alive; empty: alive */
  readonly alive: () => readonly string[];
  /** reasons why it is not ready; empty: ready */
  readonly ready: () => readonly string[];
  readonly registry: Registry;
  /** who may read /metrics; default: everybody who reaches the port */
  readonly metrics?: MetricsAccess;
  /** HTTPS with this certificate; default: HTTP */
  readonly tls?: KeyPair;
}

/** This machine's own processes only, or who shows a token. */
export type MetricsAccess = "loopback" | ReturnType<typeof createAuthorize>;

export interface HttpServer {
  readonly port: number;
  /** HTTPS: connections from now on get this certificate. Throws when key and certificate do not fit. */
  renew(tls: KeyPair): void;
  stop(): Promise<void>;
}

const answer = (response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
};
const answerHealth = (response: ServerResponse, reasons: readonly string[]): void => {
  answer(
    response,
    reasons.length === 0 ? 200 : 503,
    "text/plain; charset=utf-8",
    reasons.length === 0 ? "ok\n" : `${reasons.join("\n")}\n`,
  );
};

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(address);

const refusals = {
  unauthenticated: [401, "a bearer token that the API server knows is needed\n"],
  forbidden: [403, "the user of this token may not get the path /metrics\n"],
} as const;

const answerMetrics = async (
  { metrics, registry }: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  if (metrics === "loopback" && !isLoopback(request.socket.remoteAddress))
    return answer(response, 403, "text/plain", "metrics are on the secure port (--metrics-secure-port)\n");
  if (typeof metrics === "function") {
    const said = await metrics(request.headers.authorization, "/metrics");
    if (said !== "allowed") {
      const [status, why] = refusals[said];
      if (status === 401) response.setHeader("www-authenticate", "Bearer");
      return answer(response, status, "text/plain", why);
    }
  }
  return answer(response, 200, registry.contentType, await registry.metrics());
};

const handle = async (options: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const path = (request.url ?? "/").split("?", 1)[0];
  if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "text/plain", "GET only\n");
  if (path === "/healthz") return answerHealth(response, options.alive());
  if (path === "/readyz") return answerHealth(response, options.ready());
  if (path === "/metrics") return answerMetrics(options, request, response);
  return answer(response, 404, "text/plain", "/healthz, /readyz or /metrics\n");
};

/** Throws OperatorError SIPR_PORT_IN_USE. */
export const startServer = async (options: ServerOptions): Promise<HttpServer> => {
  const listener: RequestListener = (request, response) => {
    handle(options, request, response).catch(() =>
      answer(response, 500, "text/plain", "the metrics could not be collected, or who asks could not be found out\n"),
    );
  };
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  server.requestTimeout = 10_000;
  server.maxConnections = 100;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const place = `${options.address} port ${options.port}`;
      reject(
        new OperatorError(
          "SIPR_PORT_IN_USE",
          `Cannot listen on ${place} for health and metrics: ${cause.code ?? cause.message}`,
          {
            cause,
            remedy: "Choose another port with --metrics-port or another address with --metrics-address.",
          },
        ),
      );
    });
    server.listen(options.port, options.address, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    renew(tls) {
      if ("setSecureContext" in server) server.setSecureContext(tls);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
