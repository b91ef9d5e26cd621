/** Router plans for the data plane's tests, built from a few words. */
import type { Algorithm, Callers, Transport } from "../../../src/api/index.ts";
import type { Destination, DispatcherSetPlan, RouteEntry, RouterPlan, StructurePlan } from "../../../src/ir/index.ts";

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  readonly transport?: Transport;
  readonly priority?: number;
  readonly weight?: number;
  readonly disabled?: boolean;
}

export interface SetInput {
  readonly name: string;
  readonly id: number;
  readonly algorithm?: Algorithm;
  readonly destinations: readonly PeerAddress[];
}

export interface RouteInput {
  readonly name: string;
  readonly set: string;
  readonly digits: string;
  readonly length?: number;
  readonly callers?: Callers;
  readonly strip?: number;
  readonly prefix?: string;
  readonly tenant?: number;
}

export interface PlanInput {
  readonly structure?: Partial<StructurePlan>;
  readonly sets: readonly SetInput[];
  readonly routes: readonly RouteInput[];
  readonly domains?: RouterPlan["data"]["domains"];
  readonly drainTimeoutSeconds?: number;
  /** access lists, limits, credentials */
  readonly data?: Partial<RouterPlan["data"]>;
  readonly certificate?: RouterPlan["data"]["certificate"];
}

const structure: StructurePlan = {
  listeners: [
    { name: "udp", transport: "UDP", port: 5060, tls: false },
    { name: "tcp", transport: "TCP", port: 5060, tls: false },
  ],
  controlPort: 9060,
  failover: { timeoutSeconds: 1, replies: ["408", "5xx"], maxAttempts: 4 },
  healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 2, successThreshold: 1 },
  registration: { mode: "Forward", maxExpiresSeconds: 300 },
  accessControl: false,
  topologyHiding: false,
  workers: 2,
  shmMemoryMiB: 64,
};

export const routerPlan = (input: PlanInput): RouterPlan => ({
  namespace: "default",
  name: "edge",
  uid: "",
  structure: { ...structure, ...input.structure },
  data: {
    sets: input.sets.map(setPlan),
    domains: input.domains ?? [],
    routes: input.routes.map(routeEntry),
    ...(input.certificate === undefined ? {} : { certificate: input.certificate }),
    access: { allow: [], deny: [] },
    ...input.data,
  },
  workload: {
    replicas: 1,
    image: "kamailio",
    service: { type: "ClusterIP" },
    drainTimeoutSeconds: input.drainTimeoutSeconds ?? 30,
    tlsSecrets: [],
  },
});

function setPlan({ name, id, algorithm, destinations }: SetInput): DispatcherSetPlan {
  const all = destinations.map((peer, index): Destination => {
    const { host, port, transport = "UDP", priority = 0, weight, disabled = false } = peer;
    return {
      setId: id * 100 + priority,
      uri: `sip:${host.includes(":") ? `[${host}]` : host}:${port};transport=${transport.toLowerCase()}`,
      host,
      port,
      transport,
      priority,
      ...(weight === undefined ? {} : { weight }),
      backend: `default/${name}-${index + 1}`,
      disabled,
    };
  });
  const tiers = all.filter((one) => !one.disabled && one.priority !== 99).map((one) => one.priority);
  return {
    name,
    id,
    algorithm: algorithm ?? "RoundRobin",
    tiers: [...new Set(tiers)].toSorted((a, b) => a - b),
    destinations: all,
  };
}

const routeEntry = ({ name, set, digits, length, callers, strip, prefix, tenant }: RouteInput): RouteEntry => ({
  tenant: tenant ?? 0,
  pattern: { digits, ...(length === undefined ? {} : { length }) },
  route: name,
  set,
  callers: callers ?? "Anyone",
  strip: strip ?? 0,
  prefix: prefix ?? "",
});
