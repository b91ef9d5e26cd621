/** Tables for terminals and pipes. Pure. */
import { cut, cutStart, widthOf } from "./width.ts";

export type Tone = "good" | "bad" | "warn" | "dim";
export type Cell = string | { readonly text: string; readonly tone: Tone };

export interface Column {
  readonly header: string;
  /** may be cut (with "…") when the terminal is too narrow; the rest never is */
  readonly shrink?: boolean;
  /** what is cut is the beginning: the end tells one from another */
  readonly keepEnd?: boolean;
  readonly right?: boolean;
  /** only with -o wide */
  readonly wide?: boolean;
}

export interface Style {
  /** columns of the terminal; undefined: no limit (a pipe, a file) */
  readonly width?: number | undefined;
  readonly colour: boolean;
  readonly wide: boolean;
}

const codes: Readonly<Record<Tone, string>> = { good: "32", bad: "31", warn: "33", dim: "2" };
const GAP = "   ";
/** where the usual one does not fit */
const NARROW_GAP = "  ";
const SHORTEST = 8;

export const textOf = (cell: Cell): string => (typeof cell === "string" ? cell : cell.text);
export const paint = (text: string, tone: Tone | undefined, style: Style): string =>
  style.colour && tone !== undefined && text !== "" ? `\u001B[${codes[tone]}m${text}\u001B[0m` : text;

/**
 * What came over the network or out of an object must not move the cursor of a terminal, nor show something else than it is: characters
 * that are not seen, or turn the direction of what follows, are shown as U+FFFD.
 */
export const plain = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]+/g, " ")
    .replaceAll(/(?![\uFE00-\uFE0F])[\p{Cf}\p{DI}]/gu, "\uFFFD");

/** Lines without trailing spaces. A row has a cell for every column, those that are not shown included. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly Cell[])[], style: Style): string[] {
  const shown = columns.flatMap((column, index) => (column.wide && !style.wide ? [] : [{ column, index }]));
  const cells = rows.map((row) => shown.map(({ index }) => row[index] ?? ""));
  const natural = shown.map(({ column }, at) =>
    Math.max(column.header.length, ...cells.map((row) => widthOf(plain(textOf(row[at] ?? ""))))),
  );
  const total = natural.reduce((sum, width) => sum + width, GAP.length * (natural.length - 1));
  const gap = style.width !== undefined && total > style.width ? NARROW_GAP : GAP;
  const widths = fit(
    natural,
    shown.map(({ column }) => column.shrink === true),
    style.width,
    gap.length,
  );
  const line = (row: readonly Cell[]): string =>
    row
      .map((cell, at) => {
        const shorten = shown[at]?.column.keepEnd ? cutStart : cut;
        const text = shorten(plain(textOf(cell)), widths[at] ?? 0);
        const pad = " ".repeat(Math.max(0, (widths[at] ?? 0) - widthOf(text)));
        const painted = paint(text, typeof cell === "string" ? undefined : cell.tone, style);
        return shown[at]?.column.right ? pad + painted : painted + pad;
      })
      .join(gap)
      .trimEnd();
  return [line(shown.map(({ column }) => column.header)), ...cells.map((row) => line(row))];
}

/** Takes from the widest column that may shrink until the line fits, or nothing can shrink. */
function fit(
  natural: readonly number[],
  shrink: readonly boolean[],
  limit: number | undefined,
  gap: number,
): readonly number[] {
  const widths = [...natural];
  if (limit === undefined) return widths;
  let over = widths.reduce((sum, width) => sum + width, gap * (widths.length - 1)) - limit;
  while (over > 0) {
    let widest = -1;
    for (const [at, width] of widths.entries())
      if (shrink[at] && width > SHORTEST && (widest === -1 || width > (widths[widest] ?? 0))) widest = at;
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    over -= 1;
  }
  return widths;
}

/** Words to lines of at most `width`, each after `indent`; without a limit one line. */
export function wrap(text: string, indent: string, width: number | undefined): string[] {
  if (width === undefined) return [indent + plain(text)];
  const room = Math.max(20, width - indent.length);
  const lines: string[] = [];
  let line = "";
  for (const word of plain(text)
    .split(" ")
    .filter((one) => one !== "")) {
    if (line !== "" && widthOf(line) + 1 + widthOf(word) > room) {
      lines.push(indent + line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, indent + line];
}
