/**
 * Change-to-effect: from sending the write of a PbxBackend or an EndpointSlice to the API server until the last of three
 * replicas has been read back with it, beside a sidecar per pod that rewrites the file and reloads it without reading back.
 *
 *   node hack/bench/change.ts                 prints a table and writes .cache/bench/change.json
 *
 * BENCH_CHANGES (200) and BENCH_DESTINATIONS (3,200) make it shorter. Some destinations do not answer: afterwards no
 * replica may have forgotten that, and no change may be lost: else it fails. Runs in a network of its own.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer } from "../../test/support/apiserver.ts";
import { ownNetwork } from "../../test/support/unshare.ts";
import { answerOptions, backendsOf, destinationsOf, slicesOf, type Source } from "./change/backends.ts";
import { NET, type Result, type Summary } from "./change/measure.ts";
import { measureOperator } from "./change/operatorFleet.ts";
import { besideSidecar } from "./change/ratio.ts";
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

const sayRatios = (results: readonly Result[]): void => {
  const all = results.filter(({ timesSidecar }) => timesSidecar !== undefined);
  if (all.length > 0) say("\nThe operator, which reads back, as a multiple of the sidecar with reload_delta 0");
  for (const { what, destinations, timesSidecar: { p50, p95, p99 } = {} } of all)
    say(row([what, String(destinations), ...[p50, p95, p99].map((ratio) => ratio?.toFixed(2) ?? "")]));
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
      const operator = async (source: Source): Promise<Result> => {
        await source.apply(destinations);
        return measureOperator(server, join(folder, "node"), source, destinations, CHANGES);
      };
      const runs = [() => operator(backendsOf(server)), () => operator(slicesOf(server))];
      const sidecars = [
        () => measureSidecars(server, destinations, CHANGES, 0),
        () => measureSidecars(server, destinations, CHANGES),
      ];
      for (const run of SIDECARS ? [...runs, ...sidecars] : runs) {
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
  const beside = besideSidecar(results);
  sayRatios(beside);
  return beside;
};

/** Counts, whatever the machine: what the operator forgot or lost. */
const isRight = ({ what, forgotten, lostOfTen }: Result): boolean =>
  !what.startsWith("operator") || (forgotten === 0 && lostOfTen === 0);

const VARIABLE = "BENCH_NETWORK";
if (import.meta.main && process.env[VARIABLE] !== NET) {
  const env = { ...process.env, [VARIABLE]: NET };
  const { status } = spawnSync("unshare", ownNetwork(NET, [process.execPath, import.meta.filename]), {
    env,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
} else if (import.meta.main) {
  const results = await benchChange();
  writeResults("change", results);
  if (!results.every(isRight))
    throw new Error("the operator has forgotten that a destination is dead, or lost a change");
}
