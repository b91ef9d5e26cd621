/**
 * Generates what derives from src/api and hack/manifests: crds/, docs/reference/{api,conditions,errors}.md, and the generated
 * parts of config/ and charts/.
 *   node hack/generate.ts            writes them
 *   node hack/generate.ts --check    writes nothing; names each file that drifted, exit code 1
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { kinds } from "../src/api/index.ts";
import { manifestFile, manifestText } from "./crd/manifest.ts";
import { errorsReference } from "./crd/errorReference.ts";
import { apiReference, conditionsReference } from "./crd/reference.ts";
import { manifestFiles } from "./manifests/index.ts";

const { values } = parseArgs({ options: { check: { type: "boolean", default: false }, root: { type: "string" } } });
const source = path.join(import.meta.dirname, "..");
const root = values.root ?? source;

const files: Record<string, string> = {
  ...Object.fromEntries(kinds.map((kind) => [manifestFile(kind), manifestText(kind)])),
  "docs/reference/api.md": apiReference(),
  "docs/reference/conditions.md": conditionsReference(),
  "docs/reference/errors.md": errorsReference(),
  ...manifestFiles(source),
};

function current(file: string): string | undefined {
  try {
    return readFileSync(path.join(root, file), "utf8");
  } catch {
    return undefined;
  }
}

for (const [file, text] of Object.entries(files)) {
  const found = current(file);
  if (found === text) continue;
  if (values.check) {
    console.error(
      `${file}: ${found === undefined ? "is missing" : "differs from its source"}; run \`make crds\` and commit it`,
    );
    process.exitCode = 1;
  } else {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
    console.error(`wrote ${file}`);
  }
}
