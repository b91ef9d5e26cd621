/**
 * A table that Kamailio loads from a file and reloads by RPC: `ext`, `domains`, those of the features. Each feature's file gives
 * a {@link DataTableFile}, `files.ts` lists them, `src/kamailio/tableKinds.ts` has what a kind of table is reloaded and read by.
 *
 * Each has a generation, the hash of its content, which reading back proves what a Kamailio runs. In a db_text table it is a row
 * whose key no call can look up.
 *
 * Kamailio's db_text takes a file anew only when its modification time, in whole seconds, is later than that of the
 * content it has (dbt_file.c, dbt_check_mtime; measured on 5.6.3 and 6.1.5: a second version within the same second is
 * answered "Ok" and ignored, also by later reloads). Whoever puts the files of a pod in place has to give each version
 * a later whole second; whoever reloads has to read the generation back.
 */
import { hashOf } from "../../ir/index.ts";
import type { RouterPlan } from "../../ir/types.ts";
import type { DataTable } from "../types.ts";
import { dbTextField, refuse } from "./quote.ts";

/** A table and the file in the ConfigMap that shows its generation. */
export interface DataTableFile extends Pick<DataTable, "name" | "kind" | "file"> {
  /**
   * undefined: the router has no such table
   * @throws OperatorError SIPR_RENDER_REFUSED (the message shows no secret)
   */
  render(plan: RouterPlan): RenderedTable | undefined;
  /** the inverse, as far as {@link DataTable} goes: undefined when the text of the file has no generation */
  parse(text: string): Pick<DataTable, "generation" | "port"> | undefined;
}

export interface RenderedTable {
  readonly table: DataTable;
  /** of the file in the ConfigMap */
  readonly text: string;
  /** the table itself, where it belongs into the Secret: `text` is its generation then */
  readonly secret?: { readonly file: string; readonly text: string };
}

/** Of a db_text table: module db_text, first line of a file. */
export interface TableShape {
  readonly name: string;
  readonly kind: "mtree" | "htable";
  readonly columns: string;
  /** what the generation row is looked up by: `mtree.match <name> <key> 0`, `htable.get <name> <key>` */
  readonly generationKey: string;
}
export type TableRow = readonly [key: string, fields: readonly string[]];

export const htableShape = (name: string): TableShape => ({
  name,
  kind: "htable",
  columns: "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)",
  generationKey: "#generation",
});
export const mtreeShape = (name: string): TableShape => ({
  name,
  kind: "mtree",
  columns: "tprefix(string) tvalue(string)",
  generationKey: "*",
});

/** A table whose file is in the ConfigMap under the table's name. `rows` gives undefined when the router has no such table. */
export function openTable(
  shape: TableShape,
  rows: (plan: RouterPlan) => readonly TableRow[] | undefined,
): DataTableFile {
  const { name, kind } = shape;
  return {
    name,
    kind,
    file: name,
    render: (plan) => {
      const content = rows(plan);
      if (content === undefined) return undefined;
      const { generation, text } = renderRows(shape, content);
      return { table: { name, kind, file: name, generation }, text };
    },
    parse: (text) => parseGeneration(shape, text),
  };
}

export interface SecretRows {
  readonly salt: string;
  readonly rows: readonly TableRow[];
}

/** A table whose file is in the Secret; in the ConfigMap is only its generation, made with a salt: it tells nothing of the content. */
export function secretTable(shape: TableShape, content: (plan: RouterPlan) => SecretRows | undefined): DataTableFile {
  const { name, kind } = shape;
  const file = `${name}.generation`;
  return {
    name,
    kind,
    file,
    render: (plan) => {
      const found = content(plan);
      if (found === undefined) return undefined;
      const { generation, text } = renderRows(shape, found.rows, found.salt);
      return { table: { name, kind, file, generation }, text: `${generation}\n`, secret: { file: name, text } };
    },
    parse: (text) => {
      const generation = /^([0-9a-f]{12})\n$/.exec(text)?.[1];
      return generation === undefined ? undefined : { generation };
    },
  };
}

/** @param salt goes into the generation: with it, the content cannot be guessed from the generation */
function renderRows(shape: TableShape, rows: readonly TableRow[], salt?: string): { generation: string; text: string } {
  const keys = new Set(rows.map(([key]) => key));
  if (keys.size !== rows.length) refuse(`table ${shape.name}`, "two rows with one key", "one row for each key");
  const lines = rows.map(([, fields]) => rowOf(shape, fields)).toSorted();
  const generation = hashOf(salt === undefined ? lines : [salt, lines]);
  const mark =
    shape.kind === "mtree" ? [shape.generationKey, generation] : htableFields(shape.generationKey, generation);
  return { generation, text: [`${shape.columns}\n`, rowOf(shape, mark), ...lines].join("") };
}

const rowOf = (shape: TableShape, fields: readonly string[]): string =>
  `${fields.map((field) => dbTextField(`table ${shape.name}`, field)).join(":")}\n`;

export const htableFields = (key: string, value: string): readonly string[] => [key, "0", "0", value, "0"];

function parseGeneration(shape: TableShape, text: string): { generation: string } | undefined {
  const [columns, ...rows] = text.split("\n");
  if (columns !== shape.columns) return undefined;
  const start = `${shape.generationKey}:`;
  const fields = rows
    .find((row) => row.startsWith(start))
    ?.slice(start.length)
    .split(":");
  const generation = shape.kind === "mtree" ? fields?.[0] : fields?.[2];
  return generation === undefined ? undefined : { generation };
}
