/** Commands of the documentation's shell blocks, and what runs each: checked by check-docs.ts in both directions. */
import type { RunBy } from "./check-docs.ts";

export const documentedCommands: Readonly<Record<string, RunBy>> = {
  "make demo": { by: ".ci/run" },
  "make test": { by: ".ci/run" },
  "make check": { by: ".ci/run" },
};
