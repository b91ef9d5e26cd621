import { expect, test } from "vitest";
import type { Result } from "../../../hack/bench/change/measure.ts";
import { besideSidecar } from "../../../hack/bench/change/ratio.ts";

const result = (
  what: string,
  destinations: number,
  times: readonly [number, number, number],
  changes = 200,
): Result => ({
  ...{ what, destinations, changes, dead: 1, forgotten: 0, lostOfTen: 0 },
  ...{ p50: times[0], p95: times[1], p99: times[2], max: 999 },
});

test("the operator is beside the sidecar of as many destinations that was timed", () => {
  const results = [
    result("operator, PbxBackend", 3, [24, 40, 60]),
    result("sidecar, reload_delta 0", 3, [8, 20, 30]),
    result("sidecar, default reload_delta", 3, [Number.NaN, Number.NaN, Number.NaN], 0),
    result("operator, EndpointSlice", 200, [20, 40, 50]),
    result("sidecar, reload_delta 0", 200, [16, 40, 60]),
  ];
  expect(besideSidecar(results).map(({ timesSidecar }) => timesSidecar)).toEqual([
    { p50: 3, p95: 2, p99: 2 },
    undefined,
    undefined,
    { p50: 1.25, p95: 1, p99: 0.83 },
    undefined,
  ]);
});

test("alone it has no ratio", () => {
  const alone = [result("operator, PbxBackend", 3, [24, 40, 60])];
  expect(besideSidecar(alone)).toEqual(alone);
});
