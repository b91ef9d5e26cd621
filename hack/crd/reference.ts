/** The reference pages: every field of both kinds, and every condition with its reasons. */
import { API_VERSION, conditionMeanings, type Kind, kinds, type Reason, reasons } from "../../src/api/index.ts";
import { rootSchema } from "./manifest.ts";
import { remedies } from "../../src/cli/views/problems.ts";
import type { StructuralSchema } from "./schema.ts";

const GENERATED = "<!-- Generated from src/api by hack/generate.ts: change it there. -->";

interface Row {
  readonly path: string;
  readonly schema: StructuralSchema;
  readonly required: boolean;
}

function* rowsOf(schema: StructuralSchema, path: string, required: boolean): Generator<Row> {
  if (path !== "") yield { path, schema, required };
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    yield* rowsOf(child, path === "" ? name : `${path}.${name}`, schema.required?.includes(name) ?? false);
  const { items } = schema;
  if (items?.properties) for (const row of rowsOf(items, `${path}[]`, false)) if (row.path !== `${path}[]`) yield row;
}

function typeOf(schema: StructuralSchema): string {
  if (schema.anyOf) return "integer or string";
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "any"}`;
  if (schema.additionalProperties) return `map of ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "any";
}

/** A pattern is shown when a reader can read it. */
const READABLE = 60;

function allowedOf(schema: StructuralSchema): string {
  if (schema.type === "array") {
    const items = schema.items && !schema.items.properties ? allowedOf(schema.items) : "";
    const { minItems, maxItems } = schema;
    const count =
      maxItems === undefined ? "" : minItems ? `${minItems} to ${maxItems} items` : `at most ${maxItems} items`;
    return [count, items && `each ${items}`].filter(Boolean).join("; ");
  }
  const { minimum, maximum, maxLength, pattern } = schema;
  const parts = [
    schema.enum?.map((value) => `\`${String(value)}\``).join(", "),
    minimum !== undefined && maximum !== undefined ? `${minimum} to ${maximum}` : undefined,
    maxLength === undefined ? undefined : `at most ${maxLength} characters`,
    pattern === undefined || pattern.length > READABLE ? undefined : `\`${pattern}\``,
  ];
  return parts.filter((part) => part !== undefined).join("; ");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function fieldTable(schema: StructuralSchema, path: string): string {
  const lines = [...rowsOf(schema, path, true)]
    .filter((row) => row.path !== path)
    .map(({ path: field, schema: found, required }) => {
      const standard =
        found.default === undefined ? (required ? "**required**" : "") : `\`${JSON.stringify(found.default)}\``;
      const columns = [`\`${field}\``, typeOf(found), standard, allowedOf(found), found.description ?? ""];
      return `| ${columns.map(cell).join(" | ")} |`;
    });
  return ["| Field | Type | Default | Allowed | Meaning |", "|---|---|---|---|---|", ...lines].join("\n");
}

/** Rules of a schema and below, each with the field it stands at. */
function* rulesOf(schema: StructuralSchema, path: string): Generator<string> {
  for (const { message } of schema["x-kubernetes-validations"] ?? [])
    yield `| \`${path || "(object)"}\` | ${cell(message)} |`;
  if (schema["x-kubernetes-list-type"] === "map") {
    const keys = (schema["x-kubernetes-list-map-keys"] as string[]).join(", ");
    yield `| \`${path}\` | each ${keys} occurs once |`;
  }
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    if (path !== "" || name !== "status") yield* rulesOf(child, path === "" ? name : `${path}.${name}`);
  if (schema.items) yield* rulesOf(schema.items, `${path}[]`);
}

function kindSection(kind: Kind): string {
  const root = rootSchema(kind);
  const { spec, status } = root.properties ?? {};
  return [
    `## ${kind.kind}`,
    "",
    `${kind.description} Namespaced; \`kubectl get ${kind.shortName}\`, \`kubectl get ${kind.plural}\`, and with the other kinds \`kubectl get sip\`.`,
    "",
    `### ${kind.kind} spec`,
    "",
    fieldTable(spec ?? {}, "spec"),
    "",
    `### ${kind.kind} rules`,
    "",
    "| At | Rule |",
    "|---|---|",
    ...rulesOf(root, ""),
    "",
    `### ${kind.kind} status`,
    "",
    fieldTable(status ?? {}, "status"),
  ].join("\n");
}

export const apiReference = (): string =>
  [
    GENERATED,
    "",
    "# API reference",
    "",
    `\`apiVersion: ${API_VERSION}\`. The API server checks types, limits and rules when an object is written; standalone and`,
    "`render` check the same. `[]` stands for each item of a list. An unknown field is an error. What the API server cannot",
    "check (a range that descends, two routes that claim the same number, what other objects hold) becomes the condition",
    "`Accepted=False` or `ResolvedRefs=False`; what served before goes on serving.",
    "",
    kinds.map(kindSection).join("\n\n"),
    "",
  ].join("\n");

export const conditionsReference = (): string =>
  [
    GENERATED,
    "",
    "# Conditions",
    "",
    'All conditions of a kind (those that say "Only" where it is so) are set on the first visit, always with a reason. `lastTransitionTime` changes only when the status does.',
    ...Object.entries(conditionMeanings).flatMap(([kind, meanings]) => [
      "",
      `## ${kind} conditions`,
      "",
      "| Type | True means |",
      "|---|---|",
      ...Object.entries(meanings).map(([type, meaning]) => `| \`${type}\` | ${cell(meaning)} |`),
    ]),
    "",
    "## Reasons",
    "",
    "The table is closed: no other reason occurs, neither in a condition nor in an Event.",
    "",
    "The last column is what [`kubectl sip status`](../cli.md) says too; most messages name the object, the path and the remedy.",
    "",
    "| Reason | Meaning | What to do |",
    "|---|---|---|",
    ...Object.entries(reasons).map(
      ([reason, meaning]) => `| \`${reason}\` | ${cell(meaning)} | ${cell(remedies[reason as Reason] ?? "")} |`,
    ),
    "",
  ].join("\n");
