/** What a controller runs unless it is given something else: the real stages, and the reader of a real pod. */
import { buildPlan } from "../ir/index.ts";
import { readDestinations } from "../kamailio/ask.ts";
import { proveCertificate } from "../kamailio/proveCertificate.ts";
import { readPod } from "../kamailio/readPod.ts";
import { namesToResolve, resolveBackend, resolveRouter } from "../model/index.ts";
import { parseDataFiles, renderRouter } from "../render/index.ts";
import { generateControlSecret } from "./controlSecret.ts";
import type { Pipeline } from "./types.ts";

export const defaultPipeline: Pipeline = {
  resolveRouter,
  resolveBackend,
  namesToResolve,
  buildPlan,
  renderRouter,
  parseDataFiles,
  readPod: (control, address, desired) => readPod(control, address, desired, proveCertificate),
  readDestinations: (control, address) =>
    readDestinations((method, ...params) => control.call(address, method, params)),
  generateControlSecret,
};
