/**
 * Called numbers as the spec writes them. An extension claims numbers of exactly one length; a prefix claims numbers of
 * any length that begin so.
 */

/** All numbers of `length` digits from `from` to `to`, both included; or one number that may hold `*`, `#` and `+`. */
export type Claim =
  | { readonly kind: "exact"; readonly digits: string }
  | { readonly kind: "range"; readonly from: string; readonly to: string }
  | { readonly kind: "prefix"; readonly digits: string };

/** A claim, or what is wrong with the text and the remedy. "1000-1000" is the one number 1000. */
export function parseExtension(text: string): Claim | string {
  const range = /^([0-9]{1,20})-([0-9]{1,20})$/.exec(text);
  if (range === null) return { kind: "exact", digits: text };
  const [, from = "", to = ""] = range;
  if (from.length !== to.length)
    return `the range ${text} goes from ${from.length} to ${to.length} digits: write one range for each length of number`;
  if (from > to) return `the range ${text} ends before it begins: write ${to}-${from}`;
  return from === to ? { kind: "exact", digits: from } : { kind: "range", from, to };
}

/** as the reader wrote it */
export const describeClaim = (claim: Claim): string => {
  if (claim.kind === "range") return `range ${claim.from}-${claim.to}`;
  return claim.kind === "exact" ? `extension ${claim.digits}` : `prefix ${claim.digits}`;
};
