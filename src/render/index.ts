/**
 * render: a plan becomes the text of Kamailio's files (`kamailio/`) and Kubernetes objects (`objects/`). One quoting function
 * per quoting context. Pure; equal plans give equal bytes.
 */
import { OperatorError } from "../errors.ts";
import type { RouterPlan } from "../ir/types.ts";
import { renderFiles } from "./files.ts";
import { renderObjects } from "./objects/index.ts";
import type { RenderedRouter } from "./types.ts";

export * from "./layout.ts";
export * from "./types.ts";
export { DEFAULT_IMAGE } from "./image.ts";
export { parseDataFiles, renderFiles } from "./files.ts";
export { parseUsers } from "./kamailio/securityTables.ts";
export { renderObjects } from "./objects/index.ts";
export { COMPONENT, controlName, credentialsName, dataName, podSelector, structureName } from "./objects/names.ts";
export { renderProcess, type KamailioProcess, type ProcessEnv } from "./process.ts";

/** of the API server: for all values of a ConfigMap */
const CONFIG_MAP_BYTES = 1024 * 1024;
/** of the API server, too */
const SECRET_BYTES = 1024 * 1024;

/** @throws OperatorError SIPR_RENDER_REFUSED when the plan cannot be written safely, or its data do not fit */
export function renderRouter(plan: RouterPlan): RenderedRouter {
  const files = renderFiles(plan);
  const bytes = Object.values(files.data).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > CONFIG_MAP_BYTES)
    throw new OperatorError(
      "SIPR_RENDER_REFUSED",
      `SipRouter ${plan.namespace}/${plan.name}: its ${plan.data.routes.length} rows of routes make data files of ${bytes} bytes, and a ConfigMap holds ${CONFIG_MAP_BYTES}.`,
      {
        remedy:
          "Use ranges that begin and end at a power of ten (1000-1999 is one row, 1001-1998 is 44), or share the routes among several routers.",
      },
    );
  const secretBytes = Object.values(files.secret).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (secretBytes > SECRET_BYTES)
    throw new OperatorError(
      "SIPR_RENDER_REFUSED",
      `SipRouter ${plan.namespace}/${plan.name}: its users make files of ${secretBytes} bytes, and a Secret holds ${SECRET_BYTES}.`,
      { remedy: "Share the users among several routers." },
    );
  return { files, objects: renderObjects(plan, files) };
}
