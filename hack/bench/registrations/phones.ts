/** Phones that register and are called: SIPp, with a file of users. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../../test/support/until.ts";

/** A user and how many phones he has. */
export interface User {
  readonly name: string;
  readonly password: string;
  readonly phones: number;
}

const PHONES_OF_MOST = 5;

/**
 * So many phones in all. One user of twelve has one phone, and can be called without forking; the others have five. The
 * users of 100,000 phones fit into the Secret of a router (1 MiB).
 */
export function usersOf(phones: number): readonly User[] {
  const users: User[] = [];
  for (let left = phones; left > 0;) {
    const number = Math.min(left, users.length % 12 === 0 ? 1 : PHONES_OF_MOST);
    users.push({ name: `u${100_000 + users.length}`, password: `secret${users.length}`, phones: number });
    left -= number;
  }
  return users;
}

const scenario = (name: string): string => join(import.meta.dirname, "../sip", `${name}.xml`);

export interface Placed {
  readonly placed: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly seconds: number;
}

interface SippInput {
  readonly scenario: "register" | "callRegistered";
  readonly from: string;
  readonly port: number;
  readonly target: string;
  /** lines of the file of -inf */
  readonly lines: readonly string[];
  readonly perSecond: number;
  readonly holdMs?: number;
}

/** One run of the scenario for each line; resolves when the last is over. */
export async function runSipp(input: SippInput): Promise<Placed> {
  const { from, port, target, lines, perSecond, holdMs = 0 } = input;
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  writeFileSync(join(folder, "lines.csv"), ["SEQUENTIAL", ...lines, ""].join("\n"));
  const child = spawn(
    "sipp",
    [
      target, "-sf", scenario(input.scenario), "-inf", "lines.csv", "-i", from, "-p", String(port), "-mi", from,
      "-m", String(lines.length), "-r", String(perSecond), "-l", "3000", "-d", String(holdMs), "-nostdin",
      "-buff_size", "4194304", "-rtcheck", "loose",
      // a 180 that arrives after the 200 (two workers, two datagrams) ends no call
      "-default_behaviors", "all,-abortunexp", "-recv_timeout", "40000", "-trace_stat", "-stf", "stat.csv", "-fd", "1",
    ],
    { cwd: folder, stdio: "ignore", env: { ...process.env, TERM: "dumb" } },
  ); // prettier-ignore
  const started = performance.now();
  await once(child, "exit");
  const seconds = (performance.now() - started) / 1000;
  const [names = [], ...rows] = readFileSync(join(folder, "stat.csv"), "utf8")
    .trim()
    .split("\n")
    .map((text) => text.split(";"));
  const stat = (name: string): number => Number(rows.at(-1)?.[names.indexOf(name)]);
  rmSync(folder, { recursive: true, force: true });
  return {
    placed: stat("TotalCallCreated"),
    failed: stat("FailedCall(C)"),
    retransmissions: stat("Retransmissions(C)"),
    seconds,
  };
}

/** As /proc/net/udp writes it: the bytes of the address from last to first, then the port. */
const listens = (address: string, port: number): boolean => {
  const bytes = address.split(".").map((part) => Number(part).toString(16).toUpperCase().padStart(2, "0"));
  const socket = `${bytes.toReversed().join("")}:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  return readFileSync("/proc/net/udp", "utf8").includes(socket);
};

/** Phones that answer every call; resolves when they listen. */
export async function startPhones(address: string, port: number): Promise<ChildProcess> {
  const child = spawn(
    "sipp",
    ["-sf", scenario("answer"), "-i", address, "-p", String(port), "-mi", address, "-nostdin", "-buff_size", "4194304"],
    { stdio: "ignore", env: { ...process.env, TERM: "dumb" } },
  );
  await until("the phones listen", () => listens(address, port));
  return child;
}
