import { defineConfig } from "vitest/config";

/**
 * Tests of real parts start programs and wait for conditions: they get time, and the data plane runs one file at a time.
 * Datagrams are lost and overtake each other on a busy machine: a test is tried up to three times. What needed more than
 * one try is marked in the report.
 */
const real = { testTimeout: 60_000, hookTimeout: 180_000, fileParallelism: false, retry: 2 } as const;

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/golden/**/*.test.ts"], testTimeout: 180_000 } },
      { test: { name: "dataplane", include: ["test/dataplane/**/*.test.ts"], ...real } },
      { test: { name: "integration", include: ["test/integration/**/*.test.ts"], ...real } },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: "test/e2e/support/install.ts",
          testTimeout: 300_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          retry: 1,
        },
      },
    ],
  },
});
