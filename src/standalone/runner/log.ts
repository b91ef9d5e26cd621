/**
 * A process's log file: written by the process itself (so it goes on when its starter is gone), kept small by whoever
 * supervises it: what is beyond the limit is copied to `<file>.1` and the file emptied. The process appends (O_APPEND).
 */
import { copyFile, open, stat, truncate } from "node:fs/promises";

export const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

export async function boundLog(file: string, limit = LOG_LIMIT_BYTES): Promise<void> {
  const size = (await stat(file).catch(() => undefined))?.size ?? 0;
  if (size <= limit) return;
  await copyFile(file, `${file}.1`);
  await truncate(file, 0);
}

/** The last lines, at most `count`, from `from` on (bytes; 0 for the whole file). */
export async function readLogTail(file: string, count: number, from = 0): Promise<string[]> {
  const handle = await open(file, "r").catch(() => undefined);
  if (handle === undefined) return [];
  try {
    const { size } = await handle.stat();
    const start = Math.max(size < from ? 0 : from, size - 16_384);
    const { buffer, bytesRead } = await handle.read(
      Buffer.alloc(Math.max(0, size - start)),
      0,
      Math.max(0, size - start),
      start,
    );
    const lines = buffer.subarray(0, bytesRead).toString("utf8").split("\n");
    return lines
      .map((line) => line.trimEnd())
      .filter((line) => line !== "")
      .slice(-count);
  } finally {
    await handle.close();
  }
}

export const logSize = async (file: string): Promise<number> => (await stat(file).catch(() => undefined))?.size ?? 0;
