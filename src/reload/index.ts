/**
 * reload: `decide*` are pure: from what must run and what does run to the next actions, each with its reason;
 * `executeAction` performs one; `syncPod` does as much as can be done now on one pod and reads it back.
 */
export * from "./types.ts";
export { decidePod, type Hints } from "./decide.ts";
export { decideFleet, type FleetDecision, type FleetPod } from "./decideFleet.ts";
export { executeAction } from "./execute.ts";
export { syncPod, type SyncInput, type SyncResult } from "./syncPod.ts";
