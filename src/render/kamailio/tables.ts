/**
 * The db_text tables. Each has a generation row, the hash of all its other rows, whose key no call can look up: reading
 * it back over RPC proves which content a Kamailio runs.
 *
 * Kamailio's db_text takes a file anew only when its modification time, in whole seconds, is later than that of the
 * content it has (dbt_file.c, dbt_check_mtime; measured on 5.6.3 and 6.1.5: a second version within the same second is
 * answered "Ok" and ignored, also by later reloads). Whoever puts the files of a pod in place has to give each version
 * a later whole second; whoever reloads has to read the generation back.
 */
import type { DataPlan, DispatcherSetPlan, RouteEntry } from "../../ir/types.ts";
import { hashOf, kamailioSetId } from "../../ir/index.ts";
import type { Algorithm } from "../../api/index.ts";
import type { DataTable } from "../types.ts";
import { dbTextField, integer, refuse } from "./quote.ts";

/** Characters of a called number that can be looked up. The first of a key is a digit of the tenant. */
export const MTREE_CHARS = "0123456789*#+";

export interface TableShape {
  readonly name: string;
  readonly kind: DataTable["kind"];
  readonly file: string;
  readonly columns: string;
  /** what the generation row is looked up by: `mtree.match <name> <key> 0`, `htable.get <name> <key>` */
  readonly generationKey: string;
}

/** `ext`: called numbers, see {@link routeRow}. `domains`: domain -> tenant as four digits. */
export const tableShapes = {
  ext: { name: "ext", kind: "mtree", file: "ext", columns: "tprefix(string) tvalue(string)", generationKey: "*" },
  domains: {
    name: "domains",
    kind: "htable",
    file: "domains",
    columns: "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)",
    generationKey: "#generation",
  },
} as const satisfies Record<string, TableShape>;

export interface RenderedTable {
  /** the file itself, where it belongs into the Secret; `text` is its generation then */
  readonly secret?: { readonly file: string; readonly text: string };
  readonly table: DataTable;
  readonly text: string;
}

export function renderTables(data: DataPlan): readonly RenderedTable[] {
  const sets = new Map(data.sets.map((set) => [set.name, set]));
  return [
    renderTable(
      tableShapes.ext,
      data.routes.map((route) => routeRow(route, sets)),
    ),
    renderTable(
      tableShapes.domains,
      data.domains.map(({ domain, tenant }) => domainRow(domain, integer(`domain ${domain}: tenant`, tenant, 1, 9999))),
    ),
  ];
}

/** @param salt goes into the generation: with it, the content cannot be guessed from the generation */
export function renderTable(
  shape: TableShape,
  rows: readonly (readonly [key: string, fields: readonly string[]])[],
  salt?: string,
): RenderedTable {
  const keys = new Set(rows.map(([key]) => key));
  if (keys.size !== rows.length) refuse(`table ${shape.name}`, "two rows with one key", "one row for each key");
  const lines = rows.map(([, fields]) => rowOf(shape, fields)).toSorted();
  const generation = hashOf(salt === undefined ? lines : [salt, lines]);
  const mark =
    shape.kind === "mtree" ? [shape.generationKey, generation] : htableFields(shape.generationKey, generation);
  return {
    table: { name: shape.name, kind: shape.kind, file: shape.file, generation },
    text: [`${shape.columns}\n`, rowOf(shape, mark), ...lines].join(""),
  };
}

const rowOf = (shape: TableShape, fields: readonly string[]): string =>
  `${fields.map((field) => dbTextField(`table ${shape.name}`, field)).join(":")}\n`;

export const htableFields = (key: string, value: string): readonly string[] => [key, "0", "0", value, "0"];

function domainRow(domain: string, tenant: string): readonly [string, readonly string[]] {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(domain))
    refuse("routes[].match.domains", domain, "a lower case domain");
  return [domain, htableFields(domain, tenant.padStart(4, "0"))];
}

/**
 * Key: four digits of the tenant, two digits of the length of the number (00: any), leading digits of the number.
 * Value: `<E|R><T|A>|<strip>|<prefix>|<rule>|<set>/<route>`: E the key holds the whole number, R it leaves digits open,
 * which must be decimal unless the length is any; T for trusted callers only, A for anyone; the rule is the first
 * parameter of `ds_select_routes`.
 */
function routeRow(
  route: RouteEntry,
  sets: ReadonlyMap<string, DispatcherSetPlan>,
): readonly [string, readonly string[]] {
  const what = `route ${route.route}`;
  const { digits, length } = route.pattern;
  if (!/^[0-9*#+]{0,20}$/.test(digits)) refuse(`${what}: number`, digits, "at most 20 of 0-9 * # +");
  if (!/^\+?[0-9*#]{0,19}$/.test(route.prefix)) refuse(`${what}: rewrite.prefix`, route.prefix, "digits, * and #");
  for (const name of [route.route, route.set])
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
      refuse(what, name, "lower case letters, digits and hyphens");
  const set = sets.get(route.set);
  if (set === undefined) return refuse(`${what}: set`, route.set, "the name of a dispatcher set");
  if (length !== undefined && digits.length > length) refuse(`${what}: number`, digits, "a number of its length");
  const key = [
    integer(`${what}: tenant`, route.tenant, 0, 9999).padStart(4, "0"),
    integer(`${what}: length`, length ?? 0, 0, 32).padStart(2, "0"),
    digits,
  ].join("");
  const kind = length === digits.length ? "E" : "R";
  const value = [
    `${kind}${route.callers === "Anyone" ? "A" : "T"}`,
    integer(`${what}: rewrite.strip`, route.strip, 0, 20),
    route.prefix,
    ruleOf(set),
    `${route.set}/${route.route}`,
  ].join("|");
  return [key, [key, value]];
}

/** Stands for CallLoad in a rule, see balance.ts. */
export const CALL_LOAD = 10;

/** Kamailio module dispatcher, algorithms of `ds_select_dst`. */
const algorithms: Record<Algorithm, number> = {
  HashCallId: 0,
  HashFrom: 1,
  HashTo: 2,
  RoundRobin: 4,
  Random: 6,
  Priority: 8,
  CallLoad: CALL_LOAD,
  Weighted: 11,
  Latency: 13,
};

/** One dispatcher set for each tier: a tier is tried when the one before has nobody, or as failover. */
const ruleOf = (set: DispatcherSetPlan): string =>
  set.tiers
    .toSorted((a, b) => a - b)
    .map((tier) => `${integer(`set ${set.name}`, kamailioSetId(set.id, tier), 100)}=${algorithms[set.algorithm]}`)
    .join(";");

/** @returns the generation that the file of a table holds, or undefined when it holds none */
export function parseGeneration(shape: TableShape, text: string): string | undefined {
  const [columns, ...rows] = text.split("\n");
  if (columns !== shape.columns) return undefined;
  const start = `${shape.generationKey}:`;
  const fields = rows
    .find((row) => row.startsWith(start))
    ?.slice(start.length)
    .split(":");
  return shape.kind === "mtree" ? fields?.[0] : fields?.[2];
}
