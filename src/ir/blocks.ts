/**
 * Tables of number blocks. A block is "all numbers that begin with these digits", of one length or of any; a table maps
 * blocks to values, and the longest block that holds a number decides.
 */

const decimal = /^[0-9]*$/;

/** block -> value */
export type BlockTable<Value> = ReadonlyMap<string, Value>;

/**
 * The fewest decimal blocks that hold exactly the numbers from `from` to `to` (same length, both included), ascending:
 * 1500-2999 is 15, 16, 17, 18, 19, 2. At most 18 per digit.
 */
export function blocksOfRange(from: string, to: string): readonly string[] {
  let same = 0;
  while (same < from.length && from[same] === to[same]) same += 1;
  const head = from.slice(0, same);
  const low = from.slice(same);
  const high = to.slice(same);
  if (/^0*$/.test(low) && /^9*$/.test(high)) return [head];
  const first = Number(low[0]);
  const last = Number(high[0]);
  const rest = low.length - 1;
  const lower = blocksOfRange(low.slice(1), "9".repeat(rest)).map((block) => `${first}${block}`);
  const middle = Array.from({ length: last - first - 1 }, (_, index) => `${first + 1 + index}`);
  const upper = blocksOfRange("0".repeat(rest), high.slice(1)).map((block) => `${last}${block}`);
  return [...lower, ...middle, ...upper].map((block) => head + block);
}

/**
 * The smallest table that decides as the given one does. Ten decimal blocks of one value that fill their parent become
 * the parent (where `length`, the length of the numbers, allows it); a block is dropped when the next longer one that
 * holds it has the same value.
 */
export function compactTable<Value>(
  table: BlockTable<Value>,
  same: (a: Value, b: Value) => boolean,
  length?: number,
): BlockTable<Value> {
  const blocks = new Map(table);
  if (length !== undefined) mergeTens(blocks, same, length);
  const kept = new Map<string, Value>();
  const byLength = [...blocks].toSorted(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  for (const [block, value] of byLength) {
    // Of numbers of one length, a block holds those only that go on in decimal digits.
    const outer = length !== undefined && !decimal.test(block) ? undefined : longestMatch(kept, block);
    if (outer === undefined || !same(outer, value)) kept.set(block, value);
  }
  return kept;
}

function mergeTens<Value>(blocks: Map<string, Value>, same: (a: Value, b: Value) => boolean, length: number): void {
  for (let size = length; size > 0; size -= 1) {
    const parents = new Set(
      [...blocks.keys()].filter((block) => block.length === size).map((block) => block.slice(0, -1)),
    );
    for (const parent of parents) {
      const children = Array.from({ length: 10 }, (_, digit) => `${parent}${digit}`);
      const value = blocks.get(`${parent}0`);
      const full =
        value !== undefined && children.every((child) => blocks.has(child) && same(blocks.get(child) as Value, value));
      if (!full || !decimal.test(parent)) continue;
      for (const child of children) blocks.delete(child);
      blocks.set(parent, value);
    }
  }
}

/** The value of the longest block that `number` begins with. */
export function longestMatch<Value>(table: BlockTable<Value>, number: string): Value | undefined {
  for (let size = number.length; size >= 0; size -= 1) {
    const found = table.get(number.slice(0, size));
    if (found !== undefined) return found;
  }
  return undefined;
}
