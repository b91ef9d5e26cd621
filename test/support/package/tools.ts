/** The programs of hack/tools: helm, helm-unittest, kubeconform, actionlint, argocd-lua, promql, network-policies. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { loadAll } from "js-yaml";
import type { RawObject } from "../../../src/api/index.ts";

export const root = path.resolve(import.meta.dirname, "../../..");
let folder: string | undefined;
/** Helm's own caches and settings: nothing of the user's */
const home = mkdtempSync(path.join(tmpdir(), "helm-home-"));

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the programs are. Builds them when they are not in the cache: minutes, once (hack/run-tests has done it before). */
export function toolFolder(): string {
  folder ??= execFileSync(path.join(root, "hack/tools/install"), {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  return folder;
}

export async function tool(
  name: string,
  args: readonly string[],
  options: { input?: string; allowFailure?: boolean; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ToolResult> {
  const program = path.join(toolFolder(), name);
  const env = {
    ...process.env,
    HELM_CACHE_HOME: path.join(home, "cache"),
    HELM_CONFIG_HOME: path.join(home, "config"),
    HELM_DATA_HOME: path.join(home, "data"),
    ...options.env,
  };
  return new Promise((resolve, reject) => {
    const settings = { cwd: options.cwd ?? root, env, maxBuffer: 1 << 28 };
    const child = execFile(program, args, settings, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === "number" ? error.code : 1) : 0;
      if (code === 0 || options.allowFailure === true) resolve({ code, stdout, stderr });
      else reject(new Error(`${name} ${args.join(" ")}: exit code ${code}\n${stdout}\n${stderr}`));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
  });
}

/** Values as a document on standard input: no quoting of --set. */
export const helmTemplate = async (
  chart: string,
  values: object,
  { release = chart, namespace = "sip-router-system" } = {},
): Promise<readonly RawObject[]> => {
  const args = ["template", release, `charts/${chart}`, "--namespace", namespace, "--values", "-"];
  const { stdout } = await tool("helm", args, { input: JSON.stringify(values) });
  return documents(stdout);
};

/** Objects of a YAML text; empty documents left out. */
export const documents = (text: string): RawObject[] =>
  loadAll(text).filter((one): one is RawObject => one !== null && one !== undefined);
