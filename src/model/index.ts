/**
 * model: raw objects, read together as one snapshot ({@link Snapshot}), become a resolved router or a list of issues.
 * Pure: no I/O, no clock, inputs are never mutated. What is wrong is an {@link Issue}, never an exception.
 */
export * from "./types.ts";
export { snapshotOf } from "./snapshot.ts";
export { resolveRouter } from "./resolve.ts";
export { resolveBackend, type BackendResolution } from "./backend.ts";
export { namesToResolve } from "./endpoints.ts";
export { describeIssue, sortIssues } from "./issue.ts";
export { parseExtension, type Claim } from "./numbers.ts";
export { claimsOf, EXTERNAL, MAX_TENANTS, scopesOf, type RouteClaim, type Scope } from "./routes.ts";
export { KAMAILIO_CONTAINER, VOLUME_PREFIX } from "./podTemplate.ts";
