/** What the operator takes beside the sidecar that reloads at once, measured in the same run with as many destinations. */
import type { Result, Summary } from "./measure.ts";

/** times the sidecar's */
export type Ratio = Omit<Summary, "max">;

const PLACES = 100;
const over = (one: number, other: number): number => Math.round((one / other) * PLACES) / PLACES;

/** The results, each of the operator with its ratio; without one where no sidecar was timed. */
export const besideSidecar = (results: readonly Result[]): readonly Result[] =>
  results.map((result) => {
    if (!result.what.startsWith("operator")) return result;
    const sidecar = results.find(
      ({ what, changes, destinations }) =>
        what.startsWith("sidecar") && changes > 0 && destinations === result.destinations,
    );
    if (sidecar === undefined) return result;
    const [p50, p95, p99] = (["p50", "p95", "p99"] as const).map((part) => over(result[part], sidecar[part]));
    return { ...result, timesSidecar: { p50, p95, p99 } as Ratio };
  });
