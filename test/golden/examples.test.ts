/**
 * What the examples of `config/examples/` become: without an issue, and with the data files that are written down beside this
 * test (`npm run golden:update` writes them anew).
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import type { RawObject } from "../../src/api/index.ts";
import { parseResources } from "../../src/standalone/resources.ts";
import { exampleNames, readExample } from "../support/examples.ts";
import { goldenFiles, runCase } from "../support/golden.ts";

const root = join(import.meta.dirname, "examples");
const update = process.env["UPDATE_GOLDEN"] === "1";

/** What an example leaves to its user: a certificate, that of the golden case of TLS. */
const ownCertificate = (): RawObject[] =>
  parseResources(readFileSync(resolve(root, "../tls/in.yaml"), "utf8"), "in.yaml").objects.filter(
    ({ kind }) => kind === "Secret",
  );

const withUid = (object: RawObject, index: number): RawObject => {
  const uid = `00000000-0000-4000-8000-${String(index + 1).padStart(12, "0")}`;
  return { ...object, metadata: { ...object.metadata, uid, generation: 1 } };
};

test.each(exampleNames)("%s", (name) => {
  const objects = [...readExample(name), ...(name.startsWith("tls") ? ownCertificate() : [])];
  const files = goldenFiles(
    runCase(objects.map((object, index) => withUid(object, index))),
    { errors: [], structure: false },
  );
  expect(files.get("issues.txt")).toMatch(/^(default\/[a-z-]+: served\n)+$/);
  const data = new Map([...files].filter(([file]) => file.includes("files/")));
  const folder = join(root, name);
  if (update) {
    rmSync(folder, { recursive: true, force: true });
    for (const [file, text] of data) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
  }
  const expected = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(Object.fromEntries(data)).toEqual(
    Object.fromEntries(expected.map((path) => [relative(folder, path), readFileSync(path, "utf8")])),
  );
});
