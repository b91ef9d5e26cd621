/** Cases of the golden tests: resources in, everything that the pure stages make of them out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dump, load } from "js-yaml";
import type { RawObject } from "../../src/api/index.ts";
import { deepFreeze } from "../../src/ir/freeze.ts";
import { describeIssue, snapshotOf, sortIssues, type Snapshot } from "../../src/model/index.ts";
import { runPipeline, type Outcome } from "../../src/pipeline.ts";
import { describeError, parseResources } from "../../src/standalone/resources.ts";

export interface GoldenCase {
  readonly objects: readonly RawObject[];
  /** what a reader of the file is told about it */
  readonly errors: readonly string[];
  readonly names: Snapshot["names"];
  /** kamailio.cfg and the drain script are written down too: they are the same in most cases */
  readonly structure: boolean;
}

const IMAGE = "registry.test/kamailio:6";

/**
 * `in.yaml`; beside it, where the case needs it, `context.yaml`: `names` (DNS name -> addresses, or an error), `status`
 * ("Kind namespace/name" -> what its status holds from before) and `structure` (see {@link GoldenCase}).
 */
export function readCase(folder: string): GoldenCase {
  const parsed = parseResources(readFileSync(join(folder, "in.yaml"), "utf8"), "in.yaml");
  const context = readContext(folder);
  return {
    objects: parsed.objects.map((object, index) => stored(object, index, context.status ?? {})),
    errors: parsed.errors.map((error) => describeError(error)),
    names: new Map(
      Object.entries(context.names ?? {}).map(([name, found]) => [
        name,
        typeof found === "string" ? { error: found } : { addresses: found },
      ]),
    ),
    structure: context.structure ?? false,
  };
}

interface Context {
  readonly names?: Readonly<Record<string, readonly string[] | string>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly structure?: boolean;
}

function readContext(folder: string): Context {
  try {
    return (load(readFileSync(join(folder, "context.yaml"), "utf8")) ?? {}) as Context;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
}

/** As an API server hands it out. */
function stored(object: RawObject, index: number, status: Readonly<Record<string, unknown>>): RawObject {
  const { kind, metadata } = object;
  const kept = status[`${kind} ${metadata.namespace}/${metadata.name}`];
  const uid = `00000000-0000-4000-8000-${String(index + 1).padStart(12, "0")}`;
  return { ...object, metadata: { ...metadata, uid, generation: 1 }, ...(kept === undefined ? {} : { status: kept }) };
}

/** Every input is frozen to its depth: a stage that changes its input throws. */
export const runCase = (objects: readonly RawObject[], names: Snapshot["names"]): Outcome =>
  runPipeline(deepFreeze(snapshotOf(objects, names)), { image: IMAGE });

const yaml = (value: unknown): string => dump(value, { lineWidth: -1, noRefs: true, sortKeys: true });

/** file name -> content; the files of several routers are in a folder each */
export function goldenFiles(
  outcome: Outcome,
  { errors, structure }: Pick<GoldenCase, "errors" | "structure">,
): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [key, { plan, rendered }] of outcome.routers) {
    const folder = outcome.routers.size > 1 ? `${key.replace("/", "_")}/` : "";
    if (plan !== undefined) files.set(`${folder}plan.yaml`, yaml(plan));
    if (rendered === undefined) continue;
    const { data, structure: texts, structureHash } = rendered.files;
    const objects = rendered.objects.map((object) => `---\n${yaml(withoutText(object))}`).join("");
    files.set(`${folder}objects.yaml`, structure ? objects : objects.replaceAll(structureHash, "STRUCTURE-HASH"));
    for (const [name, text] of Object.entries({ ...data, ...(structure ? texts : {}) }))
      files.set(`${folder}files/${name}`, text);
  }
  files.set("issues.txt", issuesText(outcome, errors));
  return files;
}

/** The text of a ConfigMap is beside it, in files/. */
const withoutText = (object: RawObject): RawObject =>
  object.kind === "ConfigMap"
    ? {
        ...object,
        data: Object.fromEntries(Object.keys(object["data"] ?? {}).map((name) => [name, `(files/${name})`])),
      }
    : object;

function issuesText(outcome: Outcome, errors: readonly string[]): string {
  const issues = sortIssues([
    ...[...outcome.routers.values()].flatMap((router) => router.issues),
    ...[...outcome.backends.values()].flat(),
  ]);
  const lines = issues.map(
    (issue) => `${issue.reason}${issue.transient ? " (transient)" : ""} ${describeIssue(issue)}`,
  );
  const served = [...outcome.routers].map(
    ([key, router]) => `${key}: ${router.rendered === undefined ? "what served before goes on" : "served"}`,
  );
  return [...errors, ...lines, ...served, ""].join("\n");
}
