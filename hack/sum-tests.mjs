// Prints "N passed, N failed" over the JSON results of the named test projects. A file that could not run, a project
// without results and a run that failed beside its tests each count as one failure; no test at all is a failure too.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, ...projects] = process.argv.slice(2);
let passed = 0;
let failed = 0;

for (const project of projects) {
  const file = join(folder, `${project}.json`);
  const before = failed;
  if (existsSync(file)) {
    for (const { status, assertionResults } of JSON.parse(readFileSync(file, "utf8")).testResults) {
      const bad = assertionResults.filter((test) => test.status !== "passed").length;
      passed += assertionResults.length - bad;
      failed += bad === 0 && status === "failed" ? 1 : bad;
    }
  } else {
    console.log(`${project}: no results`);
    failed += 1;
  }
  if (failed === before && existsSync(join(folder, `${project}.failed`))) {
    console.log(`${project}: the run failed outside its tests`);
    failed += 1;
  }
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
