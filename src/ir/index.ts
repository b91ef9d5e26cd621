/**
 * ir: a resolved router becomes a {@link RouterPlan}: what Kamailio must be and must know. Pure; the same input in any
 * order gives the same plan, deep-frozen.
 */
export * from "./types.ts";
export { buildPlan } from "./build.ts";
export { canonicalJson, hashOf } from "./hash.ts";
export { lookupRoute } from "./lookup.ts";
export * from "./setId.ts";
