/** Media for the data plane's tests: rtpengine as a local process, and ends of RTP streams. */
import { spawn, type ChildProcess } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { until } from "../until.ts";

/** Debian's rtpengine-daemon, in user space. `stop` ends it. */
export class Rtpengine {
  readonly host: string;
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(host: string, port = 2223) {
    this.host = host;
    this.port = port;
  }

  async start(): Promise<void> {
    const address = `${this.host}:${this.port}`;
    const child = spawn(
      "rtpengine",
      [
        ...[
          "--config-file=none",
          "-f",
          "-E",
          "--table=-1",
          "-i",
          this.host,
          "-n",
          address,
          "-m",
          "30000",
          "-M",
          "30400",
        ],
        // what is deleted is gone at once
        "--delete-delay=0",
      ],
      { stdio: "ignore" },
    );
    this.#child = child;
    child.on("error", () => undefined);
    await until(`rtpengine ${address} answers`, () => {
      if (child.pid === undefined) throw new Error("rtpengine is not installed: apt-get install rtpengine-daemon");
      return this.#pings();
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  /** Call-IDs of the calls that it relays, as one text */
  calls(): Promise<string> {
    return this.#ask("d7:command4:liste");
  }

  async #pings(): Promise<boolean> {
    return (await this.#ask("d7:command4:pinge", 200).catch(() => "")).includes("pong");
  }

  /** One command of the ng protocol: a cookie and a bencoded dictionary. */
  async #ask(command: string, timeoutMs = 2000): Promise<string> {
    const socket = createSocket("udp4");
    try {
      const answer = once(socket, "message", { signal: AbortSignal.timeout(timeoutMs) }) as Promise<[Buffer]>;
      socket.send(`${process.pid}_${Date.now()} ${command}`, this.port, this.host);
      const [data] = await answer;
      return data.toString("latin1");
    } finally {
      socket.close();
    }
  }
}

/** One end of a stream: sends RTP packets and keeps what it gets. */
export class RtpEnd {
  readonly host: string;
  readonly #socket: Socket;
  readonly received: { readonly payload: string; readonly host: string }[] = [];
  #sequence = 0;

  private constructor(host: string, socket: Socket) {
    this.host = host;
    this.#socket = socket;
    socket.on("message", (data, from) =>
      this.received.push({ payload: data.subarray(12).toString("latin1"), host: from.address }),
    );
  }

  static async open(host: string): Promise<RtpEnd> {
    const socket = createSocket("udp4");
    socket.bind(0, host);
    await once(socket, "listening");
    return new RtpEnd(host, socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** RFC 4566, one stream of G.711 µ-law. */
  sdp(version = 1): string {
    return [
      "v=0",
      `o=- 1 ${version} IN IP4 ${this.host}`,
      "s=-",
      `c=IN IP4 ${this.host}`,
      "t=0 0",
      `m=audio ${this.port} RTP/AVP 0`,
      "a=rtpmap:0 PCMU/8000",
      "a=sendrecv",
      "",
    ].join("\r\n");
  }

  /** RFC 3550: version 2, payload type 0. */
  send(to: { readonly host: string; readonly port: number }, payload: string): void {
    this.#sequence += 1;
    const head = Buffer.alloc(12);
    head.writeUInt8(0x80, 0);
    head.writeUInt16BE(this.#sequence, 2);
    head.writeUInt32BE(this.#sequence * 160, 4);
    head.writeUInt32BE(this.port, 8);
    this.#socket.send(Buffer.concat([head, Buffer.from(payload.padEnd(160, "."))]), to.port, to.host);
  }

  /** Sends until `other` has got it: relays learn addresses from the first packets. */
  async reaches(to: { readonly host: string; readonly port: number }, other: RtpEnd, payload: string): Promise<void> {
    await until(`${payload} arrives`, async () => {
      this.send(to, payload);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return other.received.some((packet) => packet.payload.startsWith(payload));
    });
  }

  close(): void {
    this.#socket.close();
  }
}

/** Where an SDP wants its (first) stream. */
export function streamOf(sdp: string): { host: string; port: number } {
  const host = /^c=IN IP4 (\S+)/m.exec(sdp)?.[1];
  const port = /^m=audio ([0-9]+)/m.exec(sdp)?.[1];
  if (host === undefined || port === undefined) throw new Error(`no stream in ${JSON.stringify(sdp)}`);
  return { host, port: Number(port) };
}
