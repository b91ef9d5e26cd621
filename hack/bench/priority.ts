/** Real-time priority for the processes of a measurement, so that what else the machine does is not measured with them. */
import { execFileSync } from "node:child_process";
import { familyOf } from "./processCpu.ts";

const chrt = (options: readonly string[], pids: readonly number[]): boolean => {
  try {
    for (const pid of pids) execFileSync("chrt", ["-a", ...options, String(pid)], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/**
 * Runs `measure` with `roots`, their descendants and this process in front of all other processes, where that is allowed
 * (root, or CAP_SYS_NICE).
 * @returns what it measured, and whether it was allowed
 */
export const inRealTime = async <Result>(
  roots: readonly number[],
  measure: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly realTime: boolean }> => {
  const pids = [...new Set([...roots.flatMap(familyOf), process.pid])];
  const realTime = chrt(["-r", "-p", "10"], pids);
  try {
    return { result: await measure(), realTime };
  } finally {
    chrt(["-o", "-p", "0"], pids);
  }
};
