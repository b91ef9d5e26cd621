// Prints "N passed, N failed" over the JSON results of the named test projects. A file that could not run, a project
// without results and a run that failed beside its tests each count as one failure; no test at all is a failure too.
// A file that was run again counts as it ended then (PROJECT.again.json), and is named; so is a test that passed only after a
// retry (PROJECT.retried): it may hide a race. What failed is named right above the sum, with the first lines of the reason.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

const [folder, ...projects] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let repeated = 0;

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
    for (const line of linesOf(`${project}.retried`)) repeat(`RETRIED ${line}`);
  } else {
    console.log(`${project}: ${linesOf(`${project}.not-run`)[0] ?? "no results"}`);
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
  for (const { name } of again) repeat(`RUN AGAIN ${relative(process.cwd(), name ?? "")}`);
  return read(`${project}.json`).map((one) => again.find(({ name }) => name === one.name) ?? one);
}

function linesOf(file) {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
}

function repeat(line) {
  console.log(line);
  repeated += 1;
}

function tell(file, what, reason) {
  const lines = reason
    .split("\n")
    .slice(0, 12)
    .map((line) => `    ${line.slice(0, 300)}`);
  console.log([`FAILED ${relative(process.cwd(), file ?? "")}: ${what}`, ...lines].join("\n"));
}

if (repeated > 0) console.log(`${repeated} not at the first try`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
