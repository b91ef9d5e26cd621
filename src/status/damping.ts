/**
 * What the pods observe may change every second; a status is written, and Events are made of it, only so often: the first
 * changes at once, then one for each interval, the last state always. What somebody wrote is told at once. Pure.
 */
import type { Condition } from "../api/index.ts";
import { conditionsOf, sameJson } from "./merge.ts";

/** A bucket of writes: `left` of them at `at` (milliseconds since the epoch). */
export interface Damping {
  readonly left: number;
  readonly at: number;
}

/** A PBX that dies and comes back, seen by some pods one after the other, is told without delay. */
const BURST = 20;
const INTERVAL_MS = 10_000;

/** `waitMs` 0: write now. Without a history nothing has been written lately. */
export function takeWrite(damping: Damping | undefined, now: number): { readonly damping: Damping; waitMs: number } {
  const left =
    damping === undefined ? BURST : Math.min(BURST, damping.left + Math.max(0, now - damping.at) / INTERVAL_MS);
  if (left >= 1) return { damping: { left: left - 1, at: now }, waitMs: 0 };
  return { damping: { left, at: now }, waitMs: Math.ceil((1 - left) * INTERVAL_MS) };
}

/** Nothing to remember any more: as if there had been no write. */
export const isCalm = (damping: Damping, now: number): boolean =>
  damping.left + (now - damping.at) / INTERVAL_MS >= BURST;

const observedConditions = new Set(["Available", "Reachable", "Managed", "Drained"]);

/** From one status to the next nothing differs but what pods and PBXes say of themselves. */
export function isObservedOnly(before: unknown, after: unknown): boolean {
  return conditionsOf(before).length > 0 && sameJson(withoutObserved(before), withoutObserved(after));
}

function withoutObserved(status: unknown): unknown {
  const {
    conditions: _all,
    active: _active,
    routers: _routers,
    management: _management,
    sets,
    ...rest
  } = (status ?? {}) as Record<string, unknown>;
  return {
    ...rest,
    conditions: conditionsOf(status).filter(({ type }: Condition) => !observedConditions.has(type)),
    ...(Array.isArray(sets)
      ? { sets: (sets as Record<string, unknown>[]).map(({ active: _seen, ...set }) => set) }
      : {}),
  };
}
