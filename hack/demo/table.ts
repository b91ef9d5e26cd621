/** The rows of the demo's result and their table. */
export interface Row {
  readonly sent: string;
  readonly expected: string;
  readonly result: string;
  readonly right: boolean;
  /** milliseconds the router added at the median; "failed" when a call that was timed was not answered */
  readonly addedMs?: number | "failed";
}

const columns = ["what was sent", "expected", "where it went", "router added", ""] as const;

const added = ({ addedMs }: Row): string =>
  addedMs === undefined ? "" : addedMs === "failed" ? "a call failed" : `${addedMs.toFixed(2)} ms`;
const cells = (row: Row): string[] => [row.sent, row.expected, row.result, added(row), row.right ? "ok" : "WRONG"];

export function renderTable(rows: readonly Row[]): string {
  const all = [[...columns], ...rows.map(cells)];
  const widths = columns.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const line = (values: readonly string[]) =>
    values
      .map((value, column) => value.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(all[0] ?? []), rule, ...all.slice(1).map(line)].join("\n");
}
