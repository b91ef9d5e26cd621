/**
 * How the operator grows with the number of routers: 10, 100 and 1,000 SipRouters with 10 PbxBackends each on a real API
 * server. Nobody runs the pods; what is measured is the operator's own work: the first start until everything is written,
 * a second start that has nothing to write, one change among them all, memory. The operator runs as its image runs it.
 *
 *   node hack/bench/scale.ts                 prints a table and writes .cache/bench/scale.json
 *
 * BENCH_ROUTERS (10,100,1000) and BENCH_SCALE_CHANGES (50) make it shorter.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer } from "../../test/support/apiserver.ts";
import { inRealTime } from "./priority.ts";
import { row, say, writeResults } from "./report.ts";
import { measureChanges } from "./scale/changes.ts";
import { createFleet } from "./scale/fleet.ts";
import { runAsImage } from "./scale/image.ts";
import { measureStart, type Start } from "./scale/start.ts";

const COUNTS = (process.env["BENCH_ROUTERS"] ?? "10,100,1000").split(",").map(Number);
const CHANGES = Number(process.env["BENCH_SCALE_CHANGES"] ?? 50);

interface ScaleResult {
  readonly routers: number;
  readonly backends: number;
  readonly cold: Start;
  readonly again: Start;
  /** milliseconds from the write of a PbxBackend to its router's file, of one router after the other */
  readonly change: { readonly decided: number; readonly written: number; readonly writtenP95: number };
}

const measureScale = async (routers: number): Promise<ScaleResult> => {
  const server = await startApiServer({ crds: true, controllers: false });
  try {
    await createFleet(server, routers);
    const cold = await measureStart(server, routers);
    await cold.operator.end();
    const again = await measureStart(server, routers);
    const change = await measureChanges(server, again.operator, routers, CHANGES);
    await again.operator.end();
    return { routers, backends: routers * 10, cold: cold.start, again: again.start, change };
  } finally {
    await server.stop();
  }
};

export const benchScale = async (): Promise<readonly ScaleResult[]> => {
  const folder = mkdtempSync(join(tmpdir(), "scale-"));
  try {
    runAsImage(folder);
    const { result, realTime } = await inRealTime([], measureAll);
    say(`  at ${realTime ? "real-time" : "ordinary"} priority`);
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const measureAll = async (): Promise<readonly ScaleResult[]> => {
  const results: ScaleResult[] = [];
  say("\nScale: routers with 10 backends each; seconds, MiB, milliseconds");
  say(row(["routers", "applied s", "settled s", "CPU s", "API CPU s", "writes", "RSS", "peak RSS", "heap"]));
  for (const count of COUNTS) {
    const result = await measureScale(count);
    for (const [what, { appliedS, settledS, cpuS, serverCpuS, writes, rssMiB, peakMiB, heapMiB }] of [
      [`${count}, first start`, result.cold],
      [`${count}, started again`, result.again],
    ] as const) {
      const numbers = [appliedS, settledS, cpuS, serverCpuS].map((value) => value.toFixed(1));
      const sizes = [rssMiB, peakMiB, heapMiB].map((value) => value.toFixed(0));
      say(row([what, ...numbers, String(writes), ...sizes]));
    }
    const { decided, written, writtenP95 } = result.change;
    say(
      `  one change among ${count}: decided after ${decided.toFixed(1)} ms, its file written after ${written.toFixed(1)} ms (p95 ${writtenP95.toFixed(1)})`,
    );
    results.push(result);
  }
  return results;
};

if (import.meta.main) writeResults("scale", await benchScale());
