/**
 * Counts the instructions that a Kamailio spends in user space, process by process, with valgrind's callgrind: the same
 * number in a quiet minute and beside a compiler, so that one per cent can be told.
 */
import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import type { KamailioProgram } from "../../test/support/sip/programs.ts";
import { familyOf } from "./processCpu.ts";

const run = promisify(execFile);

export interface Counts {
  /** in processes that received a SIP message */
  readonly receivers: number;
  /** in all others: timers, the TCP manager */
  readonly others: number;
  readonly functions: readonly FunctionCounts[];
}

export interface FunctionCounts {
  readonly name: string;
  readonly calls: number;
  /** without what it calls */
  readonly self: number;
  /** with what it calls; a function that calls itself in a circle counts more than once */
  readonly inclusive: number;
}

export interface Counter {
  /** starts as `program` does, under callgrind */
  readonly program: KamailioProgram;
  /** begins to count (what ran before is translated, not counted) */
  begin(pid: number): Promise<void>;
  zero(pid: number): Promise<void>;
  /** since `zero` */
  read(pid: number): Promise<Counts>;
  remove(): void;
}

/** @throws Error when valgrind is not installed */
export const callgrind = async (program: KamailioProgram): Promise<Counter> => {
  await run("valgrind", ["--version"]).catch(() => {
    throw new Error("valgrind is not installed: apt-get install valgrind");
  });
  const folder = mkdtempSync(join(tmpdir(), "callgrind-"));
  const control = (option: readonly string[], pid: number) =>
    run("callgrind_control", [...option, ...familyOf(pid).map(String)]);
  writeFileSync(join(folder, "kamailio"), wrapper(join(folder, "out"), join(program.folder, "kamailio")));
  chmodSync(join(folder, "kamailio"), 0o755);
  if (existsSync(join(program.folder, "kamcmd"))) symlinkSync(join(program.folder, "kamcmd"), join(folder, "kamcmd"));
  const dumps = (): readonly string[] => readdirSync(folder).filter((name) => /^out\.[0-9]+\.[0-9]+$/.test(name));
  const forget = (): void => dumps().forEach((name) => rmSync(join(folder, name)));
  return {
    program: { name: program.name, folder },
    async begin(pid) {
      await forked(pid);
      await control(["-i", "on"], pid);
    },
    async zero(pid) {
      await control(["-z"], pid);
    },
    async read(pid) {
      forget();
      await control(["-d"], pid);
      const counts = sum(dumps().map((name) => parseDump(readFileSync(join(folder, name), "utf8"))));
      forget();
      return counts;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
};

/** A socket is there before the processes that read from it. */
const forked = async (pid: number): Promise<void> => {
  for (let [size, quiet] = [0, 0]; quiet < 8; quiet += 1) {
    await wait(250);
    if (familyOf(pid).length !== size) [size, quiet] = [familyOf(pid).length, 0];
  }
};

const wrapper = (out: string, program: string): string =>
  `#!/bin/sh\nexec valgrind -q --tool=callgrind --trace-children=yes --instr-atstart=no --callgrind-out-file='${out}.%p' '${program}' "$@"\n`;

interface Totals {
  calls: number;
  self: number;
  inclusive: number;
}
type Dump = ReadonlyMap<string, Totals>;

/** The file format of callgrind with one position and one event, names compressed ("Callgrind Format Specification"). */
const parseDump = (text: string): Dump => {
  const names = new Map<string, string>();
  const functions = new Map<string, Totals>();
  const named = (value: string): Totals => {
    const [, id = "", written] = /^\(([0-9]+)\)(?: (.*))?$/.exec(value) ?? [];
    // a library's function that has no name is one of many
    if (written !== undefined) names.set(id, written.startsWith("0x") ? "(static)" : written.replace(/'[0-9]+$/, ""));
    const name = names.get(id) ?? id;
    const found = functions.get(name) ?? { calls: 0, self: 0, inclusive: 0 };
    functions.set(name, found);
    return found;
  };
  let current = named("(0) outside");
  let called: Totals | undefined;
  for (const line of text.split("\n"))
    if (line.startsWith("fn=")) current = named(line.slice(3));
    else if (line.startsWith("cfn=")) called = named(line.slice(4));
    else if (line.startsWith("calls=") && called !== undefined) called.calls += Number(/[0-9]+/.exec(line)?.[0] ?? 0);
    else if (/^[-+*0-9]/.test(line)) {
      const cost = Number(line.split(" ")[1] ?? 0);
      if (called !== current) current.inclusive += cost;
      if (called === undefined) current.self += cost;
      called = undefined;
    }
  return functions;
};

const selfOf = (dump: Dump): number => [...dump.values()].reduce((all, { self }) => all + self, 0);

const sum = (dumps: readonly Dump[]): Counts => {
  const receiving = dumps.filter((dump) => dump.has("receive_msg"));
  const functions = new Map<string, Totals>();
  for (const [name, totals] of receiving.flatMap((dump) => [...dump])) {
    const found = functions.get(name) ?? { calls: 0, self: 0, inclusive: 0 };
    found.calls += totals.calls;
    found.self += totals.self;
    found.inclusive += totals.inclusive;
    functions.set(name, found);
  }
  return {
    receivers: receiving.reduce((all, dump) => all + selfOf(dump), 0),
    others: dumps.filter((dump) => !dump.has("receive_msg")).reduce((all, dump) => all + selfOf(dump), 0),
    functions: Array.from(functions, ([name, totals]) => ({ name, ...totals })),
  };
};
