/**
 * What a call costs: CPU seconds per 1,000 calls and the time added to INVITE -> 200, of the router and of a minimal
 * stateful dispatcher proxy written by hand (sip/minimal.cfg), in one run, in turns, against a direct call.
 * Figures differ from machine to machine; the ratios of one run are what counts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RouterPlan, StructurePlan } from "../../src/ir/index.ts";
import { LocalKamailio } from "../../test/support/sip/kamailio.ts";
import { routerPlan, type SetInput } from "../../test/support/sip/plan.ts";
import type { KamailioProgram } from "../../test/support/sip/programs.ts";
import { until } from "../../test/support/until.ts";
import { hostAt } from "./addresses.ts";
import { measureLatency, startLatencyPbx } from "./latency.ts";
import { percentile, placeCalls, startPbx } from "./load.ts";
import { inRealTime } from "./priority.ts";
import { memoryBytes, runSeconds } from "./processCpu.ts";

export const PBX = [hostAt(21), hostAt(22)] as const;
export const CALLER = hostAt(9);
const WORKERS = 4;

/** A proxy under test: `pid` is the first process of its family. */
export interface Target {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
};

/** @param memoryManager Kamailio's -x: "qm" is the packages' default */
export const startMinimal = async (
  program: KamailioProgram,
  address: string,
  memoryManager: string,
): Promise<Target> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  writeFileSync(join(folder, "dispatcher.list"), PBX.map((pbx) => `1 sip:${pbx}:5060\n`).join(""));
  const tokens = { POD_IP: address, DATA_DIR: folder, CHILDREN: String(WORKERS) };
  const child = spawn(
    join(program.folder, "kamailio"),
    [
      "-DD", "-E", "-x", memoryManager, "-m", "256", "-Y", folder, "-w", folder, "-P", join(folder, "pid"),
      "-f", join(import.meta.dirname, "sip/minimal.cfg"),
      ...Object.entries(tokens).flatMap(([token, value]) => ["--substdef", `!${token}!${value}!g`]),
    ], // prettier-ignore
    { stdio: "ignore" },
  );
  await until("the minimal proxy listens", async () =>
    readFileSync("/proc/net/udp", "utf8").includes(hexSocket(address)),
  );
  return {
    name: `minimal (${memoryManager})`,
    address,
    pid: child.pid ?? 0,
    async stop() {
      await ended(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

/** As /proc/net/udp writes it: the address's bytes from last to first, then the port 5060. */
const hexSocket = (address: string): string => {
  const bytes = address.split(".").map((part) => Number(part).toString(16).toUpperCase().padStart(2, "0"));
  return `${bytes.toReversed().join("")}:13C4`;
};

/** What a router of the benchmark has beyond two PBXes and one route. */
export interface RouterOptions {
  readonly structure?: Partial<StructurePlan>;
  readonly data?: Partial<RouterPlan["data"]>;
  readonly algorithm?: SetInput["algorithm"];
  /** more destinations than the two PBXes, at addresses where nobody answers; they are in a later tier */
  readonly more?: number;
}

export const startRouter = async (
  program: KamailioProgram,
  address: string,
  name: string,
  { structure, data, algorithm, more = 0 }: RouterOptions = {},
): Promise<Target> => {
  const healthCheck = { intervalSeconds: 30, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 };
  const idle = Array.from({ length: more }, (_, index) => ({ host: hostAt(30 + index), port: 5060, priority: 1 }));
  const plan = routerPlan({
    structure: { workers: WORKERS, shmMemoryMiB: 256, healthCheck, ...structure },
    sets: [
      {
        name: "pbx",
        id: 1,
        ...(algorithm === undefined ? {} : { algorithm }),
        destinations: [...PBX.map((host) => ({ host, port: 5060 })), ...idle],
      },
    ],
    routes: [{ name: "extensions", set: "pbx", digits: "1", length: 4 }],
    ...(data === undefined ? {} : { data }),
  });
  const kamailio = await LocalKamailio.start(program, plan, address);
  return { name, address, pid: kamailio.pid, stop: () => kamailio.stop() };
};

export interface CallCost {
  readonly target: string;
  readonly placed: number;
  readonly failed: number;
  /** median of the rounds */
  readonly cpuPer1000: number;
  readonly rounds: readonly number[];
  readonly memoryMiB: number;
}

const median = (values: readonly number[]): number =>
  percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  );

/** Rounds in turns over all targets, so that a slow moment of the machine hits each alike. */
export const measureCpu = async (
  targets: readonly Target[],
  calls: number,
  rounds: number,
): Promise<readonly CallCost[]> => {
  const pbxes = PBX.map((address) => startPbx(address));
  const results = targets.map(() => ({ rounds: [] as number[], placed: 0, failed: 0 }));
  const turn = async (): Promise<void> => {
    for (const [index, target] of targets.entries()) {
      const before = runSeconds(target.pid);
      const load = await placeCalls({
        from: CALLER, target: `${target.address}:5060`, number: "1001", calls, callsPerSecond: 500, holdMs: 200,
      }); // prettier-ignore
      const result = results[index];
      if (result === undefined) continue;
      result.rounds.push(((runSeconds(target.pid) - before) / calls) * 1000);
      result.placed += load.placed;
      result.failed += load.failed;
    }
  };
  await inRealTime(
    [...targets, ...pbxes].map(({ pid }) => pid ?? 0),
    async () => {
      for (let round = 0; round < rounds; round += 1) await turn();
    },
  );
  const costs = targets.map((target, index) => {
    const { rounds: all = [], placed = 0, failed = 0 } = results[index] ?? {};
    const memoryMiB = memoryBytes(target.pid) / 1024 / 1024;
    return { target: target.name, placed, failed, cpuPer1000: median(all), rounds: all, memoryMiB };
  });
  await Promise.all(pbxes.map(ended));
  return costs;
};

export interface AddedTime {
  readonly target: string;
  readonly lost: number;
  /** microseconds beyond the direct call's same percentile */
  readonly p50: number;
  readonly p99: number;
}

/** Direct calls and calls through each target in short turns; percentiles over all turns. */
export const measureAddedTime = async (
  targets: readonly Target[],
  calls: number,
  turns = 5,
): Promise<{ readonly rows: readonly AddedTime[]; readonly direct: Percentiles; readonly realTime: boolean }> => {
  const pbxes = await Promise.all(PBX.map((address) => startLatencyPbx(address)));
  const each = Math.ceil(calls / turns);
  const run = (target: string) =>
    measureLatency({ from: CALLER, target: `${target}:5060`, number: "1001", calls: each, callsPerSecond: 500 });
  const direct: number[] = [];
  const through = targets.map((): number[] => []);
  const roots = [...targets.map(({ pid }) => pid), ...pbxes.map(({ pid }) => pid ?? 0)];
  const { realTime } = await inRealTime(roots, async () => {
    for (let turn = 0; turn < turns; turn += 1) {
      direct.push(...(await run(PBX[0])));
      for (const [index, target] of targets.entries()) through[index]?.push(...(await run(target.address)));
    }
  });
  await Promise.all(pbxes.map(ended));
  const floor = percentilesOf(direct);
  const rows = targets.map(({ name }, index) => {
    const took = percentilesOf(through[index] ?? []);
    return { target: name, lost: took.lost, p50: took.p50 - floor.p50, p99: took.p99 - floor.p99 };
  });
  return { rows, direct: floor, realTime };
};

export interface Percentiles {
  /** calls without an answer */
  readonly lost: number;
  /** microseconds */
  readonly p50: number;
  readonly p99: number;
}

const percentilesOf = (took: readonly number[]): Percentiles => {
  const ascending = took.toSorted((a, b) => a - b);
  return {
    lost: took.filter((one) => one === Infinity).length,
    p50: percentile(ascending, 0.5),
    p99: percentile(ascending, 0.99),
  };
};
