import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { render } from "../../../src/commands/render.ts";

const samples = join(import.meta.dirname, "../../../config/samples");
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "render-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: readonly string[];
}
async function run(file: readonly string[], options: { output?: string; stdin?: string } = {}): Promise<Run> {
  const out: string[] = [];
  const err: string[] = [];
  const io = {
    stdout: (line: string) => void out.push(line),
    stderr: (line: string) => void err.push(line),
    stdin: async () => options.stdin ?? "",
    env: {},
    cwd: folder,
    signal: new AbortController().signal,
  };
  const code = await render({ file, output: options.output ?? "yaml" }, io);
  return { code, out: out.join("\n"), err };
}
const names = (objects: readonly unknown[]): readonly string[] =>
  (objects as RawObject[]).map(({ kind, metadata }) =>
    `${kind} ${metadata.namespace}/${metadata.name}`.replace(/-[0-9a-f]{6,}$/, "-HASH"),
  );
const edge = [
  "ServiceAccount default/edge",
  "ConfigMap default/edge-kamailio-HASH",
  "ConfigMap default/edge-dispatcher",
  "Deployment default/edge",
  "Service default/edge",
  "PodDisruptionBudget default/edge",
];

const good = `
apiVersion: siprouter.dev/v1alpha1
kind: PbxBackend
metadata: {name: pbx}
spec: {address: 192.0.2.1}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: edge}
spec: {dispatcherSets: [{name: s, backends: [{name: pbx}]}], external: {set: s}}
`;
const bad = `
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: other, namespace: voice}
spec: {dispatcherSets: [{name: s, backends: [{name: pbx}]}], external: {set: lines}}
---
apiVersion: siprouter.dev/v1alpha1
kind: SipRouter
metadata: {name: third, namespace: voice}
spec: {dispatcherSets: [{name: s, backends: [{name: nobody}]}]}
`;

describe("render", () => {
  test("prints the objects of the samples folder, its kustomization aside, as YAML documents", async () => {
    const result = await run([samples]);
    expect(result.err).toEqual([]);
    expect(result.code).toBe(0);
    expect(names(loadAll(result.out))).toEqual(edge);
  });

  test("prints a List as JSON", async () => {
    const result = await run([samples], { output: "json" });
    const list = JSON.parse(result.out) as { kind: string; items: RawObject[] };
    expect(list.kind).toBe("List");
    expect(names(list.items)).toEqual(edge);
  });

  test("reads standard input and several files together", async () => {
    const [backend = "", router = ""] = good.split("---");
    writeFileSync(join(folder, "backend.yaml"), backend);
    const result = await run(["backend.yaml", "-"], { stdin: router });
    expect(result).toMatchObject({ code: 0, err: [] });
    expect(names(loadAll(result.out))).toEqual(edge);
  });

  test("names object, path and remedy of what is wrong, prints what is right, and fails", async () => {
    writeFileSync(join(folder, "all.yaml"), `${good}---${bad}`);
    const result = await run(["all.yaml"]);
    expect(result.code).toBe(1);
    expect(names(loadAll(result.out))).toEqual(edge);
    expect(result.err).toContain(
      "SipRouter voice/other spec.external.set: there is no dispatcher set lines: add it to spec.dispatcherSets, or correct the name.",
    );
    expect(result.err).toContain(
      "SipRouter voice/third spec.dispatcherSets[0].backends[0].name: PbxBackend voice/nobody does not exist: create it, or correct the name.",
    );
  });

  test("names file and line of YAML that does not parse, and goes on with the rest", async () => {
    mkdirSync(join(folder, "in"));
    writeFileSync(join(folder, "in/broken.yaml"), `${good}---\nkind: PbxBackend\n  metadata: {name: x}\n`);
    const result = await run(["in"]);
    expect(result.code).toBe(1);
    expect(names(loadAll(result.out))).toEqual(edge);
    expect(result.err).toHaveLength(1);
    expect(result.err[0]).toMatch(/^in\/broken\.yaml:13: not valid YAML/);
  });

  test("an address that DNS does not know is an issue of the backend and of the router", async () => {
    const result = await run(["-"], { stdin: good.replace("192.0.2.1", "pbx.invalid") });
    expect(result.code).toBe(1);
    expect(result.err.join("\n")).toMatch(
      /PbxBackend default\/pbx spec\.address: the name "pbx\.invalid" does not resolve/,
    );
  });

  test("a file that does not exist and an unknown format are errors of usage", async () => {
    await expect(run(["nowhere.yaml"])).rejects.toMatchObject({
      code: "SIPR_USAGE",
      message: "nowhere.yaml does not exist.",
    });
    await expect(run([samples], { output: "xml" })).rejects.toMatchObject({ code: "SIPR_USAGE" });
  });

  test("nothing to render is said, not passed over", async () => {
    const result = await run(["-"], { stdin: good.split("---")[0] ?? "" });
    expect(result).toMatchObject({ code: 1, out: "", err: ["no SipRouter in -: nothing to render."] });
  });
});
