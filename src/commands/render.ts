/**
 * `render`: resources in, what would run out, or every issue. No cluster and no Kamailio; names of backends are looked up
 * in DNS, as the operator does it.
 */
import { dump } from "js-yaml";
import { systemResolveName } from "../controller/dns.ts";
import { OperatorError } from "../errors.ts";
import { describeIssue, namesToResolve, snapshotOf, sortIssues, type Snapshot } from "../model/index.ts";
import { runPipeline, type Outcome } from "../pipeline.ts";
import { DEFAULT_IMAGE } from "../render/image.ts";
import { describeError } from "../standalone/resources.ts";
import type { RawObject } from "../api/index.ts";
import type { Command, CommandIO } from "./io.ts";
import { readResources, type FileOptions } from "./resourceFiles.ts";

interface RenderOptions extends FileOptions {
  readonly output: string;
}

/** Exit code 1 when anything is wrong; what is right is printed nevertheless. */
export const render: Command<RenderOptions> = async (options, io) => {
  if (options.output !== "yaml" && options.output !== "json")
    throw new OperatorError("SIPR_USAGE", `--output ${options.output} is unknown.`, { remedy: "Use yaml or json." });
  const resources = await readResources(options, io);
  const outcome = await evaluate(resources.objects, io);
  const routers = [...outcome.routers.values()];
  const found = [...routers.flatMap((router) => router.issues), ...[...outcome.backends.values()].flat()];
  // files cannot tell who registers when the router runs
  const issues = sortIssues(found.filter(({ reason }) => reason !== "NotRegistered"));
  const objects = routers.flatMap((router) => router.rendered?.objects ?? []).map((object) => maskSecret(object));
  if (options.output === "json") io.stdout(JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }, null, 2));
  else for (const object of objects) io.stdout(`---\n${dump(object, { lineWidth: -1, noRefs: true }).trimEnd()}`);
  for (const error of resources.errors) io.stderr(describeError(error));
  for (const issue of issues) io.stderr(describeIssue(issue));
  if (outcome.routers.size === 0 && resources.errors.length === 0)
    io.stderr(`no SipRouter in ${options.file.join(", ")}: nothing to render.`);
  return resources.errors.length + issues.length > 0 || outcome.routers.size === 0 ? 1 : 0;
};

/** The stages in a row, of objects of files; names are looked up first. */
export async function evaluate(objects: readonly RawObject[], io: CommandIO): Promise<Outcome> {
  const names = await lookUp(namesToResolve(snapshotOf(objects).backends));
  return runPipeline(snapshotOf(objects, names), { image: io.env["KAMAILIO_IMAGE"] ?? DEFAULT_IMAGE });
}

async function lookUp(names: readonly string[]): Promise<Snapshot["names"]> {
  const resolveName = systemResolveName();
  const found = names.map(async (name): Promise<[string, { addresses: readonly string[] } | { error: string }]> => {
    try {
      const { addresses } = await resolveName(name);
      return [name, { addresses }];
    } catch (error) {
      return [name, { error: error instanceof Error && "code" in error ? String(error.code) : String(error) }];
    }
  });
  return new Map(await Promise.all(found));
}

/** No value of a Secret is ever printed. */
function maskSecret(object: RawObject): RawObject {
  if (object.kind !== "Secret") return object;
  const mask = (data: unknown): Record<string, string> =>
    Object.fromEntries(Object.keys(data ?? {}).map((key) => [key, "<hidden>"]));
  return {
    ...object,
    ...("data" in object ? { data: mask(object["data"]) } : {}),
    ...("stringData" in object ? { stringData: mask(object["stringData"]) } : {}),
  };
}
