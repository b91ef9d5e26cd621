// Prints "N passed, N failed" over the JSON results of the named test projects. A file that could not run, a project
// without results and a run that failed beside its tests each count as one failure; no test at all is a failure too.
// A file that was run again counts as it ended then (PROJECT.again.json), and is named.
// What failed is named right above the sum, with the first lines of the reason.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const [folder, ...projects] = process.argv.slice(2);
let passed = 0;
let failed = 0;

for (const project of projects) {
  const file = join(folder, `${project}.json`);
  const before = failed;
  if (existsSync(file)) {
    for (const { name, status, message, assertionResults } of ended(project)) {
      const bad = assertionResults.filter((test) => test.status !== "passed");
      passed += assertionResults.length - bad.length;
      for (const test of bad) tell(name, `${test.fullName} (${test.status})`, (test.failureMessages ?? []).join("\n"));
      if (bad.length === 0 && status === "failed") tell(name, "the file could not run", message ?? "");
      failed += bad.length === 0 && status === "failed" ? 1 : bad.length;
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

function ended(project) {
  const read = (file) => JSON.parse(readFileSync(join(folder, file), "utf8")).testResults;
  const again = existsSync(join(folder, `${project}.again.json`)) ? read(`${project}.again.json`) : [];
  for (const { name } of again) console.log(`RUN AGAIN ${relative(process.cwd(), name ?? "")}`);
  return read(`${project}.json`).map((one) => again.find(({ name }) => name === one.name) ?? one);
}

function tell(file, what, reason) {
  const lines = reason
    .split("\n")
    .slice(0, 12)
    .map((line) => `    ${line.slice(0, 300)}`);
  console.log([`FAILED ${relative(process.cwd(), file ?? "")}: ${what}`, ...lines].join("\n"));
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
