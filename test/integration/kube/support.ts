/** Shared by the tests of this folder: a log to look into, and a connection that can be cut. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { load } from "js-yaml";
import { readFileSync } from "node:fs";

export interface LogLine {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}
export const memoryLog = () => {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push({ level, fields, message });
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
};

/** A TCP relay to the API server. */
export interface Relay {
  readonly port: number;
  /** ends every connection and refuses new ones */
  cut(): void;
  /** takes connections again */
  heal(): void;
  /** the connections open now stay open, and nothing passes through them any more; new ones work */
  freeze(): void;
  stop(): Promise<void>;
}

export const startRelay = async (targetPort: number): Promise<Relay> => {
  const open = new Set<Socket>();
  let down = false;
  const server = createServer((inner) => {
    if (down) return inner.destroy();
    const outer = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      open.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      down = true;
      for (const socket of open) socket.destroy();
    },
    heal: () => void (down = false),
    freeze: () => {
      for (const socket of open) {
        socket.unpipe();
        socket.pause();
      }
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
};

/** The kubeconfig of a file, with another port of the API server. */
export const kubeConfigAt = (file: string, port?: number): KubeConfig => {
  const parsed = load(readFileSync(file, "utf8")) as { clusters: { cluster: { server: string } }[] };
  for (const { cluster } of parsed.clusters)
    if (port !== undefined) cluster.server = cluster.server.replace(/:\d+$/, `:${port}`);
  const config = new KubeConfig();
  config.loadFromString(JSON.stringify(parsed));
  return config;
};
