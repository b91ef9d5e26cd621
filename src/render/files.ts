/** All files of one router: `kamailio.cfg` and the drain script (structure), and the data files (reloadable). Pure. */
import type { RouterPlan } from "../ir/types.ts";
import type { DesiredData, RenderedFiles } from "./types.ts";

/** @throws OperatorError SIPR_RENDER_REFUSED when a string of the plan cannot be written safely */
export const renderFiles = (plan: RouterPlan): RenderedFiles => {
  void plan;
  throw new Error("not implemented");
};

/**
 * The inverse of the data half of {@link renderFiles}: what the files of a data ConfigMap say.
 * @throws OperatorError SIPR_RENDER_REFUSED when a file is missing or does not parse
 */
export const parseDataFiles = (data: Readonly<Record<string, string>>): DesiredData => {
  void data;
  throw new Error("not implemented");
};
