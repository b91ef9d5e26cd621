/** Cases of the golden tests: resources in, everything that the pure stages make of them out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dump, load } from "js-yaml";
import { keyOf, refOf, type RawObject } from "../../src/api/index.ts";
import { createMapper } from "../../src/controller/mapping.ts";
import { deepFreeze } from "../../src/ir/freeze.ts";
import {
  describeIssue,
  resolveBackend,
  snapshotOf,
  sortIssues,
  type Families,
  type Snapshot,
} from "../../src/model/index.ts";
import { runPipeline, type Outcome } from "../../src/pipeline.ts";
import { podSelector } from "../../src/render/index.ts";
import { buildBackendStatus, buildRouterStatus } from "../../src/status/index.ts";
import { describeError, parseResources } from "../../src/standalone/resources.ts";

export interface GoldenCase {
  readonly objects: readonly RawObject[];
  /** what a reader of the file is told about it */
  readonly errors: readonly string[];
  readonly names: Snapshot["names"];
  readonly families: Families;
  /** kamailio.cfg and the drain script are written down too: they are the same in most cases */
  readonly structure: boolean;
}

const IMAGE = "registry.test/kamailio:6";

/**
 * `in.yaml`; beside it, where the case needs it, `context.yaml`: `names` (DNS name -> addresses, or an error), `families`
 * (router -> IP version of its pods), `status` ("Kind namespace/name" -> what its status holds from before) and `structure`
 * (see {@link GoldenCase}).
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
    families: new Map(Object.entries(context.families ?? {})),
    structure: context.structure ?? false,
  };
}

interface Context {
  readonly names?: Readonly<Record<string, readonly string[] | string>>;
  readonly families?: Readonly<Record<string, 4 | 6>>;
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
export function runCase(
  objects: readonly RawObject[],
  { names, families }: Partial<Pick<GoldenCase, "names" | "families">> = {},
): Outcome & { readonly snapshot: Snapshot } {
  const snapshot = deepFreeze(snapshotOf(objects, names, families));
  return { ...runPipeline(snapshot, { image: IMAGE }), snapshot };
}

const yaml = (value: unknown): string => dump(value, { lineWidth: -1, noRefs: true, sortKeys: true });

/** file name -> content; the files of several routers are in a folder each */
export function goldenFiles(
  outcome: ReturnType<typeof runCase>,
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
  files.set("status.yaml", yaml(statuses(outcome)));
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

const NOW = "2026-01-01T00:00:00Z";

/** As an operator writes them that has stored what it rendered and seen no pod yet. */
function statuses({ routers, snapshot }: ReturnType<typeof runCase>): Readonly<Record<string, object>> {
  const mapper = createMapper();
  for (const object of [...snapshot.routers, ...snapshot.backends]) mapper.concerned({ ...refOf(object), object });
  const all: Record<string, object> = {};
  for (const object of snapshot.routers) {
    const { resolution, issues, plan, rendered } = routers.get(keyOf(object)) ?? { issues: [] };
    const revision = rendered?.files.desired.revision;
    all[`SipRouter ${keyOf(object)}`] = buildRouterStatus({
      object,
      issues,
      openExternal: resolution?.router?.object.spec.external?.callers === "Anyone",
      ...(plan === undefined ? {} : { sets: plan.data.sets }),
      ...(revision === undefined ? {} : { revision }),
      applied: rendered !== undefined,
      stored: rendered !== undefined,
      keptLastList: false,
      replicas: plan?.workload.replicas ?? 0,
      pods: [],
      selector: Object.entries(podSelector(object.metadata.name))
        .map(([label, value]) => `${label}=${value}`)
        .join(","),
      now: NOW,
    });
  }
  for (const object of snapshot.backends) {
    const { backend, issues } = resolveBackend(snapshot, keyOf(object));
    const uses = [...mapper.usersOf(object)].toSorted().map((router) => ({ router, pods: [] }));
    all[`PbxBackend ${keyOf(object)}`] = buildBackendStatus({
      object,
      issues,
      endpoints: backend?.endpoints ?? [],
      uses,
      now: NOW,
    });
  }
  return all;
}

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
