/**
 * Probes of one running container, with the kubelet's defaults and thresholds
 * (https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/).
 */
import { execFile } from "node:child_process";
import { request } from "node:http";
import { connect } from "node:net";
import type { Container, ContainerPort, Probe } from "./types.ts";

export interface ProbeTarget {
  readonly ip: string;
  readonly env: Readonly<Record<string, string>>;
  /** makes a mount path of an exec probe local */
  readonly localise: (argument: string) => string;
}

export interface ProbeEvents {
  onReady(ready: boolean, message: string): void;
  /** liveness or startup failed for good: the container must be killed */
  onDead(message: string): void;
}

/** Before the first success a readiness or startup probe is tried this often, so that a start is seen at once. */
const EAGER_MS = 100;

/** Starts the probes; the returned function stops them. Without a readiness probe a container is ready at once. */
export function startProbes(container: Container, target: ProbeTarget, events: ProbeEvents): () => void {
  const stops: (() => void)[] = [];
  const ports = container.ports ?? [];
  const loop = (probe: Probe, on: ProbeOutcome): void => void stops.push(runProbe(probe, ports, target, on));
  const afterStartup = (): void => {
    if (container.readinessProbe === undefined) events.onReady(true, "");
    else
      loop(container.readinessProbe, {
        success: () => events.onReady(true, ""),
        failure: (message) => events.onReady(false, `readiness probe failed: ${message}`),
        eager: true,
      });
    if (container.livenessProbe !== undefined)
      loop(container.livenessProbe, {
        success: () => undefined,
        failure: (message) => events.onDead(`liveness probe failed: ${message}`),
        eager: false,
      });
  };
  if (container.startupProbe === undefined) afterStartup();
  else {
    const stop = runProbe(container.startupProbe, ports, target, {
      success: () => {
        stop();
        afterStartup();
      },
      failure: (message) => events.onDead(`startup probe failed: ${message}`),
      eager: true,
    });
    stops.push(stop);
  }
  return () => stops.forEach((stop) => stop());
}

interface ProbeOutcome {
  success(): void;
  failure(message: string): void;
  readonly eager: boolean;
}

function runProbe(probe: Probe, ports: readonly ContainerPort[], target: ProbeTarget, on: ProbeOutcome): () => void {
  const period = (probe.periodSeconds ?? 10) * 1000;
  const begin = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let succeeded = false;
  let [successes, failures, countedAt] = [0, 0, Number.NEGATIVE_INFINITY];
  const round = async (): Promise<void> => {
    const message = await probeOnce(probe, ports, target);
    if (stopped) return;
    if (message === undefined) {
      failures = 0;
      successes += 1;
      if (successes >= (probe.successThreshold ?? 1)) {
        succeeded = true;
        on.success();
      }
    } else {
      successes = 0;
      // Eager tries in between do not count towards the threshold.
      if (performance.now() - countedAt >= period - EAGER_MS) {
        countedAt = performance.now();
        failures += 1;
      }
      if (failures >= (probe.failureThreshold ?? 3)) on.failure(message);
    }
    if (!stopped) timer = setTimeout(() => void round(), on.eager && !succeeded ? Math.min(period, EAGER_MS) : period);
  };
  const delay = Math.max(0, begin + (probe.initialDelaySeconds ?? 0) * 1000 - performance.now());
  timer = setTimeout(() => void round(), delay);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** undefined when it succeeds, else why not */
function probeOnce(probe: Probe, ports: readonly ContainerPort[], target: ProbeTarget): Promise<string | undefined> {
  const timeout = (probe.timeoutSeconds ?? 1) * 1000;
  const portOf = (port: number | string): number =>
    typeof port === "number" ? port : (ports.find((entry) => entry.name === port)?.containerPort ?? 0);
  if (probe.httpGet !== undefined) {
    const { host, port, path } = probe.httpGet;
    return httpProbe(host ?? target.ip, portOf(port), path ?? "/", timeout);
  }
  if (probe.tcpSocket !== undefined)
    return tcpProbe(probe.tcpSocket.host ?? target.ip, portOf(probe.tcpSocket.port), timeout);
  if (probe.exec !== undefined) return execProbe(probe.exec.command.map(target.localise), target.env, timeout);
  return Promise.resolve(undefined);
}

function httpProbe(host: string, port: number, path: string, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const call = request(
      { host, port, path, timeout, agent: false, headers: { "user-agent": "kube-probe/1.36", connection: "close" } },
      (reply) => {
        const code = reply.statusCode ?? 0;
        resolve(code >= 200 && code < 400 ? undefined : `HTTP ${code} from ${host}:${port}${path}`);
        reply.resume();
      },
    );
    call.on("timeout", () => call.destroy(new Error(`no answer from ${host}:${port}${path} within ${timeout} ms`)));
    call.on("error", (error) => resolve(error.message));
    call.end();
  });
}

function tcpProbe(host: string, port: number, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout });
    const end = (message?: string): void => {
      socket.destroy();
      resolve(message);
    };
    socket.on("connect", () => end());
    socket.on("timeout", () => end(`no connection to ${host}:${port} within ${timeout} ms`));
    socket.on("error", (error) => end(error.message));
  });
}

function execProbe(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  timeout: number,
): Promise<string | undefined> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout }, (error, out, err) =>
      resolve(error === null ? undefined : (err || out || error.message).trim().slice(-500)),
    );
  });
}
