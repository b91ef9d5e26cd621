/**
 * Called numbers as the spec writes them. An extension claims numbers of exactly one length; a prefix claims numbers of
 * any length that begin so.
 */

/** All numbers of `length` digits from `from` to `to`, both included; or one number that may hold `*`, `#` and `+`. */
export type Claim =
  | { readonly kind: "exact"; readonly digits: string }
  | { readonly kind: "range"; readonly from: string; readonly to: string }
  | { readonly kind: "prefix"; readonly digits: string };

/** Of an extension that the schema has let through. "1000-1000" is the one number 1000. */
export function parseExtension(text: string): Claim {
  const [from = "", to = from] = text.split("-");
  return from === to ? { kind: "exact", digits: from } : { kind: "range", from, to };
}

/** as the reader wrote it */
export const describeClaim = (claim: Claim): string => {
  if (claim.kind === "range") return `range ${claim.from}-${claim.to}`;
  return claim.kind === "exact" ? `extension ${claim.digits}` : `prefix ${claim.digits}`;
};
