/** Text of an object inside a message: short, printable, and recognisable as somebody else's. */

const LIMIT = 60;

/** At most 60 characters; what is not printable ASCII becomes `?`; a list or an object is only named. */
export function quote(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value !== null && typeof value === "object") return "an object";
  if (typeof value !== "string") return String(value).slice(0, LIMIT);
  const text = JSON.stringify(value.slice(0, LIMIT)).replaceAll(/[^ -~]/gu, "?");
  return value.length <= LIMIT && text.length <= LIMIT + 2 ? text : `${text.slice(0, LIMIT - 3)}..."`;
}

/** A plain name as it is; anything else quoted. */
export const nameText = (value: string): string => (/^[A-Za-z0-9.*#+-]{1,60}$/.test(value) ? value : quote(value));
