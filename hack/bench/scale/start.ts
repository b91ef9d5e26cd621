/** The operator's start on a cluster that has everything it is to serve. */
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { OperatorProcess } from "../../../test/integration/kube/process.ts";
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { until } from "../../../test/support/until.ts";
import { cpuSeconds } from "../processCpu.ts";

export interface Start {
  /** from the start of the process until the last object of the last router was written, seconds; 0: none was */
  readonly appliedS: number;
  /** until nothing more was written, seconds; looked at every {@link QUIET_MS} */
  readonly settledS: number;
  readonly cpuS: number;
  /** of API server and etcd, meanwhile */
  readonly serverCpuS: number;
  /** requests to the API server that write */
  readonly writes: number;
  readonly rssMiB: number;
  readonly peakMiB: number;
  readonly heapMiB: number;
}

const QUIET_MS = 2000;
const LONGEST_START_MS = 300_000;
const writing = /^siprouter_api_requests_total\{verb="(?:create|update|patch|apply|delete)"[^}]*\} ([0-9]+)/gm;
const valueOf = (text: string, name: string): number =>
  Number(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)`, "m").exec(text)?.[1] ?? Number.NaN);

/** Requests that write, as the operator counts them. */
export const writesOf = async (operator: OperatorProcess): Promise<number> => {
  const { text } = await operator.get("/metrics");
  return [...text.matchAll(writing)].reduce((sum, [, count]) => sum + Number(count), 0);
};

const memoryOf = (pid: number, field: string): number =>
  Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** of all that this process has started */
const othersCpu = (): number => {
  const { user, system } = process.cpuUsage();
  return cpuSeconds(process.pid) - (user + system) / 1e6;
};

export const measureStart = async (
  server: TestApiServer,
  routers: number,
): Promise<{ readonly operator: OperatorProcess; readonly start: Start }> => {
  const serverBefore = othersCpu();
  const began = performance.now();
  const operator = new OperatorProcess(server.kubeconfigPath);
  let appliedAt = began;
  operator.onLine = ({ message }) => {
    if (message === "applied") appliedAt = performance.now();
  };
  await until("the operator has started", () => operator.logged("started") !== undefined, LONGEST_START_MS);
  const decided = (): number => operator.lines.filter(({ message }) => message === "new revision").length;
  let before = -1;
  let settledAt = performance.now();
  for (;;) {
    const isDecided = decided() >= routers;
    const writes = await writesOf(operator);
    if (isDecided && writes === before) break;
    if (writes !== before) settledAt = performance.now();
    before = writes;
    // no more often: its metrics are work, too
    await wait(QUIET_MS);
  }
  const { text } = await operator.get("/metrics");
  const cpuS = cpuSeconds(operator.pid);
  const start = {
    appliedS: (appliedAt - began) / 1000,
    settledS: (settledAt - began) / 1000,
    cpuS,
    serverCpuS: othersCpu() - serverBefore - cpuS,
    writes: before,
    rssMiB: memoryOf(operator.pid, "VmRSS"),
    peakMiB: memoryOf(operator.pid, "VmHWM"),
    heapMiB: valueOf(text, "nodejs_heap_size_used_bytes") / 1024 / 1024,
  };
  return { operator, start };
};
