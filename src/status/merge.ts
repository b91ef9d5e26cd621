/** Conditions as they are stored: in a fixed order, with the time of the last flip. */
import type { Condition } from "../api/index.ts";
import type { Verdict } from "./types.ts";

export interface Stored {
  readonly conditions?: readonly Condition[];
}

/**
 * `lastTransitionTime` moves only when `status` flips. A condition type that is not ours, or has no verdict, is left out.
 * @param now ISO 8601, seconds
 */
export function mergeConditions<Type extends string>(
  stored: unknown,
  verdicts: Readonly<Record<Type, Verdict | undefined>>,
  types: readonly Type[],
  observedGeneration: number,
  now: string,
): Condition[] {
  const before = conditionsOf(stored);
  return types.flatMap((type) => {
    const verdict = verdicts[type];
    if (verdict === undefined) return [];
    const { status, reason, message } = verdict;
    const old = before.find((condition) => condition.type === type);
    const lastTransitionTime = old !== undefined && old.status === status ? old.lastTransitionTime : now;
    return [{ type, status, observedGeneration, lastTransitionTime, reason, message: message.slice(0, 4096) }];
  });
}

export function conditionsOf(status: unknown): readonly Condition[] {
  const found = (status as Stored | undefined | null)?.conditions;
  return Array.isArray(found) ? (found as Condition[]) : [];
}

export const conditionOf = (status: unknown, type: string): Condition | undefined =>
  conditionsOf(status).find((condition) => condition.type === type);

/** API times have whole seconds. */
// oxlint-disable-next-line no-restricted-globals -- of the time it is given
export const timeOf = (milliseconds: number): string => new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, "Z");

/** Equal as JSON: the order of fields and absent fields do not count. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every((key) => sameJson(left[key], right[key]));
}
