// Prints the files of a vitest JSON report in which something failed, a line each.
import { readFileSync } from "node:fs";

for (const { name, status } of JSON.parse(readFileSync(process.argv[2], "utf8")).testResults)
  if (status !== "passed") console.log(name);
