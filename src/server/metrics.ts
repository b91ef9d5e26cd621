/** Prometheus metrics. Queues have client-go's names, so that usual dashboards work; the rest is `siprouter_*`. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { splitKey, type Key } from "../api/index.ts";
import type { Metrics, ReloadResult } from "../controller/types.ts";
import type { PodReading } from "../kamailio/types.ts";

export interface OperatorMetrics {
  readonly registry: Registry;
  readonly controller: Metrics;
  setLeader(leading: boolean): void;
  request(verb: string, resource: string, status: number, seconds: number): void;
  setWatchTroubles(counts: ReadonlyMap<string, number>): void;
}

type PodLabels = Record<"namespace" | "router" | "pod", string>;
type LatencyLabels = PodLabels & Record<"set" | "destination", string>;

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const states = ["Active", "Inactive", "Probing", "Disabled"] as const;
const results: readonly ReloadResult[] = ["inSync", "stale", "wrong", "unreachable", "failed"];

const split = (key: Key): { namespace: string; router: string } => {
  const { namespace, name } = splitKey(key);
  return { namespace, router: name };
};

export const createMetrics = (version: string): OperatorMetrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const of = <Labels extends string>(name: string, help: string, ...labelNames: Labels[]) => ({
    name,
    help,
    labelNames,
    registers,
  });

  new Gauge(of("siprouter_build_info", "Always 1.", "version")).set({ version }, 1);
  const leader = new Gauge(of("leader_election_master_status", "1 while this instance leads.", "name"));
  const requests = new Counter(
    of("siprouter_api_requests_total", "Requests to the API server; code 0: no answer.", "verb", "resource", "code"),
  );
  const latency = new Histogram({
    ...of("siprouter_api_request_duration_seconds", "Time of a request to the API server.", "verb"),
    buckets: SECONDS,
  });
  const watchErrors = new Gauge(of("siprouter_watches_failing", "Watches that do not work at this moment.", "kind"));
  return {
    registry,
    controller: { ...queueMetrics(registers), ...routerMetrics(registers) },
    setLeader: (leading) => leader.set({ name: "sip-router-operator" }, leading ? 1 : 0),
    request(verb, resource, status, seconds) {
      requests.inc({ verb, resource, code: String(status) });
      latency.observe({ verb }, seconds);
    },
    setWatchTroubles(counts) {
      watchErrors.reset();
      for (const [kind, count] of counts) watchErrors.set({ kind }, count);
    },
  };
};

type QueueMetrics = Pick<Metrics, "queueDepth" | "queueAdd" | "queueRun">;
const queueMetrics = (registers: Registry[]): QueueMetrics => {
  const labelNames = ["name"] as const;
  const depth = new Gauge({ name: "workqueue_depth", help: "Keys that wait.", labelNames, registers });
  const adds = new Counter({ name: "workqueue_adds_total", help: "Keys that began to wait.", labelNames, registers });
  const waits = new Histogram({
    name: "workqueue_queue_duration_seconds",
    help: "Time from the event to the run that answers it.",
    labelNames,
    registers,
    buckets: SECONDS,
  });
  const work = new Histogram({
    name: "workqueue_work_duration_seconds",
    help: "Time of one run.",
    labelNames,
    registers,
    buckets: SECONDS,
  });
  const retries = new Counter({
    name: "workqueue_retries_total",
    help: "Runs that failed and are repeated.",
    labelNames,
    registers,
  });
  const runs = new Counter({
    name: "controller_runtime_reconcile_total",
    help: "Runs by outcome.",
    labelNames: ["controller", "result"] as const,
    registers,
  });
  const times = new Histogram({
    name: "controller_runtime_reconcile_time_seconds",
    help: "Time of one run.",
    labelNames: ["controller"] as const,
    registers,
    buckets: SECONDS,
  });
  const errors = new Counter({
    name: "controller_runtime_reconcile_errors_total",
    help: "Runs that failed.",
    labelNames: ["controller"] as const,
    registers,
  });
  return {
    queueDepth: (name, waiting) => depth.set({ name }, waiting),
    queueAdd: (name) => adds.inc({ name }),
    queueRun(name, { waited, worked, failed }) {
      waits.observe({ name }, waited);
      work.observe({ name }, worked);
      times.observe({ controller: name }, worked);
      runs.inc({ controller: name, result: failed ? "error" : "success" });
      if (!failed) return;
      retries.inc({ name });
      errors.inc({ controller: name });
    },
  };
};

const routerMetrics = (registers: Registry[]): Omit<Metrics, keyof QueueMetrics> => {
  const router = ["namespace", "router"] as const;
  const perPod = [...router, "pod"] as const;
  const reloads = new Counter({
    name: "siprouter_reloads_total",
    help: "Changes of a router's data in its pods.",
    labelNames: [...router, "result"],
    registers,
  });
  const effect = new Histogram({
    name: "siprouter_change_to_effect_seconds",
    help: "From the event that changed the data to the last ready pod read back with it.",
    labelNames: router,
    registers,
    buckets: SECONDS,
  });
  const destinations = new Gauge({
    name: "siprouter_destinations",
    help: "Destinations by state, summed over pods.",
    labelNames: [...router, "state"],
    registers,
  });
  const latency = new Gauge({
    name: "siprouter_destination_latency_seconds",
    help: "Round trip of OPTIONS, the moving average of the pod.",
    labelNames: [...perPod, "set", "destination"],
    registers,
  });
  const calls = new Gauge({
    name: "siprouter_active_calls",
    help: "Active dialogs of a pod.",
    labelNames: perPod,
    registers,
  });
  const registered = new Gauge({
    name: "siprouter_registrations",
    help: "Contacts that a pod of a registrar knows.",
    labelNames: perPod,
    registers,
  });
  const memory = new Gauge({
    name: "siprouter_shared_memory_used_ratio",
    help: "Part of a pod's shared memory that is in use, 0 to 1.",
    labelNames: perPod,
    registers,
  });
  const writes = new Counter({
    name: "siprouter_status_writes_total",
    help: "Status writes by kind.",
    labelNames: ["kind"],
    registers,
  });
  const ages = revisionAges(registers);
  /** "namespace/router/pod" -> "set destination" -> what is shown */
  const latencies = new Map<string, Map<string, { readonly labels: LatencyLabels; seconds: number }>>();
  const showLatencies = (id: string, labels: PodLabels, read: PodReading["destinations"]): void => {
    const before = latencies.get(id);
    const now = new Map<string, { readonly labels: LatencyLabels; seconds: number }>();
    for (const { setId, uri, latencyMs } of read) {
      if (!latencyMs) continue;
      const seconds = latencyMs.last / 1000;
      const shown = before?.get(`${setId} ${uri}`) ?? {
        labels: { ...labels, set: String(setId), destination: uri },
        seconds: Number.NaN,
      };
      // most are as they were at the last poll
      if (shown.seconds !== seconds) latency.set(shown.labels, seconds);
      shown.seconds = seconds;
      now.set(`${setId} ${uri}`, shown);
    }
    // a destination that is gone must not keep its last value
    for (const [destination, { labels: old }] of before ?? []) if (!now.has(destination)) latency.remove(old);
    if (now.size > 0) latencies.set(id, now);
    else latencies.delete(id);
  };

  return {
    reload: (key, result) => reloads.inc({ ...split(key), result }),
    changeToEffect: (key, seconds) => effect.observe(split(key), seconds),
    revisions: ages,
    destinations(key, counts) {
      if (counts === undefined) {
        ages(key, []);
        effect.remove(split(key));
        for (const result of results) reloads.remove({ ...split(key), result });
      }
      for (const state of states) {
        const labels = { ...split(key), state };
        if (counts) destinations.set(labels, counts[state]);
        else destinations.remove(labels);
      }
    },
    pod(key, pod, reading) {
      const labels = { ...split(key), pod };
      showLatencies(`${key}/${pod}`, labels, reading?.destinations ?? []);
      if (!reading) {
        registered.remove(labels);
        memory.remove(labels);
        return calls.remove(labels);
      }
      if (reading.calls !== undefined) calls.set(labels, reading.calls);
      if (reading.memoryUsed !== undefined) memory.set(labels, reading.memoryUsed);
    },
    registrations: (key, pod, count) => registered.set({ ...split(key), pod }, count),
    statusWrite: (kind) => writes.inc({ kind }),
    conditions: conditionMetrics(registers),
    managers: managerMetrics(registers),
  };
};

/** 0 for a pod that runs what it must; else for how long it has not: what an alarm looks at. */
const revisionAges = (registers: Registry[]): Metrics["revisions"] => {
  /** router -> pod -> since when it is behind, milliseconds of `performance` */
  const behind = new Map<Key, Map<string, number | undefined>>();
  const gauge: Gauge<"namespace" | "router" | "pod"> = new Gauge({
    name: "siprouter_pod_revision_age_seconds",
    help: "For how long a pod has not run the current revision; 0 while it does.",
    labelNames: ["namespace", "router", "pod"] as const,
    registers,
    collect() {
      gauge.reset();
      for (const [key, pods] of behind)
        for (const [pod, since] of pods)
          gauge.set({ ...split(key), pod }, since === undefined ? 0 : (performance.now() - since) / 1000);
    },
  });
  return (key, pods) => {
    const before = behind.get(key);
    if (pods.length === 0) return void behind.delete(key);
    behind.set(
      key,
      new Map(pods.map(({ name, inSync }) => [name, inSync ? undefined : (before?.get(name) ?? performance.now())])),
    );
  };
};

/** One series for each condition of an object; Unknown has none. The reason is one of a closed table. */
const conditionMetrics = (registers: Registry[]): Metrics["conditions"] => {
  const gauge = new Gauge({
    name: "siprouter_condition",
    help: "1 while a condition is True, 0 while it is False; none while it is Unknown.",
    labelNames: ["kind", "namespace", "name", "type", "reason"] as const,
    registers,
  });
  const shown = new Map<string, readonly Parameters<typeof gauge.remove>[0][]>();
  return (kind, key, conditions) => {
    const object = `${kind} ${key}`;
    for (const labels of shown.get(object) ?? []) gauge.remove(labels);
    shown.delete(object);
    const known = conditions.filter(({ status }) => status !== "Unknown");
    if (known.length === 0) return;
    const all = known.map(({ type, status, reason }) => {
      const labels = { kind, ...splitKey(key), type, reason };
      gauge.set(labels, status === "True" ? 1 : 0);
      return labels;
    });
    shown.set(object, all);
  };
};

const managerMetrics = (registers: Registry[]): Metrics["managers"] => {
  const labelNames = ["namespace", "backend", "address"] as const;
  const up = new Gauge({
    name: "siprouter_asterisk_up",
    help: "1 while the Asterisk Manager of a backend's address lets the operator read, else 0.",
    labelNames,
    registers,
  });
  const channels = new Gauge({
    name: "siprouter_asterisk_channels",
    help: "Live channels of the Asterisk at a backend's address.",
    labelNames,
    registers,
  });
  const shown = new Map<Key, readonly { namespace: string; backend: string; address: string }[]>();
  return (key, views) => {
    for (const labels of shown.get(key) ?? []) {
      up.remove(labels);
      channels.remove(labels);
    }
    shown.delete(key);
    if (views === undefined) return;
    const { namespace, name: backend } = splitKey(key);
    const all = views.map((view) => ({ view, labels: { namespace, backend, address: view.host } }));
    for (const { view, labels } of all) {
      if (view.state !== undefined) up.set(labels, view.state === "Connected" ? 1 : 0);
      if (view.channels !== undefined) channels.set(labels, view.channels);
    }
    shown.set(
      key,
      all.map(({ labels }) => labels),
    );
  };
};
