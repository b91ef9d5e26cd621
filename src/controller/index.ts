/**
 * controller: from events to objects, running Kamailios and status, through the interfaces `Cluster` and `Control`: the
 * same on Kubernetes, standalone and in tests.
 */
export { startController, type Controller } from "./controller.ts";
export { defaultPipeline } from "./stages.ts";
export * from "./types.ts";
