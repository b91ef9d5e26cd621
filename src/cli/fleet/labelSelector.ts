/** `-l`, as kubectl takes it: `a=b,c!=d,e,!f,g in (x,y),h notin (z)`. Pure. */
import { OperatorError } from "../../errors.ts";

type Labels = Readonly<Record<string, string>>;
type Match = (labels: Labels) => boolean;

const key = "[A-Za-z0-9][-A-Za-z0-9_./]*";
const value = "[-A-Za-z0-9_.]*";

function parseTerm(term: string): Match | undefined {
  const exists = new RegExp(`^(!?)(${key})$`).exec(term);
  if (exists) return (labels) => Object.hasOwn(labels, exists[2] ?? "") === (exists[1] === "");
  const equal = new RegExp(`^(${key})\\s*(=|==|!=)\\s*(${value})$`).exec(term);
  if (equal) return (labels) => (labels[equal[1] ?? ""] === equal[3]) === (equal[2] !== "!=");
  const among = new RegExp(`^(${key})\\s+(in|notin)\\s*\\((${value}(?:\\s*,\\s*${value})*)\\)$`).exec(term);
  if (!among) return undefined;
  const values = (among[3] ?? "").split(",").map((one) => one.trim());
  return (labels) => values.includes(labels[among[1] ?? ""] ?? "\0") === (among[2] === "in");
}

export const notUnderstood = (text: string): OperatorError =>
  new OperatorError("SIPR_USAGE", `The label selector ${JSON.stringify(text)} is not understood.`, {
    remedy: "Write it as for kubectl, for example -l region=us-east,tier!=test",
  });

/** Throws OperatorError SIPR_USAGE. */
export function parseSelector(text: string): Match {
  const terms = text.split(/,(?![^(]*\))/).map((term) => term.trim());
  const matches = terms.map((term) => {
    const match = parseTerm(term);
    if (match === undefined) throw notUnderstood(text);
    return match;
  });
  return (labels) => matches.every((match) => match(labels));
}
