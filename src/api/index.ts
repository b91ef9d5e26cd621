/**
 * api: zod schemas, the single source of the CRDs (`crds/`, generated), of the TypeScript types and of the API
 * reference. Nothing here reads or writes anything.
 */
export * from "./conditions.ts";
export * from "./fields.ts";
export * from "./pbx-backend.ts";
export * from "./sip-router.ts";
export * from "./objects.ts";
