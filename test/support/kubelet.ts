/**
 * The part of a kubelet that the API server calls for `pods/portforward`: HTTPS with a WebSocket of the protocol
 * v4.channel.k8s.io (data on channel 0, errors on channel 1, both begin with the port as two bytes), joined to a TCP
 * connection to loopback in the pod's network (that of the node agent), as containerd and CRI-O do: what listens on the pod's
 * address alone is not reached. And `pods/log`, of what the test
 * says that a container printed.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { makePki } from "./apiserver/pki.ts";
import { loopbackOf } from "./nodeAgent.ts";

export interface Kubelet {
  readonly port: number;
  /** connections forwarded so far */
  readonly forwarded: () => number;
  stop(): Promise<void>;
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BINARY = 2;
const CLOSE = 8;

/** RFC 6455 5.2: one unmasked frame. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < 126
      ? Buffer.from([0x80 | opcode, length])
      : length < 65_536
        ? Buffer.from([0x80 | opcode, 126, length >> 8, length & 0xff])
        : Buffer.concat([Buffer.from([0x80 | opcode, 127]), bigEndian(length)]);
  return Buffer.concat([head, payload]);
}
const bigEndian = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

/** Whole masked frames of the stream so far, and the rest. */
function takeFrames(bytes: Buffer): { readonly frames: { opcode: number; payload: Buffer }[]; readonly rest: Buffer } {
  const frames: { opcode: number; payload: Buffer }[] = [];
  let rest = bytes;
  for (;;) {
    const short = (rest[1] ?? 0) & 0x7f;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + extra + 4;
    if (rest.length < start) return { frames, rest };
    const length = extra === 2 ? rest.readUInt16BE(2) : extra === 8 ? Number(rest.readBigUInt64BE(2)) : short;
    if (rest.length < start + length) return { frames, rest };
    const mask = rest.subarray(2 + extra, start);
    const payload = Buffer.from(rest.subarray(start, start + length).map((byte, at) => byte ^ (mask[at % 4] ?? 0)));
    frames.push({ opcode: (rest[0] ?? 0) & 0x0f, payload });
    rest = rest.subarray(start + length);
  }
}

export async function startKubelet(
  folder: string,
  addressOf: (namespace: string, pod: string) => Promise<string | undefined>,
  logOf: (pod: string, previous: boolean) => string | undefined = () => undefined,
): Promise<Kubelet> {
  const pki = await makePki(folder);
  const sockets = new Set<Duplex>();
  let count = 0;
  const server = createServer(
    { cert: readFileSync(pki.servingCert), key: readFileSync(pki.servingKey) },
    (request, reply) => {
      const url = new URL(request.url ?? "/", "https://kubelet");
      const [, kind, , pod = ""] = url.pathname.split("/");
      const log = kind === "containerLogs" ? logOf(pod, url.searchParams.get("previous") === "true") : undefined;
      reply.statusCode = log === undefined ? 404 : 200;
      reply.end(log);
    },
  );

  const forward = (client: Duplex, host: string, port: number): void => {
    count += 1;
    const pod = connect(port, host);
    sockets.add(pod);
    const send = (channel: number, payload: Buffer): void => {
      if (client.writable) client.write(frame(BINARY, Buffer.concat([Buffer.from([channel]), payload])));
    };
    const name = Buffer.from([port & 0xff, port >> 8]);
    send(0, name);
    send(1, name);
    pod.on("data", (data) => send(0, data));
    pod.on("error", (error) =>
      send(1, Buffer.from(`failed to connect to localhost:${port} inside namespace: ${error.message}`)),
    );
    pod.on("close", () => client.end(frame(CLOSE, Buffer.alloc(0))));
    let rest: Buffer = Buffer.alloc(0);
    client.on("data", (chunk: Buffer) => {
      const taken = takeFrames(Buffer.concat([rest, chunk]));
      rest = taken.rest;
      for (const { opcode, payload } of taken.frames) {
        if (opcode === CLOSE) pod.end();
        else if (opcode === BINARY && payload[0] === 0) pod.write(payload.subarray(1));
      }
    });
    client.on("error", () => pod.destroy());
    client.on("close", () => pod.destroy());
  };

  server.on("upgrade", (request, client: Duplex) => {
    sockets.add(client);
    client.on("error", () => client.destroy());
    const url = new URL(request.url ?? "/", "https://kubelet");
    const [, kind, namespace = "", name = ""] = url.pathname.split("/");
    const port = Number(url.searchParams.get("port") ?? url.searchParams.get("ports"));
    void addressOf(namespace, name).then((host) => {
      if (kind !== "portForward" || host === undefined)
        return client.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
      const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64");
      const head = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: Upgrade",
        `sec-websocket-accept: ${accept}`,
        "sec-websocket-protocol: v4.channel.k8s.io",
      ];
      client.write(`${head.join("\r\n")}\r\n\r\n`);
      return forward(client, loopbackOf(host), port);
    });
  });
  await new Promise<void>((done) => void server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    forwarded: () => count,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
