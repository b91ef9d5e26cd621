/**
 * ir: a resolved router becomes a {@link RouterPlan}, the intermediate representation: what Kamailio must be (structure)
 * and what it must know (data). No Kubernetes and no Kamailio syntax. Pure; the same input in any order gives the same plan,
 * sorted, hashed, deep-frozen.
 */
export * from "./types.ts";
export { buildPlan } from "./build.ts";
export { canonicalJson, hashOf } from "./hash.ts";
export { lookupRoute } from "./lookup.ts";
export * from "./setId.ts";
