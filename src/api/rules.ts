/**
 * Cross-field rules, written once: each is data with two halves. The generator writes `cel` into the CRD
 * (`x-kubernetes-validations`, evaluated by the API server); `check` is run by the parser (standalone, render, and the
 * operator itself). A test drives both halves with the same rows.
 */
import { z } from "zod";
import type { Reason } from "./conditions.ts";
import { nameText } from "./quote.ts";

/** Where below the value a rule is broken, and a message of its own where it can say more than the rule's. */
export interface Violation {
  readonly path: readonly (string | number)[];
  readonly message?: string;
}

export interface Rule<Value> {
  /** Stable and unique in the API: tests and the reference page use it. */
  readonly name: string;
  /** Common Expression Language over `self`; absent when the list type in the CRD already says it, or its cost does not fit. */
  readonly cel?: string;
  /** What is wrong and the remedy, one or two sentences, static: the API server shows exactly this. */
  readonly message: string;
  /** Reason of the condition `Accepted` (default `Invalid`). */
  readonly reason?: Reason;
  /** Field below the value that the API server names, e.g. `.port`. */
  readonly fieldPath?: string;
  /** Every place where the rule is broken; empty when it holds. Never throws: the fields themselves may be wrong. */
  readonly check: (value: Value) => readonly Violation[];
}

/** What a zod issue of a rule carries beside path and message. */
export interface RuleParams {
  readonly rule: string;
  readonly reason: Reason;
}

const refine =
  <Value>(rules: readonly Rule<Value>[]) =>
  (value: Value, context: z.core.$RefinementCtx<Value>): void => {
    for (const rule of rules) {
      const params: RuleParams = { rule: rule.name, reason: rule.reason ?? "Invalid" };
      for (const violation of rule.check(value))
        context.addIssue({
          code: "custom",
          path: [...violation.path],
          message: violation.message ?? rule.message,
          params,
          input: value,
        });
    }
  };

/** The schema with its rules; their CEL half travels as metadata that the generator copies into the CRD. */
export function withRules<Schema extends z.ZodType>(
  schema: Schema,
  rules: readonly Rule<z.output<NoInfer<Schema>>>[],
): Schema {
  const validations = rules.flatMap(({ cel, message, fieldPath }) =>
    cel === undefined ? [] : [{ rule: cel, message, ...(fieldPath === undefined ? {} : { fieldPath }) }],
  );
  return schema.superRefine(refine(rules)).meta({
    ...(validations.length > 0 ? { "x-kubernetes-validations": validations } : {}),
    rules: rules.map(({ name, message }) => ({ name, message })),
  });
}

interface ListOptions<Item extends z.ZodType> {
  readonly max: number;
  readonly min?: number;
  readonly rule: string;
  readonly reason?: Reason;
  readonly rules?: readonly Rule<readonly z.output<Item>[]>[];
}

/**
 * A list whose items are known by one of their fields: `x-kubernetes-list-type: map` in the CRD, so that the API server
 * refuses a value twice, and server-side apply merges items instead of replacing the list.
 */
export function mapList<Key extends string, Item extends z.ZodType<{ readonly [Name in Key]: string }>>(
  item: Item,
  key: Key,
  options: ListOptions<Item>,
  remedy = "remove one of the two",
): z.ZodArray<Item> {
  const unique: Rule<readonly z.output<Item>[]> = {
    name: options.rule,
    message: `the ${key} is used twice in this list: ${remedy}.`,
    ...(options.reason === undefined ? {} : { reason: options.reason }),
    check: (items) =>
      repeated(items.map((one) => one[key])).map(({ at, first, value }) => ({
        path: [at, key],
        message: `the ${key} ${nameText(value)} is also that of item ${first} of this list: ${remedy}.`,
      })),
  };
  const list = z
    .array(item)
    .min(options.min ?? 0)
    .max(options.max)
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] });
  return withRules(list, [unique, ...(options.rules ?? [])]);
}

/** Known by `name`. */
export const namedList = <Item extends z.ZodType<{ readonly name: string }>>(
  item: Item,
  options: ListOptions<Item>,
): z.ZodArray<Item> => mapList(item, "name", options, "rename one of the two");

/** Values that occurred before, in order; undefined is no value. */
export function repeated<Value extends string | number>(
  values: readonly (Value | undefined)[],
): readonly { readonly at: number; readonly first: number; readonly value: Value }[] {
  const first = new Map<Value, number>();
  return values.flatMap((value, at) => {
    if (value === undefined) return [];
    const before = first.get(value);
    if (before === undefined) first.set(value, at);
    return before === undefined ? [] : [{ at, first: before, value }];
  });
}
