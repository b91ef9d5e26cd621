/** Commands of programs that bring images and charts to a cluster: helm, kind, a container engine. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

const helmVerbs = new Set([
  "install",
  "upgrade",
  "uninstall",
  "test",
  "rollback",
  "get",
  "history",
  "template",
  "pull",
]);

/** The chart of the repository that is meant: by its folder, by the end of its address, or OLDCHART for the one of the operator. */
const chartOf = (args: readonly string[]): string | undefined => {
  const named = args.find((arg) => /^(oci:\/\/|charts\/)/.test(arg));
  return named === undefined ? "sip-router-operator" : named.replace(/^.*\//, "");
};

/** A value that a schema does not know is refused by Helm. Names of maps (labels) end the search. */
function knows(schema: Schema, [first = "", ...rest]: readonly string[]): boolean {
  if (schema.properties === undefined) return schema.additionalProperties !== false;
  const child = schema.properties[first.replace(/\[\d+\]$/, "")];
  return child !== undefined && (rest.length === 0 || knows(child, rest));
}

export function helmProblem(args: readonly string[]): string | undefined {
  const [verb = ""] = args;
  if (!helmVerbs.has(verb)) return `helm ${verb} is not known here (hack/docs/shipCommands.ts)`;
  const chart = chartOf(args) ?? "";
  const schema = join(root, "charts", chart, "values.schema.json");
  if (!existsSync(schema)) return `there is no chart ${chart}`;
  const values = JSON.parse(readFileSync(schema, "utf8")) as Schema;
  const keys = args.flatMap((arg, at) =>
    /^--set(-string)?$/.test(args[at - 1] ?? "") ? [arg.replace(/=.*/, "")] : [],
  );
  const wrong = keys.find((key) => !knows(values, key.split(".")));
  return wrong === undefined ? undefined : `the chart ${chart} has no value ${wrong}`;
}

/** program -> what it is used for here */
const others: Readonly<Record<string, readonly string[]>> = {
  kind: ["create cluster", "delete cluster", "load docker-image", "load image-archive"],
  docker: ["push", "tag", "save", "compose up", "compose logs", "compose stop"],
  oc: ["adm policy add-scc-to-user"],
  npm: ["install --global"],
};

/** `"unknown"`: not a program of this list. */
export function otherProblem(program: string, args: readonly string[]): string | undefined {
  const known = others[program];
  if (known === undefined) return "unknown";
  const said = `${args.join(" ")} `;
  return known.some((one) => said.startsWith(`${one} `))
    ? undefined
    : `${program} ${args[0] ?? ""} is not known here (hack/docs/shipCommands.ts)`;
}

/** A line of a text block that is a command: a reader copies it, so it is to be checked like the others. */
export const looksLikeCommand = (line: string): boolean =>
  /^\s*(?:(?:kubectl|kubectl-sip|helm|make|kind|docker|podman|npm|npx|node|oc|eval|git|curl|sip-router-operator)\s|hack\/\S|[A-Z_]+=\S+ )/.test(
    line,
  );
