/** `--watch`: the same again, on the terminal's alternate screen, which leaves what was there before; in a pipe one after the other. */
import { setTimeout as delay } from "node:timers/promises";
import type { CliIO } from "./output.ts";

const ENTER = "\u001B[?1049h";
const LEAVE = "\u001B[?1049l";
const CLEAR = "\u001B[H\u001B[2J";

export interface Screen {
  /** Draws one picture of a series: what it prints on either output is part of it. */
  show(draw: (io: CliIO) => void): void;
  /** The last picture stays, where the first one began. */
  close(): void;
}

export function openScreen(io: CliIO): Screen {
  if (io.columns === undefined) return { show: (draw) => draw(io), close: () => undefined };
  let last: ((io: CliIO) => void) | undefined;
  io.write(ENTER);
  return {
    show(draw) {
      last = draw;
      const lines: string[] = [];
      const notes: string[] = [];
      const into = (to: string[]) => (text: string) => void to.push(...text.split("\n"));
      draw({ ...io, stdout: into(lines), stderr: into(notes) });
      io.write(CLEAR + [...fit(lines, (io.rows ?? Number.POSITIVE_INFINITY) - notes.length - 1), ...notes].join("\n"));
    },
    close() {
      io.write(LEAVE);
      last?.(io);
    },
  };
}

/** What is wrong comes first: the end is left out. */
const fit = (lines: readonly string[], room: number): readonly string[] => {
  if (lines.length <= room) return lines;
  const shown = Math.max(1, room - 1);
  return [...lines.slice(0, shown), `… ${lines.length - shown} more lines`];
};

/** false: the user ended it */
export async function awaitNext(seconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(seconds * 1000, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

/** undefined: the user ended it before */
export async function unlessEnded<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  if (signal.aborted) return undefined;
  let end = (): void => undefined;
  const ended = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
    signal.addEventListener("abort", end, { once: true });
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    signal.removeEventListener("abort", end);
    // nobody waits for it any more
    work.catch(() => undefined);
  }
}
