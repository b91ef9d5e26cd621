import { defineConfig } from "vitest/config";

/** Tests of real parts start programs and wait for conditions: they get time, and the data plane runs one file at a time. */
const real = { testTimeout: 60_000, hookTimeout: 180_000, fileParallelism: false } as const;

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/golden/**/*.test.ts"], testTimeout: 20_000 } },
      { test: { name: "dataplane", include: ["test/dataplane/**/*.test.ts"], ...real } },
      { test: { name: "integration", include: ["test/integration/**/*.test.ts"], ...real } },
    ],
  },
});
