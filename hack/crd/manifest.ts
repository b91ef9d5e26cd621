/** One kind -> its CustomResourceDefinition as YAML. */
import { dump } from "js-yaml";
import { GROUP, type Kind, VERSION } from "../../src/api/index.ts";
import { type StructuralSchema, structuralSchema } from "./schema.ts";

export function rootSchema(kind: Kind): StructuralSchema {
  return {
    description: kind.description,
    type: "object",
    required: ["spec"],
    properties: {
      apiVersion: { type: "string", description: "Version of this schema." },
      kind: { type: "string", description: "Kind of this object." },
      metadata: { type: "object" },
      spec: { ...structuralSchema(kind.spec), description: "What is wanted." },
      status: {
        ...structuralSchema(kind.status),
        description: "What is so; written by the operator.",
        default: { observedGeneration: -1 },
      },
    },
    ...(kind.rules.length === 0
      ? {}
      : { "x-kubernetes-validations": kind.rules.map(({ cel = "true", message }) => ({ rule: cel, message })) }),
  };
}

export function manifest(kind: Kind): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${kind.plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: "Namespaced",
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: [kind.shortName],
        categories: ["sip"],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: {
            status: {},
            ...(kind.scale
              ? {
                  scale: {
                    specReplicasPath: ".spec.replicas",
                    statusReplicasPath: ".status.replicas",
                    labelSelectorPath: ".status.selector",
                  },
                }
              : {}),
          },
          additionalPrinterColumns: kind.columns,
          schema: { openAPIV3Schema: rootSchema(kind) },
        },
      ],
    },
  };
}

export const manifestFile = (kind: Kind): string => `crds/${GROUP}_${kind.plural}.yaml`;

export const manifestText = (kind: Kind): string =>
  `# Generated from src/api by hack/generate.ts: change it there.\n${dump(manifest(kind), { lineWidth: 120, noRefs: true })}`;
