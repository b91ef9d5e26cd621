/** What a benchmark prints, and the file it leaves. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** one line of a table: the first column is text */
export const row = (cells: readonly string[]): string =>
  cells.map((cell, index) => (index === 0 ? cell.padEnd(32) : ` ${cell.padStart(14)}`)).join("");

/** Writes .cache/bench/NAME.json. */
export const writeResults = (name: string, results: unknown): void => {
  const folder = join(import.meta.dirname, "../../.cache/bench");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  say(`written: ${file}`);
};
