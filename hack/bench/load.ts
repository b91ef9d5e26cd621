/** SIPp as load generator and as PBX, on loopback addresses; its files read into numbers. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scenario = (name: string): string => join(import.meta.dirname, "sip", `${name}.xml`);

export interface LoadResult {
  readonly placed: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** INVITE to 200 in milliseconds, ascending, one per call */
  readonly answerMs: readonly number[];
}

export interface LoadOptions {
  readonly from: string;
  readonly target: string;
  readonly number: string;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly holdMs: number;
  /** name of the file in sip/: `call` (the default) or `callDigest` */
  readonly scenario?: "call" | "callDigest";
  /** most calls open at once (SIPp -l) */
  readonly limit?: number;
}

export const startPbx = (address: string, port = 5060): ChildProcess =>
  spawn(
    "sipp",
    [
      "-sf",
      scenario("answer"),
      "-i",
      address,
      "-p",
      String(port),
      "-mi",
      address,
      "-nostdin",
      "-buff_size",
      "4194304",
      "-rtcheck",
      "loose",
      // OPTIONS is answered: a router takes a PBX that does not for dead
      "-aa",
    ],
    { stdio: "ignore", env: { ...process.env, TERM: "dumb" } },
  );

const lastRow = (file: string): Record<string, string> => {
  const rows = readFileSync(file, "utf8").trim().split("\n");
  const names = (rows[0] ?? "").split(";");
  const values = (rows.at(-1) ?? "").split(";");
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""]));
};

/** Places the calls and resolves when the last has ended. */
export const placeCalls = async (options: LoadOptions): Promise<LoadResult> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const args = [
    options.target,
    "-sf",
    scenario(options.scenario ?? "call"),
    "-s",
    options.number,
    "-i",
    options.from,
    "-mi",
    options.from,
    "-m",
    String(options.calls),
    "-r",
    String(options.callsPerSecond),
    "-d",
    String(options.holdMs),
    "-l",
    String(options.limit ?? options.calls),
    "-nostdin",
    // a 180 that arrives after the 200 (two workers, two datagrams) ends no call
    "-default_behaviors",
    "all,-abortunexp",
    // milliseconds: a call whose answer was lost on a busy machine has failed, and does not wait for ever
    "-recv_timeout",
    "40000",
    "-trace_stat",
    "-stf",
    join(folder, "stat.csv"),
    "-fd",
    "1",
    "-trace_rtt",
    "-rtt_freq",
    "1",
    "-buff_size",
    "4194304",
  ];
  const child = spawn("sipp", args, { stdio: "ignore", cwd: folder, env: { ...process.env, TERM: "dumb" } });
  await new Promise((resolve) => child.once("exit", resolve));
  const stat = lastRow(join(folder, "stat.csv"));
  const rttFile = readdirSync(folder).find((name) => name.endsWith("_rtt.csv"));
  const answerMs = rttFile
    ? readFileSync(join(folder, rttFile), "utf8")
        .trim()
        .split("\n")
        .slice(1)
        .map((line) => Number(line.split(";")[1]))
        .toSorted((a, b) => a - b)
    : [];
  rmSync(folder, { recursive: true, force: true });
  return {
    placed: Number(stat["TotalCallCreated"]),
    failed: Number(stat["FailedCall(C)"]),
    retransmissions: Number(stat["Retransmissions(C)"]),
    answerMs,
  };
};

/** @param p between 0 and 1 */
export const percentile = (ascending: readonly number[], p: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * p))] ?? Number.NaN;
