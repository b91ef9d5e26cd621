/** README of a chart: its head, and a table of all values from values.yaml and values.schema.json. */
import { load } from "js-yaml";
import { GENERATED } from "./rbac.ts";

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Row {
  readonly key: string;
  readonly value: unknown;
  readonly about: string;
}

/** A schema of an object without fields of its own is one value. Throws when schema and defaults do not name the same. */
export function valueRows(schema: Schema, values: unknown, at: readonly string[] = []): Row[] {
  const key = at.join(".");
  if (schema.properties === undefined || at.length > 2 || Array.isArray(values))
    return [{ key, value: values, about: schema.description ?? "" }];
  const given = (values ?? {}) as Record<string, unknown>;
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(schema.properties ?? {}, name));
  if (unknown.length > 0) throw new Error(`values.yaml: ${[...at, unknown[0]].join(".")} is not in values.schema.json`);
  return Object.entries(schema.properties).flatMap(([name, child]) =>
    Object.hasOwn(given, name) ? valueRows(child, given[name], [...at, name]) : [],
  );
}

const SHOWN = 60;
const cell = (value: unknown): string => {
  const text = JSON.stringify(value).replaceAll("|", "\\|");
  return text.length > SHOWN ? "see values.yaml" : `\`${text}\``;
};

export function chartReadme(
  folder: string,
  read: (file: string) => string,
  schemaText: string,
): Record<string, string> {
  const schema = JSON.parse(schemaText) as Schema;
  const rows = valueRows(schema, load(read(`${folder}/values.yaml`)));
  const table = rows.map(
    ({ key, value, about }) => `| \`${key}\` | ${cell(value)} | ${about.replaceAll("|", "\\|")} |`,
  );
  const text = [
    `<!-- ${GENERATED} -->`,
    "",
    read(`${folder}/README.head.md`).trim(),
    "",
    "## Values",
    "",
    "| Value | Default | Meaning |",
    "|---|---|---|",
    ...table,
    "",
  ].join("\n");
  return { [`${folder}/README.md`]: text };
}
