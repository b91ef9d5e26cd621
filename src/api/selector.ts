/** Label selector over PbxBackends (the form of metav1.LabelSelector). */
import { z } from "zod";
import { withRules } from "./rules.ts";

const labelKey = z
  .string()
  .min(1)
  .max(317)
  .regex(
    /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/,
    "use a label's name, such as role or example.com/role",
  );
const labelValue = z
  .string()
  .max(63)
  .regex(
    /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/,
    "use a label's value: letters, digits, dashes, underscores and dots",
  );

export const labelSelector = z
  .strictObject({
    matchLabels: z
      .record(labelKey, labelValue)
      .optional()
      .describe("Labels that a PbxBackend must have, with these values."),
    matchExpressions: z
      .array(
        withRules(
          z.strictObject({
            key: labelKey.describe("Label that the requirement is about."),
            operator: z
              .enum(["In", "NotIn", "Exists", "DoesNotExist"])
              .describe("Relation of the label to the values."),
            values: z.array(labelValue).max(64).optional().describe("Values, with In and NotIn only."),
          }),
          [
            {
              name: "values-fit-operator",
              cel: "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
              message: "In and NotIn need values, Exists and DoesNotExist have none: add or remove values.",
              check: ({ operator, values = [] }) =>
                (operator === "In" || operator === "NotIn") === values.length > 0 ? [] : [{ path: ["values"] }],
            },
          ],
        ),
      )
      .max(16)
      .optional()
      .describe("Requirements, all of which must hold."),
  })
  .meta({ "x-kubernetes-map-type": "atomic" });
