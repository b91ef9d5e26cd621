/**
 * api: zod schemas, the single source of the CRDs (`crds/`, generated), of the TypeScript types and of the API
 * reference; and the parsers from objects of unknown content to typed ones. Nothing here reads or writes anything.
 */
export * from "./compare.ts";
export * from "./conditions.ts";
export * from "./fields.ts";
export * from "./dialplan.ts";
export * from "./pbxBackend.ts";
export * from "./sipRouter.ts";
export * from "./objects.ts";
export * from "./ports.ts";
export * from "./kinds.ts";
export * from "./parse.ts";
export * from "./secretData.ts";
