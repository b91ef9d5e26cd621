/** A regular expression (POSIX extended) for the decimal numbers greater than a limit. */

/**
 * Without anchors: greedy, so that it takes the whole number. Leading zeros are allowed.
 * @param limit 1 to 99,999
 */
export function greaterThan(limit: number): string {
  const digits = String(limit);
  const longer = `[1-9][0-9]{${digits.length},}`;
  const sameLength = [...digits].flatMap((digit, index) => {
    if (digit === "9") return [];
    const next = Number(digit) + 1;
    const rest = digits.length - index - 1;
    const choice = next === 9 ? "9" : `[${next}-9]`;
    return [`${digits.slice(0, index)}${choice}${rest === 0 ? "" : rest === 1 ? "[0-9]" : `[0-9]{${rest}}`}`];
  });
  return `0*(${[longer, ...sameLength].join("|")})`;
}
