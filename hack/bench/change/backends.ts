/** The PbxBackends or EndpointSlices of a run, and what stands behind them: who answers OPTIONS. */
import { createSocket, type Socket } from "node:dgram";
import { CustomObjectsApi, DiscoveryV1Api, PatchStrategy, setHeaderOptions } from "@kubernetes/client-node";
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { isDead, NET, OTHER_PORT, PORT, type Fleet } from "./measure.ts";
import type { Destination } from "./sidecar.ts";

const kind = { group: "siprouter.dev", version: "v1alpha1", namespace: "default", plural: "pbxbackends" };
const merge = setHeaderOptions("Content-Type", PatchStrategy.MergePatch);

export const destinationsOf = (count: number): readonly Destination[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `pbx-${index}`,
    address: `${NET}.9.${index + 1}`,
    port: PORT,
  }));

const applyAll = async (server: TestApiServer, items: readonly object[]): Promise<void> => {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await server.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], { input });
};
const backendOf = (name: string, spec: object): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name },
  spec,
});

/** Where the destinations are written. */
export interface Source extends Pick<Fleet, "write" | "read"> {
  readonly kind: "PbxBackend" | "EndpointSlice";
  /** writes them all as they are at the beginning */
  apply(destinations: readonly Destination[]): Promise<void>;
  /** names of the PbxBackends that have them */
  backends(destinations: readonly Destination[]): readonly string[];
}

/** One PbxBackend for each destination. */
export const backendsOf = (server: TestApiServer): Source => {
  const custom = server.kubeConfig.makeApiClient(CustomObjectsApi);
  return {
    kind: "PbxBackend",
    apply: (destinations) =>
      applyAll(
        server,
        destinations.map(({ name, address, port }) => backendOf(name, { address, port })),
      ),
    backends: (destinations) => destinations.map(({ name }) => name),
    write: (name, port) => custom.patchNamespacedCustomObject({ ...kind, name, body: { spec: { port } } }, merge),
    read: async (name) =>
      ((await custom.getNamespacedCustomObject({ ...kind, name })) as { spec: { port: number } }).spec.port,
  };
};

const SERVICE = "asterisk";
const portsAt = (port: number): readonly object[] => [{ name: "sip", port, protocol: "UDP" }];

/** One PbxBackend that stands for a Service; an EndpointSlice for each destination, so that each has its own port. */
export const slicesOf = (server: TestApiServer): Source => {
  const slices = server.kubeConfig.makeApiClient(DiscoveryV1Api);
  const namespace = "default";
  const sliceOf = ({ name, address, port }: Destination): object => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, labels: { "kubernetes.io/service-name": SERVICE } },
    addressType: "IPv4",
    ports: portsAt(port),
    endpoints: [{ addresses: [address], conditions: { ready: true, serving: true, terminating: false } }],
  });
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: SERVICE },
    spec: { clusterIP: "None", ports: portsAt(PORT) },
  };
  const backend = backendOf(SERVICE, { service: { name: SERVICE, port: "sip" } });
  return {
    kind: "EndpointSlice",
    apply: (destinations) => applyAll(server, [service, backend, ...destinations.map(sliceOf)]),
    backends: () => [SERVICE],
    write: (name, port) =>
      slices.patchNamespacedEndpointSlice({ name, namespace, body: { ports: portsAt(port) } }, merge),
    read: async (name) => (await slices.readNamespacedEndpointSlice({ name, namespace })).ports?.[0]?.port ?? 0,
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
