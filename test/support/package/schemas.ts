/**
 * JSON schemas for kubeconform, from a running API server's own OpenAPI document: its built-in kinds and the custom ones as it
 * serves them. Strict: a field that a schema does not know is an error.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestApiServer } from "../apiserver.ts";

interface Schema {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly "x-kubernetes-group-version-kind"?: readonly { group: string; version: string; kind: string }[];
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly format?: string;
  readonly type?: string | readonly string[];
}
type Definitions = Readonly<Record<string, Schema>>;
const PREFIX = "#/definitions/";

/** Names of the files, as a template of kubeconform's. */
export const SCHEMA_LOCATION = "{{.Group}}_{{.ResourceKind}}_{{.ResourceAPIVersion}}.json";

function strict(schema: Schema): Schema {
  if (schema.format === "int-or-string" || schema["x-kubernetes-int-or-string"] === true)
    return { type: ["integer", "string"] };
  const { properties, items, additionalProperties, ...rest } = schema;
  const closed = properties !== undefined && schema["x-kubernetes-preserve-unknown-fields"] !== true;
  return {
    ...rest,
    ...(properties === undefined ? {} : { properties: mapValues(properties, strict) }),
    ...(items === undefined ? {} : { items: strict(items) }),
    ...(typeof additionalProperties === "object" ? { additionalProperties: strict(additionalProperties) } : {}),
    ...(closed && additionalProperties === undefined ? { additionalProperties: false } : {}),
  };
}
const mapValues = (
  record: Readonly<Record<string, Schema>>,
  change: (value: Schema) => Schema,
): Record<string, Schema> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));

/** The definitions that a schema needs, itself included. */
function reachable(name: string, definitions: Definitions, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(name)) return found;
  found.add(name);
  for (const [, ref = ""] of JSON.stringify(definitions[name]).matchAll(/"#\/definitions\/([^"]+)"/g))
    reachable(ref, definitions, found);
  return found;
}

export async function writeSchemas(server: TestApiServer, folder: string): Promise<void> {
  const { definitions } = JSON.parse((await server.kubectl(["get", "--raw", "/openapi/v2"])).stdout) as {
    definitions: Definitions;
  };
  const all = mapValues(definitions, strict);
  mkdirSync(folder, { recursive: true });
  for (const [name, definition] of Object.entries(definitions)) {
    const [only, ...more] = definition["x-kubernetes-group-version-kind"] ?? [];
    // what belongs to many groups (DeleteOptions) is no resource
    if (only === undefined || more.length > 0) continue;
    const needed = Object.fromEntries([...reachable(name, definitions)].map((one) => [one, all[one]]));
    // kubeconform takes the version for the group where there is none
    const file = `${only.group || only.version}_${only.kind.toLowerCase()}_${only.version}.json`;
    writeFileSync(path.join(folder, file), JSON.stringify({ $ref: PREFIX + name, definitions: needed }));
  }
}
