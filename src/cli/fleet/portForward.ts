/**
 * A way to a pod's control port through the API server (`pods/portforward`), as a port of loopback: one connection there
 * is one stream to the pod. Needs the right to create `pods/portforward`, and no network path to the pod.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { PassThrough, Writable } from "node:stream";
import { PortForward, type KubeConfig } from "@kubernetes/client-node";

export interface Forward {
  readonly host: string;
  readonly port: number;
  /** why the last connection failed; "" when it did not */
  failure(): string;
  close(): void;
}

export interface ForwardTarget {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

interface Closable {
  /** without waiting for the other side's answer, which a pod that hangs holds back for half a minute */
  terminate(): void;
  on(event: "close", listener: () => void): unknown;
}

/** `ws` fails with an ErrorEvent or an Error; neither prints as such. */
const reasonOf = (error: unknown): string => {
  const { message, error: inner } = (error ?? {}) as { message?: unknown; error?: unknown };
  if (typeof message === "string" && message !== "") return message;
  return inner === undefined ? String(error) : reasonOf(inner);
};

export async function openForward(kubeConfig: KubeConfig, target: ForwardTarget): Promise<Forward> {
  const forwarder = new PortForward(kubeConfig);
  const sockets = new Set<Socket>();
  let failure = "";

  const connect = async (socket: Socket): Promise<void> => {
    failure = "";
    const toSocket = new Writable({
      write: (chunk: Buffer, _encoding, done) => (socket.writable ? void socket.write(chunk, () => done()) : done()),
    });
    const errors = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (chunk.length > 0) {
          failure = chunk.toString("utf8").trim();
          socket.destroy();
        }
        done();
      },
    });
    const fromSocket = new PassThrough();
    socket.pipe(fromSocket);
    const { namespace, name, port } = target;
    const stream = (await forwarder.portForward(
      namespace,
      name,
      [port],
      toSocket,
      errors,
      fromSocket,
    )) as unknown as Closable;
    stream.on("close", () => socket.destroy());
    socket.once("close", () => stream.terminate());
    if (socket.destroyed) stream.terminate();
  };

  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => sockets.delete(socket));
    connect(socket).catch((error: unknown) => {
      failure = reasonOf(error);
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    host: "127.0.0.1",
    port: (server.address() as AddressInfo).port,
    failure: () => failure,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
