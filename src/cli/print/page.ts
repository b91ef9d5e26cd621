/** One page of a list: which part of it is shown. Pure. */

/** Lines below the page; none when it is the whole list. */
export function pageLines(offset: number, shown: number, total: number): string[] {
  if (shown === total) return [];
  if (shown === 0) return [`none from ${offset + 1} on: there are ${total}`];
  const next = offset + shown;
  return [`${offset + 1} to ${next} of ${total}${next < total ? `; more: --offset ${next}, or --limit N` : ""}`];
}
