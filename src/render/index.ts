/**
 * render: a plan becomes the text of Kamailio's files and Kubernetes objects. Pure; equal plans give equal bytes.
 */
import type { RouterPlan } from "../ir/types.ts";
import { renderFiles } from "./files.ts";
import { renderObjects } from "./objects.ts";
import type { RenderedRouter } from "./types.ts";

export * from "./layout.ts";
export * from "./types.ts";
export { DEFAULT_IMAGE } from "./image.ts";
export { parseDataFiles, renderFiles } from "./files.ts";
export { renderObjects } from "./objects.ts";
export { COMPONENT, controlName, dataName, podSelector, structureName } from "./objects-names.ts";
export { renderProcess, type KamailioProcess, type ProcessEnv } from "./process.ts";

/** @throws OperatorError SIPR_RENDER_REFUSED when a string of the plan cannot be written safely */
export function renderRouter(plan: RouterPlan): RenderedRouter {
  const files = renderFiles(plan);
  return { files, objects: renderObjects(plan, files) };
}
