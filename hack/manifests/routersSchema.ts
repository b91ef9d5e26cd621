/** values.schema.json of the chart sip-router: the schemas of both kinds, strict, so that Helm refuses what the API server would. */
import { kinds, type Kind } from "../../src/api/index.ts";
import { type StructuralSchema, structuralSchema } from "../crd/schema.ts";

type Json = Record<string, unknown>;

/** OpenAPI of a definition -> JSON Schema draft 7: no field that is not known. Rules that span fields stay with the API server. */
export function strict(schema: StructuralSchema): Json {
  const { properties, items, additionalProperties, anyOf, nullable, ...rest } = schema as StructuralSchema & Json;
  const own = Object.entries(rest).filter(([key]) => !key.startsWith("x-kubernetes-") && key !== "default");
  const out: Json = Object.fromEntries(own);
  if (schema["x-kubernetes-int-or-string"] === true) out["type"] = ["integer", "string"];
  if (nullable === true) out["type"] = [rest.type, "null"];
  if (anyOf !== undefined) out["anyOf"] = anyOf.map(strict);
  if (items !== undefined) out["items"] = strict(items);
  if (additionalProperties !== undefined) out["additionalProperties"] = strict(additionalProperties);
  if (properties !== undefined) {
    out["properties"] = Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, strict(child)]));
    if (schema["x-kubernetes-preserve-unknown-fields"] !== true) out["additionalProperties"] = false;
  }
  return out;
}

const texts = (description: string): Json => ({
  type: "object",
  description,
  additionalProperties: { type: "string" },
});

const named = (kind: Kind, description: string): Json => ({
  type: "array",
  description,
  items: {
    type: "object",
    additionalProperties: false,
    required: ["name", "spec"],
    properties: {
      name: { type: "string", description: "metadata.name", maxLength: 63, pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" },
      labels: texts("Its labels."),
      annotations: texts("Its annotations."),
      spec: strict(structuralSchema(kind.spec)),
    },
  },
});

export function routersSchema(): string {
  const [router, backend] = kinds as readonly [Kind, Kind];
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Values of the chart sip-router",
    type: "object",
    additionalProperties: false,
    properties: {
      global: { type: "object", description: "Values shared with parent charts; nothing here reads them." },
      enabled: {
        type: "boolean",
        description: "Nothing here reads it: a parent chart may have it as the condition of this one.",
      },
      commonLabels: texts("Labels on every object."),
      commonAnnotations: texts("Annotations on every object."),
      routers: named(router, "SipRouters: name, labels, annotations, spec. A list of your own replaces the samples."),
      backends: named(
        backend,
        "PbxBackends: name, labels, annotations, spec. A list of your own replaces the samples.",
      ),
      networkPolicy: {
        type: "object",
        description: "Closes the control port of the Kamailio pods of these routers.",
        additionalProperties: false,
        properties: {
          enabled: { type: "boolean", description: "Make it." },
          operatorNamespace: { type: "string", description: "Where the operator runs." },
          operatorLabels: texts("Labels of the operator's pods."),
          metricsFrom: {
            type: "array",
            description: "Who may scrape Kamailio's own metrics: peers as in a NetworkPolicy's `from`.",
            items: { type: "object" },
          },
        },
      },
    },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
