/**
 * make bench: prints a table per Kamailio version and writes .cache/bench/calls.json.
 * As root all that is measured runs at real-time priority: figures of a busy machine are figures of this benchmark.
 * BENCH_CALLS (calls per round, 5000), BENCH_ROUNDS (5) and BENCH_HELD (calls held at once, 10000) make it longer or
 * shorter.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inRealTime } from "./priority.ts";
import { kamailio5, kamailio6, type KamailioProgram } from "../../test/support/sip/programs.ts";
import { hostAt } from "./addresses.ts";
import { holdCalls, measureCounting, measureLookup, measureStorm } from "./capacity.ts";
import { measureAddedTime, measureCpu, startMinimal, startRouter, type Target } from "./calls.ts";

const calls = Number(process.env["BENCH_CALLS"] ?? 5000);
const heldCalls = Number(process.env["BENCH_HELD"] ?? 10_000);
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const row = (cells: readonly string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(24) : cell.padStart(16))).join("");

const benchmark = async (program: KamailioProgram) => {
  say(`\nKamailio ${program.name}: ${rounds} rounds of ${calls} calls at 500 per second`);
  const targets: Target[] = [];
  try {
    targets.push(await startMinimal(program, hostAt(1), "qm"));
    targets.push(await startMinimal(program, hostAt(2), "fm"));
    targets.push(await startRouter(program, hostAt(3), "router"));
    targets.push(
      await startRouter(program, hostAt(4), "router, topology hidden", { structure: { topologyHiding: true } }),
    );
    const costs = await measureCpu(targets, calls, rounds);
    const added = await measureAddedTime(targets, calls);
    const base = costs[1]?.cpuPer1000 ?? Number.NaN;
    say(row(["", "CPU s/1000 calls", "/ minimal (fm)", "failed", "added p50 us", "added p99 us", "memory MiB"]));
    for (const [index, cost] of costs.entries())
      say(
        row([
          cost.target, cost.cpuPer1000.toFixed(3), (cost.cpuPer1000 / base).toFixed(2), `${cost.failed}/${cost.placed}`,
          (added.rows[index]?.p50 ?? Number.NaN).toFixed(0), (added.rows[index]?.p99 ?? Number.NaN).toFixed(0), cost.memoryMiB.toFixed(0),
        ]), // prettier-ignore
      );
    const { p50, p99 } = added.direct;
    const priority = added.realTime ? "real-time" : "ordinary";
    say(`direct: p50 ${p50.toFixed(0)} us, p99 ${p99.toFixed(0)} us; added time at ${priority} priority`);
    const { rows: addedRows, ...how } = added;
    return { kamailio: program.name, calls, rounds, costs, added: addedRows, ...how };
  } finally {
    for (const target of targets) await target.stop();
  }
};

const measureCapacity = async (program: KamailioProgram) => {
  const held = await holdCalls(program, heldCalls);
  say(
    `\n${held.held} of ${heldCalls} calls held at once, ${held.failed} failed, ${held.bytesPerCall} bytes of shared memory a call`,
  );
  const lookup = await measureLookup(program, [10, 1_000, 10_000, 99_000], 1000);
  say(row(["routes", "p50 us", "p99 us"]));
  for (const { routes, p50, p99 } of lookup) say(row([String(routes), p50.toFixed(0), p99.toFixed(0)]));
  const counting = await measureCounting(program, [0, 1000, 10_000], 500);
  say(row(["CallLoad, calls held", "p50 us", "p99 us", "CPU ms a call"]));
  for (const { held: running, p50, p99, cpuMs } of counting)
    say(row([String(running), p50.toFixed(0), p99.toFixed(0), cpuMs.toFixed(2)]));
  const storm = await measureStorm(program, calls);
  say(
    `${storm.rounds} rounds of four changes during ${storm.placed} calls: ${storm.failed} failed, ${storm.retransmissions} retransmissions`,
  );
  return { held, lookup, counting, storm };
};

const results = [];
for (const program of [kamailio5(), kamailio6()])
  results.push({
    ...(await benchmark(program)),
    // what it starts has this process's priority
    ...(await inRealTime([], () => measureCapacity(program))).result,
  });
const folder = join(import.meta.dirname, "../../.cache/bench");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "calls.json"), `${JSON.stringify(results, null, 2)}\n`);
say(`\nwritten: ${join(folder, "calls.json")}`);
