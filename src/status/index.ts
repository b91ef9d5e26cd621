/**
 * status: from what is known of an object to its whole status and the Events about it, by ordered chains of checks
 * (`checks.ts`). Pure: the time is an argument, the same input gives the same bytes, and a condition's time moves only when
 * it flips.
 */
export * from "./types.ts";
export { buildRouterStatus } from "./router.ts";
export { buildBackendStatus, isProbed } from "./backend.ts";
export { isCalm, isObservedOnly, takeWrite, type Damping } from "./damping.ts";
export { announceBackend, announceRouter, type Announcement } from "./events.ts";
export { conditionOf, conditionsOf, mergeConditions, sameJson, timeOf } from "./merge.ts";
