/**
 * HTTP/2 to one API server: requests and watches share few connections. The watches of a thousand Secrets that resources
 * name would be a thousand connections else, each with its TLS handshake and its buffers at both ends.
 */
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { isIP } from "node:net";
import { connect as connectTls, type ConnectionOptions as TlsOptions, type TLSSocket } from "node:tls";
import { PassThrough, pipeline, type Readable } from "node:stream";

/** An answer whose body is still to come. */
export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: Readable;
}

export interface Http2Request {
  readonly method: string;
  /** with the query */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly payload: string | undefined;
  readonly signal: AbortSignal;
}

interface Session {
  readonly session: ClientHttp2Session;
  streams: number;
  /** at once, as the server allows */
  limit: number;
  /** a request was answered on it */
  used: boolean;
}

/** of kube-apiserver, when it does not say */
const STREAMS = 100;
/** A connection that is broken without a word is found by this, milliseconds. */
const PING_EVERY_MS = 15_000;
const PING_ANSWER_MS = 10_000;
/** of HTTP/2 as a whole: large lists come in larger pieces than 64 KiB */
const WINDOW_BYTES = 4 * 1024 * 1024;

const gone = new Set(["ERR_HTTP2_GOAWAY_SESSION", "ERR_HTTP2_INVALID_SESSION"]);
const cut = new Set(["ECONNRESET", "EPIPE"]);

export class Http2Client {
  readonly #server: URL;
  readonly #tls: () => Promise<TlsOptions>;
  readonly #sessions = new Set<Session>();
  readonly #carries = new WeakMap<Readable, Session>();
  #opening: Promise<void> | undefined;
  /** the server offered HTTP/1.1 only */
  #refused = false;
  #closed = false;

  /** @param tls asked for each connection */
  constructor(server: URL, tls: () => Promise<TlsOptions>) {
    this.#server = server;
    this.#tls = tls;
  }

  /** Undefined: the server speaks HTTP/1.1 only. Repeats nothing but a request that the server certainly did not take. */
  async send(request: Http2Request): Promise<Answer | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.#take();
      if (found === undefined) return undefined;
      const { used } = found;
      try {
        return await this.#open(found, request);
      } catch (error) {
        const { code = "", rst } = error as { code?: string; rst?: number };
        const untaken = gone.has(code) || rst === constants.NGHTTP2_REFUSED_STREAM || (used && cut.has(code));
        // also one that was given up: nothing may come through that connection any more
        if (untaken || request.signal.aborted) this.#retire(found);
        if (!untaken || attempt > 2 || request.signal.aborted) throw error;
      }
    }
  }

  /** From now on nothing new is sent on the connection of this answer: nothing comes through it any more. */
  retire(body: Readable): void {
    const one = this.#carries.get(body);
    if (one !== undefined) this.#retire(one);
  }

  /** What is under way on it goes on. */
  #retire(one: Session): void {
    this.#sessions.delete(one);
    if (!one.session.closed) one.session.close();
  }

  close(): void {
    this.#closed = true;
    for (const { session } of this.#sessions) session.destroy();
    this.#sessions.clear();
  }

  /** With a place for one stream, which is the caller's. */
  async #take(): Promise<Session | undefined> {
    while (!this.#refused) {
      for (const one of this.#sessions)
        if (one.streams < one.limit) {
          one.streams += 1;
          return one;
        }
      this.#opening ??= this.#connect().finally(() => (this.#opening = undefined));
      await this.#opening;
    }
    return undefined;
  }

  async #connect(): Promise<void> {
    const socket = await this.#dial();
    if (this.#closed) {
      socket.destroy();
      throw new Error("the connection was closed");
    }
    if (socket.alpnProtocol !== "h2") {
      this.#refused = true;
      socket.destroy();
      return;
    }
    const session = connectHttp2(this.#server.origin, {
      createConnection: () => socket,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    });
    session.setLocalWindowSize?.(WINDOW_BYTES);
    const one: Session = { session, streams: 0, limit: STREAMS, used: false };
    session.on("remoteSettings", ({ maxConcurrentStreams = STREAMS }) => {
      one.limit = Math.max(1, Math.min(STREAMS, maxConcurrentStreams));
    });
    const alive = setInterval(() => ping(session), PING_EVERY_MS).unref();
    const over = (): void => {
      clearInterval(alive);
      this.#sessions.delete(one);
    };
    // its streams tell those who wait for them
    session.on("error", over);
    session.on("goaway", over);
    session.on("close", over);
    this.#sessions.add(one);
  }

  async #dial(): Promise<TLSSocket> {
    const { hostname, port } = this.#server;
    const host = hostname.replace(/^\[|\]$/g, "");
    const settings = await this.#tls();
    return new Promise((resolve, reject) => {
      const socket = connectTls({
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ...settings,
        host,
        port: port === "" ? 443 : Number(port),
        ALPNProtocols: ["h2", "http/1.1"],
      });
      socket.once("error", reject);
      socket.once("secureConnect", () => {
        socket.off("error", reject);
        socket.setNoDelay(true);
        resolve(socket);
      });
    });
  }

  #open(one: Session, { method, path, headers, payload, signal }: Http2Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const all = { ...headers, ":method": method, ":path": path };
      let stream: ClientHttp2Stream;
      try {
        stream = one.session.request(all, { signal, endStream: payload === undefined });
      } catch (error) {
        one.streams -= 1;
        throw error;
      }
      // An answer may come in one piece with its end: it is taken from the beginning, whenever somebody reads it.
      const body = pipeline(stream, new PassThrough(), () => undefined);
      stream.once("close", () => {
        one.streams -= 1;
        reject(Object.assign(new Error("the connection was closed"), { rst: stream.rstCode }));
      });
      stream.on("error", (error) => reject(Object.assign(error, { rst: stream.rstCode })));
      stream.once("response", (answer) => {
        one.used = true;
        this.#carries.set(body, one);
        const retryAfter = answer["retry-after"];
        resolve({
          status: answer[":status"] ?? 0,
          retryAfter: typeof retryAfter === "string" ? retryAfter : undefined,
          body,
        });
      });
      if (payload !== undefined) stream.end(payload);
    });
  }
}

function ping(session: ClientHttp2Session): void {
  if (session.destroyed) return;
  const late = setTimeout(() => session.destroy(new Error("no answer to a ping")), PING_ANSWER_MS).unref();
  session.ping(() => clearTimeout(late));
}
