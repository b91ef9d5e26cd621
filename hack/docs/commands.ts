/**
 * Commands of the documentation that no test runs, held against the programs that would take them: the operator's and
 * `kubectl sip`'s own options, the Makefile's targets, the kinds and files that plain kubectl is given.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { CommanderError, type Command } from "commander";
import { helmProblem, otherProblem } from "./shipCommands.ts";
import { buildProgram } from "../../src/cli/program.ts";

const root = resolve(import.meta.dirname, "../..");

/** As a shell splits it, quotes taken off; no substitution. */
const words = (command: string): string[] =>
  (command.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? []).map((word) => word.replaceAll(/["']/g, ""));

/** What is wrong with `command`; undefined: nothing. `"unknown"`: nobody here can tell. */
export function commandProblem(command: string): string | undefined {
  const found = command.split(/ (?:\||&&) /).map((part) => partProblem(words(part)));
  return found.find((one) => one !== undefined);
}

function partProblem(all: readonly string[]): string | undefined {
  const settings = all.findIndex((word) => !/^[A-Z_]+=/.test(word));
  const args = all.join(" ").startsWith("npm exec --no -- ") ? all.slice(4) : all.slice(Math.max(settings, 0));
  const [program = "", first = ""] = args;
  if (program === "sip-router-operator") return operatorProblem(args.slice(1));
  if (program === "kubectl-sip") return pluginProblem(args.slice(1));
  if (program === "kubectl" && first === "sip") return pluginProblem(args.slice(2));
  if (program === "kubectl") return kubectlProblem(args.slice(1));
  if (program === "make") return makeProblem(args.slice(1));
  if (program === "helm") return helmProblem(args.slice(1));
  if (program === "eval") return existsSync(join(root, first.slice(2, -1))) ? undefined : `there is no ${first}`;
  return otherProblem(program, args.slice(1));
}

const helps = new Map<string, string>();

function operatorProblem([command = "", ...args]: readonly string[]): string | undefined {
  const main = join(root, "src/main.ts");
  let help = helps.get(command);
  if (help === undefined) {
    help = execFileSync(process.execPath, [main, command, "--help"], { encoding: "utf8" });
    helps.set(command, help);
  }
  if (!help.startsWith(`Usage: sip-router-operator ${command} `))
    return `sip-router-operator has no command ${command}`;
  const known = new Set(help.match(/(?<=^ *|, )--?[a-z-]+/gm));
  const wrong = args
    .filter((arg) => arg.startsWith("-") && arg !== "-")
    .find((arg) => !known.has(arg.replace(/=.*/, "")));
  return wrong === undefined ? undefined : `sip-router-operator ${command} has no option ${wrong}`;
}

function pluginProblem(args: readonly string[]): string | undefined {
  const program = buildProgram("0", async () => undefined, async () => undefined); // prettier-ignore
  const all = (command: Command): Command[] => [command, ...command.commands.flatMap((one) => all(one))];
  let said = "";
  for (const command of all(program))
    command.exitOverride().configureOutput({ writeErr: (text) => (said += text), writeOut: () => undefined });
  try {
    program.parse(args, { from: "user" });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? undefined : `kubectl sip: ${said.split("\n")[0]}`;
  }
}

function makeProblem(args: readonly string[]): string | undefined {
  const makefile = readFileSync(join(root, "Makefile"), "utf8");
  const targets = new Set([...makefile.matchAll(/^([a-z0-9-]+):/gm)].map(([, target]) => target));
  const wrong = args.filter((arg) => !arg.includes("=")).find((arg) => !targets.has(arg));
  return wrong === undefined ? undefined : `the Makefile has no target ${wrong}`;
}

const kinds = new Set(
  "sip sipr siprouter siprouters pbx pbxbackend pbxbackends pod pods deployment deployments service services event events secret secrets configmap configmaps namespace namespaces node nodes lease crd endpointslices networkpolicy all".split(
    " ",
  ),
);
const onObjects = new Set(["get", "describe", "delete", "edit", "patch", "label", "annotate", "wait", "scale"]);
const others = new Set(["apply", "replace", "create", "logs", "rollout", "kustomize", "config", "auth", "version", "drain", "uncordon", "port-forward", "exec", "explain", "krew"]); // prettier-ignore

function kubectlProblem(args: readonly string[]): string | undefined {
  const positional = args.filter((arg, at) => !arg.startsWith("-") && !takesValue.has(args[at - 1] ?? ""));
  const [verb = "", object = ""] = positional;
  if (!onObjects.has(verb) && !others.has(verb)) return `kubectl ${verb} is not known here (hack/docs/commands.ts)`;
  const missing = args
    .filter((arg, at) => fileFlags.has(args[at - 1] ?? "") && arg !== "-" && !/^[A-Z]|^https?:/.test(arg))
    .find((path) => !existsSync(join(root, path)));
  if (missing !== undefined) return `${missing} does not exist`;
  const unknown = onObjects.has(verb)
    ? object.split(",").find((one) => !kinds.has(one.replace(/\/.*/, "")))
    : undefined;
  return unknown === undefined || unknown === ""
    ? undefined
    : `kubectl ${verb}: ${unknown} is no kind that is used here`;
}

const fileFlags = new Set(["-f", "-k", "--filename", "--kustomize", "--patch-file"]);
const takesValue = new Set([
  "-n",
  "--namespace",
  "-l",
  "--selector",
  "-o",
  "--output",
  "-p",
  "--context",
  ...fileFlags,
]);
