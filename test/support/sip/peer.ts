/**
 * A SIP endpoint that a test scripts: raw messages over UDP or TCP, every message kept. It answers OPTIONS while it is
 * `alive`, and calls as `behaviour` says.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { Transport } from "../../../src/api/index.ts";
import { until } from "../until.ts";
import type { KeyPair } from "./certificates.ts";
import { callIdOf, header, inUri, parseMessage, writeReply, type ReplyOptions, type SipMessage } from "./message.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Endpoint extends Address {
  readonly transport?: Transport;
  /** of a TLS server */
  readonly identity?: KeyPair;
}

/** Answers `request`; `send` replies to where it came from. */
export type Behaviour = (request: SipMessage, send: (text: string) => void, peer: SipPeer) => void;

/** Answers every request but ACK with `status`. */
export const answering =
  (status: number, options: ReplyOptions = {}): Behaviour =>
  (request, send, peer) => {
    if (request.method !== "ACK")
      send(writeReply(request, request.method === "BYE" ? 200 : status, { contact: `<${peer.uri}>`, ...options }));
  };
export const silent: Behaviour = () => {};

export class SipPeer {
  readonly host: string;
  readonly port: number;
  readonly transport: Transport;
  /** what a TLS server shows, and a client when it is asked */
  readonly #identity: KeyPair | undefined;
  readonly received: SipMessage[] = [];
  behaviour: Behaviour;
  /** answers the router's OPTIONS, as `probe` says, else 200 */
  alive = true;
  probe: Behaviour | undefined;
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  readonly #connections = new Map<string, Socket>();

  private constructor({ host, port, transport = "UDP", identity }: Endpoint, behaviour: Behaviour) {
    this.host = host;
    this.port = port;
    this.transport = transport;
    this.#identity = identity;
    this.behaviour = behaviour;
  }

  static async listen(at: Endpoint, behaviour: Behaviour = answering(200)): Promise<SipPeer> {
    const peer = new SipPeer(at, behaviour);
    await peer.open();
    return peer;
  }

  get uri(): string {
    return `sip:${inUri(this.host)}:${this.port};transport=${this.transport.toLowerCase()}`;
  }

  async open(): Promise<void> {
    if (this.transport === "UDP") {
      const socket = createSocket(this.host.includes(":") ? "udp6" : "udp4");
      socket.on("message", (data, from) =>
        this.#take(data.toString("latin1"), (text) => void socket.send(text, from.port, from.address)),
      );
      socket.bind(this.port, this.host);
      await once(socket, "listening");
      this.#udp = socket;
      return;
    }
    const server = this.#server();
    server.listen(this.port, this.host);
    await once(server, "listening");
    this.#tcp = server;
  }

  /** Stops listening; TCP connections are closed, so that new ones are refused. */
  async close(): Promise<void> {
    for (const socket of this.#connections.values()) socket.destroy();
    this.#connections.clear();
    const udp = this.#udp;
    this.#udp = undefined;
    if (udp !== undefined) {
      udp.close();
      await once(udp, "close");
    }
    const tcp = this.#tcp;
    this.#tcp = undefined;
    if (tcp !== undefined) {
      tcp.close();
      await once(tcp, "close");
    }
  }

  /** Over TCP the connection to an address is opened once and kept. */
  async send(to: Address, text: string): Promise<void> {
    if (this.transport === "UDP") {
      this.#udp?.send(text, to.port, to.host);
      return;
    }
    const key = `${to.host}:${to.port}`;
    let socket = this.#connections.get(key);
    if (socket === undefined) {
      const target = { host: to.host, port: to.port, localAddress: this.host };
      const tls = this.transport === "TLS";
      socket = tls ? connectTls({ ...target, rejectUnauthorized: false }) : connect(target);
      await once(socket, tls ? "secureConnect" : "connect");
      this.#adopt(socket, key);
    }
    socket.write(text);
  }

  #server(): Server {
    if (this.transport === "TCP") return createServer((socket) => this.#adopt(socket));
    const { certificate: cert, key } = this.#identity ?? {};
    const server = createTlsServer({ cert, key }, (socket) => this.#adopt(socket));
    server.on("tlsClientError", () => {});
    return server;
  }

  requests(method: string): readonly SipMessage[] {
    return this.received.filter((message) => message.method === method);
  }

  /** Call-IDs of the calls that reached this peer, each once. */
  get calls(): readonly string[] {
    return [...new Set(this.requests("INVITE").map((message) => callIdOf(message)))];
  }

  /** Resolves with the first message received, now or later, that `wanted` takes. */
  waitFor(what: string, wanted: (message: SipMessage) => boolean, timeoutMs = 10_000): Promise<SipMessage> {
    return until(what, () => this.received.find(wanted), timeoutMs);
  }

  #adopt(socket: Socket, key = `${socket.remoteAddress}:${socket.remotePort}`): void {
    this.#connections.set(key, socket);
    let buffer = "";
    socket.on("data", (data: Buffer) => {
      buffer += data.toString("latin1");
      for (;;) {
        buffer = buffer.replace(/^(\r\n)+/, "");
        const end = buffer.indexOf("\r\n\r\n");
        if (end < 0) return;
        const length = end + 4 + Number(/\r\n(?:content-length|l) *: *([0-9]+)/i.exec(buffer.slice(0, end))?.[1] ?? 0);
        if (buffer.length < length) return;
        this.#take(buffer.slice(0, length), (text) => void socket.write(text));
        buffer = buffer.slice(length);
      }
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#connections.delete(key));
  }

  #take(text: string, send: (text: string) => void): void {
    if (text.trim() === "") return;
    const message = parseMessage(text);
    this.received.push(message);
    if (message.method === undefined) return;
    const probed = message.method === "OPTIONS" && header(message, "from").includes("sip:sip-router@");
    if (!probed) this.behaviour(message, send, this);
    else if (this.alive) (this.probe ?? answering(200))(message, send, this);
  }
}
