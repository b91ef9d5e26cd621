/** How far one Kamailio of a router goes: calls held at once, size of the lookup table, changes of data at full rate. */
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { createControl } from "../../src/kamailio/control.ts";
import type { RouterPlan } from "../../src/ir/index.ts";
import { LocalKamailio } from "../../test/support/sip/kamailio.ts";
import { routerPlan } from "../../test/support/sip/plan.ts";
import type { KamailioProgram } from "../../test/support/sip/programs.ts";
import { hostAt } from "./addresses.ts";
import { measureLatency, startLatencyPbx } from "./latency.ts";
import { percentile, placeCalls, startPbx } from "./load.ts";
import { runSeconds } from "./processCpu.ts";

const ROUTER = hostAt(5);
const CALLER = hostAt(9);
const OTHER_CALLER = hostAt(10);
const [PBX, OTHER_PBX] = [hostAt(21), hostAt(22)];

const planOf = (routes: number, shmMemoryMiB: number): RouterPlan => {
  const healthCheck = { intervalSeconds: 30, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 };
  const numbers = Array.from({ length: routes - 1 }, (_, index) => String(20_000_000 + index));
  return routerPlan({
    structure: { workers: 4, shmMemoryMiB, healthCheck },
    sets: [{ name: "pbx", id: 1, destinations: [{ host: PBX, port: 5060 }] }],
    routes: [
      { name: "extensions", set: "pbx", digits: "1", length: 4 },
      ...numbers.map((digits) => ({ name: `r${digits}`, set: "pbx", digits, length: 8 })),
    ],
  });
};

export interface HeldCalls {
  readonly held: number;
  readonly failed: number;
  readonly bytesPerCall: number;
}

/** Places `calls` calls that all stay up until the last is there, and reads the shared memory they take. */
export const holdCalls = async (program: KamailioProgram, calls: number): Promise<HeldCalls> => {
  const kamailio = await LocalKamailio.start(program, planOf(1, 1024), ROUTER);
  const control = createControl();
  const used = async (): Promise<number> => {
    const answer = (await control.call(kamailio.control, "core.shmmem")) as {
      readonly real_used?: number;
      readonly used?: number;
    };
    return Number(answer.real_used ?? answer.used);
  };
  const pbx = startPbx(PBX);
  try {
    const before = await used();
    const rate = 400;
    const holdMs = (calls / rate) * 1000 + 6000;
    const load = placeCalls({
      from: CALLER,
      target: `${ROUTER}:5060`,
      number: "1001",
      calls,
      callsPerSecond: rate,
      holdMs,
    });
    let held = 0;
    let after = before;
    const over = load.then(() => true);
    while (!(await Promise.race([over, new Promise<boolean>((resolve) => setTimeout(resolve, 500, false))]))) {
      const stats = (await control.call(kamailio.control, "dlg.stats_active")) as {
        readonly all?: number;
        readonly ongoing?: number;
      };
      const now = Number(stats.ongoing ?? stats.all ?? 0);
      if (now > held) {
        held = now;
        after = await used();
      }
    }
    const { failed } = await load;
    return { held, failed, bytesPerCall: Math.round((after - before) / Math.max(1, held)) };
  } finally {
    pbx.kill("SIGTERM");
    control.close();
    await kamailio.stop();
  }
};

export interface LookupRow {
  readonly routes: number;
  readonly p50: number;
  readonly p99: number;
}

/** INVITE -> 200 in microseconds through tables of different sizes. */
export const measureLookup = async (
  program: KamailioProgram,
  sizes: readonly number[],
  calls: number,
): Promise<readonly LookupRow[]> => {
  const pbx = await startLatencyPbx(PBX);
  const rows: LookupRow[] = [];
  for (const routes of sizes) {
    const kamailio = await LocalKamailio.start(program, planOf(routes, 1024), ROUTER);
    const took = await measureLatency({
      from: CALLER,
      target: `${ROUTER}:5060`,
      number: "1001",
      calls,
      callsPerSecond: 200,
    });
    rows.push({ routes, p50: percentile(took, 0.5), p99: percentile(took, 0.99) });
    await kamailio.stop();
  }
  pbx.kill("SIGTERM");
  await once(pbx, "exit");
  return rows;
};

export interface CountingRow {
  /** calls that run meanwhile */
  readonly held: number;
  /** INVITE -> 200, microseconds */
  readonly p50: number;
  readonly p99: number;
  /** CPU milliseconds of the router for a call */
  readonly cpuMs: number;
}

/** What `CallLoad` and `maxCalls` cost a call while others run: their counting grows with these. */
export const measureCounting = async (
  program: KamailioProgram,
  sizes: readonly number[],
  calls: number,
): Promise<readonly CountingRow[]> => {
  const rows: CountingRow[] = [];
  for (const held of sizes) {
    const pbx = await startLatencyPbx(PBX);
    const kamailio = await LocalKamailio.start(program, countingPlan, ROUTER);
    const to = { target: `${ROUTER}:5060`, number: "1001" };
    const rate = 400;
    const holdMs = (held / rate) * 1000 + 20_000;
    const load =
      held === 0 ? undefined : placeCalls({ ...to, from: OTHER_CALLER, calls: held, callsPerSecond: rate, holdMs });
    await wait((held / rate) * 1000 + 2000);
    const before = runSeconds(kamailio.pid);
    const took = await measureLatency({ ...to, from: CALLER, calls, callsPerSecond: 100 });
    const cpuMs = ((runSeconds(kamailio.pid) - before) / calls) * 1000;
    rows.push({ held, p50: percentile(took, 0.5), p99: percentile(took, 0.99), cpuMs });
    await load;
    await kamailio.stop();
    pbx.kill("SIGTERM");
    await once(pbx, "exit");
  }
  return rows;
};

const countingPlan: RouterPlan = (() => {
  const healthCheck = { intervalSeconds: 30, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 };
  const uri = `sip:${PBX}:5060;transport=udp`;
  return routerPlan({
    structure: { workers: 4, shmMemoryMiB: 512, healthCheck, callLoad: true, maxCalls: true },
    sets: [{ name: "pbx", id: 1, algorithm: "CallLoad", destinations: [{ host: PBX, port: 5060 }] }],
    routes: [{ name: "extensions", set: "pbx", digits: "1", length: 4 }],
    data: { caps: [{ uri, backend: "pbx", limit: 100_000 }] },
  });
})();

export interface Storm {
  readonly placed: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly rounds: number;
}

/** Calls at full rate while destinations come and go and the lookup table is reloaded, without a pause. */
export const measureStorm = async (program: KamailioProgram, calls: number): Promise<Storm> => {
  const kamailio = await LocalKamailio.start(program, planOf(1000, 512), ROUTER);
  const control = createControl();
  const pbxes = [PBX, OTHER_PBX].map((address) => startPbx(address));
  const extra = `sip:${OTHER_PBX}:5060;transport=udp`;
  try {
    const load = placeCalls({
      from: CALLER,
      target: `${ROUTER}:5060`,
      number: "1001",
      calls,
      callsPerSecond: 500,
      holdMs: 200,
    });
    const over = load.then(() => true);
    let rounds = 0;
    for (; !(await Promise.race([over, Promise.resolve(false)])); rounds += 1) {
      await control.call(kamailio.control, "dispatcher.add", [100, extra, 0, 0]);
      await control.call(kamailio.control, "mtree.reload", ["ext"]);
      await control.call(kamailio.control, "htable.reload", ["domains"]);
      await control.call(kamailio.control, "dispatcher.remove", [100, extra]);
    }
    const { placed, failed, retransmissions } = await load;
    return { placed, failed, retransmissions, rounds };
  } finally {
    for (const pbx of pbxes) pbx.kill("SIGTERM");
    control.close();
    await kamailio.stop();
  }
};
