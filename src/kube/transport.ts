/**
 * One request on the wire, with a kubeconfig's authentication: by HTTP/2 where the server has it and no proxy is between,
 * else on kept-alive connections. Repeats nothing but a request that met a kept-alive connection just closed.
 */
import http from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import type { KubeConfig } from "@kubernetes/client-node";
import { OperatorError } from "../errors.ts";
import { Http2Client, type Answer } from "./http2.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Query | undefined;
  readonly payload?: string | undefined;
  /** of the payload; default: JSON */
  readonly contentType?: string | undefined;
  readonly signal: AbortSignal;
}

/** What was read of a kubeconfig's credentials is used for so long: they may be rotated, and to read them takes time. */
const AUTH_MS = 1000;

export class Transport {
  readonly server: string;
  readonly #kubeConfig: KubeConfig;
  readonly #userAgent: string;
  readonly #proxied: boolean;
  readonly #http2: Http2Client | undefined;
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent };
  #known: { readonly auth: Promise<https.RequestOptions>; readonly until: number } | undefined;

  /** @param userAgent names the program in audit logs, and its changes in managedFields */
  constructor(kubeConfig: KubeConfig, userAgent: string) {
    const cluster = kubeConfig.getCurrentCluster();
    if (!cluster) {
      throw new OperatorError("SIPR_USAGE", "The kubeconfig has no current context.", {
        remedy: "Name a kubeconfig with --kubeconfig and a context with --context, or run in a cluster.",
      });
    }
    this.server = cluster.server.replace(/\/+$/, "");
    this.#kubeConfig = kubeConfig;
    this.#userAgent = userAgent;
    this.#proxied = Boolean(cluster.proxyUrl);
    const keepAlive = { keepAlive: true, scheduling: "lifo" as const };
    this.#agents = { http: new http.Agent(keepAlive), https: new https.Agent(keepAlive) };
    if (this.server.startsWith("https:") && !this.#proxied)
      this.#http2 = new Http2Client(new URL(this.server), () => this.#tls());
  }

  async send({ method, path, query, payload, contentType = "application/json", signal }: WireRequest): Promise<Answer> {
    const url = this.#urlOf(path, query);
    const auth = await this.#authorize();
    const headers = {
      ...lowerCase(auth.headers as Record<string, string> | undefined),
      accept: "application/json",
      "user-agent": this.#userAgent,
      ...(payload === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(payload) }),
    };
    const request = { method, path: `${url.pathname}${url.search}`, headers, payload, signal };
    const answer = await this.#http2?.send(request);
    if (answer === undefined) return this.#sendHttp1(url, { ...auth, method, signal, headers }, payload);
    // a connection keeps the certificate that it began with: one that was renewed since counts with the next
    if (answer.status === 401 && (auth.cert ?? auth.pfx) !== undefined) this.retire(answer.body);
    return answer;
  }

  /** The credentials are there. A person may have to log in for them: that may take longer than a request. */
  async authorized(): Promise<void> {
    await this.#authorize();
  }

  /** From now on nothing new is sent on the connection of this answer: nothing comes through it any more. */
  retire(body: Readable): void {
    this.#http2?.retire(body);
  }

  close(): void {
    this.#http2?.close();
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  #sendHttp1(url: URL, options: https.RequestOptions, payload: string | undefined): Promise<Answer> {
    const secure = url.protocol === "https:";
    // a proxy of the kubeconfig needs its own agent; else ours, which keeps connections alive
    const agent = this.#proxied ? options.agent : secure ? this.#agents.https : this.#agents.http;
    return new Promise((resolve, reject) => {
      const sent = (secure ? https : http).request(url, { ...options, agent }, (response) => {
        response.socket.setKeepAlive(true, 15_000);
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], body: response });
      });
      sent.once("error", (error: NodeJS.ErrnoException) => {
        const stale = sent.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
        if (stale && options.signal?.aborted !== true) resolve(this.#sendHttp1(url, options, payload));
        else reject(error);
      });
      sent.end(payload);
    });
  }

  #authorize(): Promise<https.RequestOptions> {
    if (this.#known !== undefined && performance.now() < this.#known.until) return this.#known.auth;
    const read = async (): Promise<https.RequestOptions> => {
      const auth: https.RequestOptions = {};
      await this.#kubeConfig.applyToHTTPSOptions(auth);
      return auth;
    };
    this.#known = { auth: read(), until: performance.now() + AUTH_MS };
    this.#known.auth.catch(() => (this.#known = undefined));
    return this.#known.auth;
  }

  async #tls(): Promise<TlsOptions> {
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = await this.#authorize();
    const given = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername };
    return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  }

  #urlOf(path: string, query: Query | undefined): URL {
    const url = new URL(this.server + path);
    for (const [key, value] of Object.entries(query ?? {}))
      if (value !== undefined) url.searchParams.set(key, String(value));
    return url;
  }
}

const lowerCase = (headers: Readonly<Record<string, string>> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
