/**
 * Change-to-effect: from sending the write of a PbxBackend to the API server until the last of three replicas has been
 * read back with it, beside a sidecar per pod that rewrites the file and reloads it without reading back.
 *
 *   node hack/bench/change.ts                 prints a table and writes .cache/bench/change.json
 *
 * BENCH_CHANGES (200) and BENCH_DESTINATIONS (3,200) make it shorter. Some destinations do not answer: afterwards no
 * replica may have forgotten that.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer } from "../../test/support/apiserver.ts";
import { answerOptions, applyBackends, destinationsOf } from "./change/backends.ts";
import type { Result, Summary } from "./change/measure.ts";
import { measureOperator } from "./change/operatorFleet.ts";
import { measureSidecars } from "./change/sidecarFleet.ts";
import { row, say, writeResults } from "./report.ts";

const CHANGES = Number(process.env["BENCH_CHANGES"] ?? 200);
const COUNTS = (process.env["BENCH_DESTINATIONS"] ?? "3,200").split(",").map(Number);
/** BENCH_SIDECARS=0: the operator alone */
const SIDECARS = process.env["BENCH_SIDECARS"] !== "0";

const times = ({ p50, p95, p99, max }: Summary): readonly string[] =>
  [p50, p95, p99, max].map((time) => time.toFixed(1));

const sayResult = (one: Result): void => {
  const { what, destinations, dead, forgotten, lostOfTen, cpuMsPerChange } = one;
  const counts = [dead, forgotten, lostOfTen].map(String);
  say(row([what, String(destinations), ...times(one), ...counts, cpuMsPerChange?.toFixed(1) ?? ""]));
  for (const [step, summary] of Object.entries(one.stages ?? {})) say(row([`  ${step}`, "", ...times(summary)]));
};

export const benchChange = async (): Promise<readonly Result[]> => {
  const server = await startApiServer({ crds: true });
  const folder = mkdtempSync(join(tmpdir(), "bench-change-"));
  const results: Result[] = [];
  say(`\nChange-to-effect on three replicas, milliseconds, ${CHANGES} changes`);
  say(row(["", "destinations", "p50", "p95", "p99", "max", "dead", "forgotten", "lost of 10", "CPU/change"]));
  try {
    for (const count of COUNTS) {
      const destinations = destinationsOf(count);
      const stopAnswers = await answerOptions(destinations);
      const runs = [
        () => measureOperator(server, join(folder, "node"), destinations, CHANGES),
        () => measureSidecars(server, destinations, CHANGES, 0),
        () => measureSidecars(server, destinations, CHANGES),
      ];
      for (const run of SIDECARS ? runs : runs.slice(0, 1)) {
        await applyBackends(server, destinations);
        const result = await run();
        sayResult(result);
        results.push(result);
      }
      stopAnswers();
    }
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return results;
};

if (import.meta.main) writeResults("change", await benchChange());
