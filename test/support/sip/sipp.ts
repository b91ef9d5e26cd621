/** SIPp for many calls at once, and what became of each. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scenario = (name: string): string => join(import.meta.dirname, "scenarios", `${name}.xml`);

export interface LedgerEntry {
  readonly callId: string;
  readonly status: number;
  /** the Server header of the 200 */
  readonly who: string;
}

export interface Ledger {
  readonly entries: readonly LedgerEntry[];
  /** calls of which SIPp says that they went wrong: unexpected message, timeout */
  readonly failed: number;
  readonly retransmissions: number;
}

export interface CallsInput {
  readonly from: string;
  readonly router: { readonly host: string; readonly port: number };
  readonly number: string;
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly holdMs: number;
}

const sipp = (args: readonly string[], cwd: string): ChildProcess =>
  spawn("sipp", [...args, "-nostdin"], { cwd, stdio: "ignore", env: { ...process.env, TERM: "dumb" } });

/** A PBX that takes any number of calls; `stop` ends it. */
export function startAnswering(host: string, port: number, who: string): { stop: () => Promise<void> } {
  const child = sipp(["-sf", scenario("answer"), "-i", host, "-p", String(port), "-key", "who", who], tmpdir());
  return {
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** Places the calls; resolves when the last is over. */
export async function placeCalls(input: CallsInput): Promise<Ledger> {
  const folder = await mkdtemp(join(tmpdir(), "sipp-"));
  const { from, router, number, calls, callsPerSecond, holdMs } = input;
  const child = sipp(
    [
      `${router.host}:${router.port}`,
      ...["-sf", scenario("call"), "-s", number, "-i", from, "-m", String(calls), "-r", String(callsPerSecond)],
      ...["-d", String(holdMs), "-trace_logs", "-trace_stat", "-stf", "stat.csv", "-fd", "1", "-timeout", "60"],
    ],
    folder,
  );
  await once(child, "exit");
  const files = await readdir(folder);
  const log = files.find((name) => name.endsWith("_logs.log"));
  const lines = log === undefined ? [] : (await readFile(join(folder, log), "utf8")).split("\n");
  const [names = [], ...rows] = (await readFile(join(folder, "stat.csv"), "utf8"))
    .trim()
    .split("\n")
    .map((row) => row.split(";"));
  const last = rows.at(-1) ?? [];
  const stat = (name: string): number => Number(last[names.indexOf(name)] ?? Number.NaN);
  await rm(folder, { recursive: true, force: true });
  return {
    entries: lines.flatMap((line) => {
      const [, callId, status, who] = /(\S+) ([0-9]{3}) (\S+)\s*$/.exec(line) ?? [];
      return callId === undefined || who === undefined ? [] : [{ callId, status: Number(status), who }];
    }),
    failed: stat("FailedCall(C)"),
    retransmissions: stat("Retransmissions(C)"),
  };
}
