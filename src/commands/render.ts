/**
 * `render`: resources in, what would run out, or every issue. No cluster and no Kamailio; names of backends are looked up
 * in DNS.
 */
import { lookup } from "node:dns/promises";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { dump } from "js-yaml";
import { OperatorError } from "../errors.ts";
import { describeIssue, namesToResolve, snapshotOf, sortIssues, type Snapshot } from "../model/index.ts";
import { runPipeline } from "../pipeline.ts";
import { DEFAULT_IMAGE } from "../render/image.ts";
import {
  describeError,
  isResourceFile,
  mergeResources,
  parseResources,
  type ParsedResources,
} from "../standalone/resources.ts";
import type { RawObject } from "../api/index.ts";
import type { Command, CommandIO } from "./io.ts";

interface RenderOptions {
  /** files, folders, or "-" */
  readonly file: readonly string[];
  readonly output: string;
}

const STDIN = "-";

/** Exit code 1 when anything is wrong; what is right is printed nevertheless. */
export const render: Command<RenderOptions> = async (options, io) => {
  if (options.output !== "yaml" && options.output !== "json")
    throw new OperatorError("SIPR_USAGE", `--output ${options.output} is unknown.`, { remedy: "Use yaml or json." });
  const resources = await readResources(options.file, io);
  const names = await lookUp(namesToResolve(snapshotOf(resources.objects).backends));
  const image = io.env["KAMAILIO_IMAGE"] ?? DEFAULT_IMAGE;
  const outcome = runPipeline(snapshotOf(resources.objects, names), { image });
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

/** Files, the YAML and JSON files of folders (a kustomization aside), and standard input for "-". */
async function readResources(paths: readonly string[], io: CommandIO): Promise<ParsedResources> {
  const parsed: ParsedResources[] = [];
  for (const path of paths) {
    if (path === STDIN) {
      parsed.push(parseResources((await io.stdin?.()) ?? "", "standard input"));
      continue;
    }
    for (const file of await filesOf(path, io.cwd))
      parsed.push(parseResources(await readFile(resolve(io.cwd, file), "utf8"), file));
  }
  return mergeResources(parsed);
}

async function filesOf(path: string, cwd: string): Promise<readonly string[]> {
  const full = resolve(cwd, path);
  const found = await stat(full).catch(() => undefined);
  if (found === undefined)
    throw new OperatorError("SIPR_USAGE", `${path} does not exist.`, {
      remedy: "Give files or folders of YAML, or - for standard input.",
    });
  if (!found.isDirectory()) return [path];
  const names = await readdir(full);
  return names
    .filter(isResourceFile)
    .toSorted()
    .map((name) => join(path, name));
}

async function lookUp(names: readonly string[]): Promise<Snapshot["names"]> {
  const found = names.map(async (name): Promise<[string, { addresses: readonly string[] } | { error: string }]> => {
    try {
      const addresses = await lookup(name, { all: true });
      return [name, { addresses: addresses.map(({ address }) => address) }];
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
