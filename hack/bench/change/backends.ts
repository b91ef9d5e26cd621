/** The PbxBackends of a run, and what stands behind them: who answers OPTIONS. */
import { createSocket, type Socket } from "node:dgram";
import { CustomObjectsApi, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { isDead, OTHER_PORT, PORT, type Fleet } from "./measure.ts";
import type { Destination } from "./sidecar.ts";

const kind = { group: "siprouter.dev", version: "v1alpha1", namespace: "default", plural: "pbxbackends" };
const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

export const destinationsOf = (count: number): readonly Destination[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `pbx-${index}`,
    address: `127.62.9.${index + 1}`,
    port: PORT,
  }));

/** Writes them all as they are at the beginning. */
export const applyBackends = async (server: TestApiServer, destinations: readonly Destination[]): Promise<void> => {
  const items = destinations.map(({ name, address, port }) => ({
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "PbxBackend",
    metadata: { name },
    spec: { address, port },
  }));
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await server.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], { input });
};

export const backendsOf = (server: TestApiServer): Pick<Fleet, "write" | "read"> => {
  const custom = server.kubeConfig.makeApiClient(CustomObjectsApi);
  return {
    write: (name, port) => custom.patchNamespacedCustomObject({ ...kind, name, body: { spec: { port } } }, merge),
    read: async (name) =>
      ((await custom.getNamespacedCustomObject({ ...kind, name })) as { spec: { port: number } }).spec.port,
  };
};

const answerTo = (request: string): string => {
  const kept = request.split("\r\n").filter((line) => /^(via|from|call-id|cseq|to|v|f|i|t):/i.test(line));
  const lines = kept.map((line) => (/^(to|t):/i.test(line) ? `${line};tag=x` : line));
  return ["SIP/2.0 200 OK", ...lines, "Content-Length: 0", "", ""].join("\r\n");
};

/** Answers OPTIONS to those that are not dead; the others stay silent. */
export const answerOptions = async (destinations: readonly Destination[]): Promise<() => void> => {
  const sockets: Socket[] = [];
  for (const { address } of destinations.filter((_, index) => !isDead(index)))
    for (const port of [PORT, OTHER_PORT]) {
      const socket = createSocket("udp4");
      socket.on("message", (data, from) => socket.send(answerTo(data.toString("latin1")), from.port, from.address));
      await new Promise<void>((resolve) => void socket.bind(port, address, resolve));
      sockets.push(socket);
    }
  return () => {
    for (const socket of sockets) socket.close();
  };
};
