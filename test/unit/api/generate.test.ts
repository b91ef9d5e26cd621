/** What is generated from the schemas is checked in, and a file that drifted is named. */
import { execFile } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { kinds } from "../../../src/api/index.ts";
import { rootSchema } from "../../../hack/crd/manifest.ts";
import type { StructuralSchema } from "../../../hack/crd/schema.ts";

const checkout = path.join(import.meta.dirname, "../../..");
const generate = async (...args: string[]): Promise<{ code: number; stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [path.join(checkout, "hack/generate.ts"), ...args], (error, _, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stderr }),
    );
  });

test("what is checked in is current", async () => {
  expect(await generate("--check")).toEqual({ code: 0, stderr: "" });
});

test("a file that drifted is named, and written again", async () => {
  const root = mkdtempSync(path.join(tmpdir(), "generate-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const folder of ["crds", "docs/reference", "config", "charts"])
    cpSync(path.join(checkout, folder), path.join(root, folder), { recursive: true });
  const file = "crds/siprouter.dev_siprouters.yaml";
  appendFileSync(path.join(root, file), "# edited\n");
  rmSync(path.join(root, "docs/reference/api.md"));
  const drifted = await generate("--check", "--root", root);
  expect(drifted.code).toBe(1);
  expect(drifted.stderr).toContain(`${file}: differs`);
  expect(drifted.stderr).toContain("docs/reference/api.md: is missing");
  expect(drifted.stderr).not.toContain("pbxbackends");
  await generate("--root", root);
  expect((await generate("--check", "--root", root)).code).toBe(0);
});

test("every field says what it means", () => {
  const silent = (schema: StructuralSchema, at: string): string[] => [
    ...(schema.description || at.endsWith("[]") || at === "" || at === ".metadata" ? [] : [at]),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) => silent(child, `${at}.${name}`)),
    ...(schema.items ? silent(schema.items, `${at}[]`) : []),
  ];
  for (const kind of kinds) expect(silent(rootSchema(kind), "")).toEqual([]);
});
