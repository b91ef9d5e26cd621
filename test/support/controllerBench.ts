/** A whole controller on fakes: real stages, a model of a cluster and of Kamailios, a clock that is moved by hand. */
import { AmiError } from "../../src/ami/index.ts";
import type { RawObject } from "../../src/api/index.ts";
import {
  defaultPipeline,
  startController,
  type Controller,
  type ControllerOptions,
} from "../../src/controller/index.ts";
import type { PodReading } from "../../src/kamailio/types.ts";
import type { Issue } from "../../src/model/types.ts";
import { conditionOf } from "../../src/status/index.ts";
import { createFakeClock, type FakeClock } from "./fakeClock.ts";
import { createFakeCluster, type FakeCluster } from "./fakeCluster.ts";
import { createFakeKamailios, type FakeKamailios, type KamailioFiles } from "./fakeKamailio.ts";

export interface Bench {
  readonly clock: FakeClock;
  readonly cluster: FakeCluster;
  readonly kamailios: FakeKamailios;
  readonly programmed: string[];
  readonly rejected: { name: string; issues: readonly Issue[] }[];
  readonly readyCount: () => number;
  readonly seconds: number[];
  /** addresses of pods that were read to the end */
  readonly readings: string[];
  /** "host" -> live channels, or why its Asterisk Manager does not tell */
  readonly managers: Map<string, number | AmiError>;
  start(): Promise<void>;
  /** the operator ends and another one starts on the same cluster */
  restart(): Promise<void>;
  stop(): Promise<void>;
  settled(): Promise<void>;
  condition(type: string, name?: string, kind?: string): string;
  /** every ready pod runs what is stored, without a destination too many */
  inSync(router?: string): boolean;
}

const filesOf = (data: Readonly<Record<string, string>>): KamailioFiles => {
  const { dispatcher, tables } = defaultPipeline.parseDataFiles(data);
  return { dispatcher, tables: Object.fromEntries(tables.map((table) => [table.name, table.generation])) };
};

export function createBench(
  options: { syncMs?: () => number; requestsOfReading?: number } & Pick<
    ControllerOptions,
    "random" | "tuning" | "resolveName" | "metrics"
  > = {},
): Bench {
  const clock = createFakeClock();
  const kamailios = createFakeKamailios();
  const cluster = createFakeCluster({
    clock,
    kamailios,
    filesOf,
    ...(options.syncMs === undefined ? {} : { syncMs: options.syncMs }),
  });
  let controller: Controller | undefined;
  let readyCount = 0;
  const bench: Bench = {
    clock,
    cluster,
    kamailios,
    programmed: [],
    rejected: [],
    readyCount: () => readyCount,
    seconds: [],
    readings: [],
    managers: new Map(),
    async start() {
      controller = await startController({
        cluster,
        control: kamailios,
        clock,
        random: options.random ?? (() => 0.5),
        defaults: { image: "kamailio:test" },
        log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
        hooks: {
          onReady: () => void (readyCount += 1),
          onProgrammed: (router, revision) => void bench.programmed.push(`${router} ${revision}`),
          onRejected: (object, issues) => void bench.rejected.push({ name: object.name, issues }),
        },
        metrics: {
          ...options.metrics,
          changeToEffect(router, seconds) {
            bench.seconds.push(seconds);
            options.metrics?.changeToEffect?.(router, seconds);
          },
        },
        pipeline: {
          ...defaultPipeline,
          async readPod(control, address) {
            for (let more = 1; more < (options.requestsOfReading ?? 1); more += 1)
              await control.call(address, "dlg.stats_active");
            const reading = (await control.call(address, "read")) as PodReading;
            bench.readings.push(address.host);
            return reading;
          },
          readDestinations: async (control, address) =>
            ((await control.call(address, "read")) as PodReading).destinations,
        },
        connectAmi: async ({ host }) => ({
          async read() {
            const said = bench.managers.get(host) ?? new AmiError("Unreachable", "econnrefused.");
            if (said instanceof AmiError) throw said;
            return { version: "22.5.2", channels: said };
          },
          close: () => {},
        }),
        resolveName: options.resolveName ?? (async () => ({ addresses: ["192.0.2.99"], ttlSeconds: 60 })),
        ...(options.tuning === undefined ? {} : { tuning: options.tuning }),
      });
    },
    async restart() {
      await bench.stop();
      await bench.start();
    },
    async stop() {
      cluster.detach();
      const stopping = controller?.stop();
      await clock.advance(0);
      await stopping;
    },
    settled: () => controller?.settled() ?? Promise.resolve(),
    condition(type, name = "edge", kind = "SipRouter") {
      const found = conditionOf(cluster.get(kind, "default", name)?.status, type);
      return found === undefined ? "none" : `${found.status} ${found.reason}`;
    },
    inSync(router = "default/edge") {
      const [namespace = "", name = ""] = router.split("/");
      const data = cluster.get("ConfigMap", namespace, `${name}-dispatcher`)?.["data"];
      if (data === undefined) return false;
      const wanted = filesOf(data as Record<string, string>);
      const listed = wanted.dispatcher
        .map((one) => `${one.setId} ${one.uri} ${one.attrs}`)
        .toSorted()
        .join();
      return cluster
        .pods(router)
        .filter((pod) => pod.ready && pod.running)
        .every(({ ip }) => {
          const { destinations, tables } = kamailios.at(ip);
          const has = destinations
            .map((one) => `${one.setId} ${one.uri} ${one.attrs}`)
            .toSorted()
            .join();
          return has === listed && JSON.stringify(tables) === JSON.stringify(wanted.tables);
        });
    },
  };
  return bench;
}

export const backend = (name: string, spec: object = {}): RawObject => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { namespace: "default", name, labels: { role: "pbx" } },
  spec: { address: `192.0.2.${Number(name.replace(/\D/g, "")) || 1}`, ...spec },
});

export const router = (spec: object = {}, name = "edge"): RawObject => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { namespace: "default", name },
  spec: {
    replicas: 3,
    dispatcherSets: [{ name: "pbx", id: 1, backends: [{ name: "pbx-1" }, { name: "pbx-2" }] }],
    routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
    ...spec,
  },
});

export const setOf = (...names: string[]): object => ({
  dispatcherSets: [{ name: "pbx", id: 1, backends: names.map((name) => ({ name })) }],
});

/** A PbxBackend of a Service, the Service, and its slice. */
export const serviceBackend = (name: string, spec: object = {}): readonly RawObject[] => [
  { ...backend(name), spec: { service: { name }, ...spec } },
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "default", name },
    spec: { ports: [{ name: "sip", port: 5060, protocol: "UDP" }], ipFamilies: ["IPv4"] },
  },
];

export const slice = (
  service: string,
  endpoints: Readonly<Record<string, { ready?: boolean; serving?: boolean; terminating?: boolean }>>,
): RawObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace: "default", name: `${service}-1`, labels: { "kubernetes.io/service-name": service } },
  ...{
    addressType: "IPv4",
    ports: [{ name: "sip", port: 5060, protocol: "UDP" }],
    endpoints: Object.entries(endpoints).map(([address, conditions]) => ({ addresses: [address], conditions })),
  },
});

/** what changes a pod, of all pods; not that it was told what the others know */
export const changesOf = ({ cluster, kamailios }: Bench, name = "default/edge"): readonly string[] =>
  cluster
    .pods(name)
    .flatMap(({ ip }) => kamailios.at(ip).calls)
    .filter((call) => !call.startsWith("htable.seti"));
