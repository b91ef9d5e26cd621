/** The real stages. */
import { buildPlan } from "../ir/index.ts";
import { parseDispatcherAnswer } from "../kamailio/parse.ts";
import { readPod } from "../kamailio/readPod.ts";
import { namesToResolve, resolveBackend, resolveRouter } from "../model/index.ts";
import { parseDataFiles, renderRouter } from "../render/index.ts";
import { generateControlSecret } from "./secret.ts";
import type { Pipeline } from "./types.ts";

export const defaultPipeline: Pipeline = {
  resolveRouter,
  resolveBackend,
  namesToResolve,
  buildPlan,
  renderRouter,
  parseDataFiles,
  readPod,
  readDestinations: async (control, address) => parseDispatcherAnswer(await control.call(address, "dispatcher.list")),
  generateControlSecret,
};
