// A reporter of vitest: appends a line to the file RETRIED_TESTS for each test that passed, but not at the first try. Such a
// test may hide a race: the sum names it.
import { appendFileSync } from "node:fs";
import { relative } from "node:path";

export default class RetriedTests {
  onTestCaseResult(test) {
    const retries = test.diagnostic()?.retryCount ?? 0;
    if (retries === 0 || test.result().state !== "passed") return;
    const line = `${relative(process.cwd(), test.module.moduleId)}: ${test.fullName} (try ${retries + 1})\n`;
    appendFileSync(process.env.RETRIED_TESTS, line);
  }
}
