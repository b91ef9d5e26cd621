/** CPU time and memory of a process with all its children, from /proc (Linux). */
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100; // sysconf(_SC_CLK_TCK) on every Linux that Kamailio's packages support

interface Stat {
  pid: number;
  parent: number;
  cpuSeconds: number;
}

const parseStat = (pid: number): Stat | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { pid, parent: Number(fields[1]), cpuSeconds: ticks / TICKS_PER_SECOND };
  } catch {
    return undefined; // ended between readdir and read
  }
};

const family = (root: number): Stat[] => {
  const all = readdirSync("/proc")
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map((entry) => parseStat(Number(entry)))
    .filter((stat) => stat !== undefined);
  const members = new Set([root]);
  for (let grown = true; grown;) {
    grown = false;
    for (const stat of all)
      if (members.has(stat.parent) && !members.has(stat.pid)) {
        members.add(stat.pid);
        grown = true;
      }
  }
  return all.filter((stat) => members.has(stat.pid));
};

/** Process ids of `root` and its living descendants. */
export const familyOf = (root: number): readonly number[] => family(root).map(({ pid }) => pid);

/** User and system seconds used so far by `root` and its living descendants. */
export const cpuSeconds = (root: number): number => family(root).reduce((sum, stat) => sum + stat.cpuSeconds, 0);

/** As `cpuSeconds`, by the scheduler's clock in nanoseconds: for processes that run for less than a tick at a time. */
export const runSeconds = (root: number): number =>
  familyOf(root).reduce((sum, pid) => {
    try {
      const threads = readdirSync(`/proc/${pid}/task`);
      const nanoseconds = threads.map((id) =>
        Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]),
      );
      return sum + nanoseconds.reduce((all, one) => all + one, 0) / 1e9;
    } catch {
      return sum;
    }
  }, 0);

/** Proportional set size in bytes: shared memory is counted once over the family. */
export const memoryBytes = (root: number): number =>
  family(root).reduce((sum, { pid }) => {
    try {
      const pss = /^Pss:\s+([0-9]+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
      return sum + Number(pss?.[1] ?? 0) * 1024;
    } catch {
      return sum;
    }
  }, 0);
