/** `--watch`: the same again, in place on a terminal, one after the other in a pipe. */
import { setTimeout as delay } from "node:timers/promises";
import type { CliIO } from "./output.ts";

const CLEAR = "\u001B[H\u001B[2J\u001B[3J";

/** One picture of a series; outside of a series it is printed as it is. */
export function frame(series: boolean, io: CliIO, draw: () => void): void {
  if (series && io.columns !== undefined) io.write(CLEAR);
  draw();
}

/** false: the user ended it */
export async function awaitNext(seconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(seconds * 1000, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
