/**
 * controller: from events to objects, running Kamailios and status, through the interfaces `Cluster` and `Control`: the
 * same on Kubernetes, standalone and in tests. `controller.ts` wires the queues: a router's objects (`reconcile.ts`), its
 * pods (`reloadFleet.ts`; those that nobody waits for apart), the status of one object (`report.ts`). `mapping.ts` says whom a change concerns, `poll.ts` when
 * a pod is read, `podReading.ts` who is told of what it says, `state.ts` what is remembered of a router.
 */
export { startController, type Controller } from "./controller.ts";
export { defaultPipeline } from "./stages.ts";
export * from "./types.ts";
