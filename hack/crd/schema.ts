/** zod schema -> structural OpenAPI v3 schema, as a CustomResourceDefinition wants it. */
import { z } from "zod";

export interface StructuralSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  required?: string[];
  properties?: Record<string, StructuralSchema>;
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  anyOf?: StructuralSchema[];
  "x-kubernetes-validations"?: { rule: string; message: string; fieldPath?: string }[];
  [extension: `x-kubernetes-${string}`]: unknown;
}

/** What OpenAPI in a CRD knows; anything else that zod puts out must be handled here, never dropped silently. */
const known = new Set([
  "type",
  "description",
  "default",
  "enum",
  "pattern",
  "minimum",
  "maximum",
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "required",
]);

export function structuralSchema(schema: z.ZodType): StructuralSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { target: "openapi-3.0", io: "input" }) as Json;
  return convert(json, "");
}

type Json = Record<string, unknown>;

function convert(json: Json, path: string): StructuralSchema {
  if (Object.keys(json).every((key) => key === "description"))
    return { ...(json as StructuralSchema), "x-kubernetes-preserve-unknown-fields": true };
  if (json["anyOf"] !== undefined) return intOrString(json, path);
  const out: StructuralSchema = {};
  for (const [key, value] of Object.entries(json)) {
    if (key.startsWith("x-kubernetes-")) out[key as `x-kubernetes-${string}`] = value;
    else if (key === "properties")
      out.properties = mapValues(value as Record<string, Json>, (child, name) => convert(child, `${path}.${name}`));
    else if (key === "items") out.items = convert(value as Json, `${path}[]`);
    else if (key === "additionalProperties") additional(out, value, path);
    else if ((key === "minimum" || key === "maximum") && Math.abs(value as number) === Number.MAX_SAFE_INTEGER)
      continue;
    else if (key === "minItems" && value === 0) continue;
    else if (known.has(key)) (out as Json)[key] = value;
    // names of the rules are for the reference page; the shape of a record's keys is always text
    else if (key !== "rules" && key !== "propertyNames")
      throw new Error(`${path || "schema"}: the generator does not know "${key}"`);
  }
  if (out.default !== undefined) out.default = filled(out, out.default);
  return ordered(out);
}

/** A default with the defaults of its own fields: the API server checks rules against it as it stands. */
function filled(schema: StructuralSchema, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    child.default === undefined ? [] : [[name, child.default] as const],
  );
  return { ...Object.fromEntries(own), ...value };
}

/** `false` (no other field) is how a structural schema behaves anyway: unknown fields are pruned, or refused when strict. */
function additional(out: StructuralSchema, value: unknown, path: string): void {
  if (value === false) return;
  if (typeof value !== "object" || value === null) throw new Error(`${path}: additionalProperties must be a schema`);
  if (Object.keys(value).length === 0) out["x-kubernetes-preserve-unknown-fields"] = true;
  else out.additionalProperties = convert(value as Json, `${path}{}`);
}

/** The one union that a structural schema has: a number or a name. */
function intOrString(json: Json, path: string): StructuralSchema {
  const options = json["anyOf"] as StructuralSchema[];
  const [text, number] = [
    options.find(({ type }) => type === "string"),
    options.find(({ type }) => type === "integer"),
  ];
  if (options.length !== 2 || !text || !number)
    throw new Error(`${path}: only a union of a whole number and text is possible`);
  const { type: _text, ...textLimits } = text;
  const { type: _number, ...numberLimits } = number;
  return ordered({
    ...(json["description"] === undefined ? {} : { description: json["description"] as string }),
    ...textLimits,
    ...numberLimits,
    anyOf: [{ type: "integer" }, { type: "string" }],
    "x-kubernetes-int-or-string": true,
  });
}

const order = ["description", "type", "default", "enum", "required", "properties"];

/** Known keys first, the rest by name: the same schema gives the same bytes, whatever order zod puts out. */
function ordered(schema: StructuralSchema): StructuralSchema {
  const rank = (key: string): string => `${order.includes(key) ? String(order.indexOf(key)) : "9"}${key}`;
  return Object.fromEntries(
    Object.entries(schema).toSorted(([a], [b]) => (rank(a) < rank(b) ? -1 : 1)),
  ) as StructuralSchema;
}

const mapValues = <In, Out>(record: Record<string, In>, map: (value: In, key: string) => Out): Record<string, Out> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
