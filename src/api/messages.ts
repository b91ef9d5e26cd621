/** What a zod issue says to a reader: what is allowed, what was found, and the remedy. */
import { z } from "zod";
import { quote } from "./quote.ts";

export interface Described {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** One zod issue as one or more described ones (an object may have several unknown fields). Paths are below the schema. */
export function describeSchemaIssue(schema: z.ZodType, issue: z.core.$ZodIssue, input: unknown): readonly Described[] {
  if (issue.code === "unrecognized_keys") {
    const known = fieldsAt(schema, issue.path);
    return issue.keys.map((key) => ({ path: [...issue.path, key.slice(0, 60)], message: unknownField(key, known) }));
  }
  return [{ path: issue.path, message: describe(issue, valueAt(input, issue.path)) }];
}

function describe(issue: z.core.$ZodIssue, value: unknown): string {
  switch (issue.code) {
    case "custom":
      return issue.message;
    case "invalid_type":
      return value === undefined
        ? `is required: add it (${expectedNames[issue.expected] ?? issue.expected}).`
        : `must be ${expectedNames[issue.expected] ?? issue.expected}, but is ${quote(value)}: correct it.`;
    case "invalid_value":
      return value === undefined
        ? `is required: use one of ${issue.values.join(", ")}.`
        : `is ${quote(value)}: use one of ${issue.values.join(", ")}${nearest(typeof value === "string" ? value : "", issue.values.map(String), "; did you mean ")}.`;
    case "too_small":
    case "too_big":
      return `is ${shown(value)}: ${limit(issue)}.`;
    case "invalid_format":
      return `is ${quote(value)}: ${issue.message}.`;
    case "invalid_key":
      return `the name of this entry is not allowed: ${issue.issues[0]?.message ?? issue.message}.`;
    case "invalid_union":
      return `is ${quote(value)}: ${issue.message}.`;
    default:
      return `is not allowed: ${issue.message}`;
  }
}

const expectedNames: Readonly<Record<string, string>> = {
  string: "text (in YAML, a number needs quotes to be text)",
  int: "a whole number",
  number: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object with fields",
  record: "an object with fields",
};

function limit(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const [word, bound] = issue.code === "too_small" ? ["at least", issue.minimum] : ["at most", issue.maximum];
  const unit = issue.origin === "string" ? " characters" : issue.origin === "array" ? " items" : "";
  return issue.code === "too_small" && issue.origin === "string" && Number(bound) === 1
    ? "it must not be empty"
    : `use ${word} ${bound}${unit}`;
}

const shown = (value: unknown): string => {
  if (Array.isArray(value)) return `a list of ${value.length} items`;
  if (typeof value === "string" && value.length > 60) return `${quote(value)} (${value.length} characters)`;
  return quote(value);
};

function unknownField(key: string, known: readonly string[]): string {
  const suggestion = nearest(key, known, "did you mean ");
  const remedy =
    suggestion === "" ? (known.length === 0 ? "remove it" : `the fields here are ${known.join(", ")}`) : suggestion;
  return `there is no such field: ${remedy}${suggestion === "" ? "." : "?"}`;
}

/** The known word that differs least, when it is near enough to be a slip. */
function nearest(word: string, known: readonly string[], lead: string): string {
  if (word.length > 60) return "";
  const lower = word.toLowerCase();
  const [best] = known
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3))
    ? `${lead}${best.candidate}`
    : "";
}

/** Levenshtein distance; two neighbours that changed places are one slip ("prot"). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, charA] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, charB] of [...b].entries()) {
      const swapped = j > 0 && charA === b[j - 1] && a[i - 1] === charB ? (before[j - 1] ?? 0) + 1 : Infinity;
      const replaced = (row[j] ?? 0) + (charA === charB ? 0 : 1);
      next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, replaced, swapped));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}

const valueAt = (root: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, segment) =>
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[segment] : undefined,
    root,
  );

/** Names of the fields of the object schema at a path. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at: unknown = bare(schema);
  for (const segment of path) {
    if (at instanceof z.ZodArray) at = bare(at.element as z.ZodType);
    else if (at instanceof z.ZodObject) at = bare((at.shape as Record<string, z.ZodType>)[String(segment)]);
    else return [];
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape as object) : [];
}

/** Without optional and default wrappers. */
function bare(schema: z.ZodType | undefined): unknown {
  let at: unknown = schema;
  while (at instanceof z.ZodOptional || at instanceof z.ZodDefault || at instanceof z.ZodPrefault) at = at.unwrap();
  return at;
}
