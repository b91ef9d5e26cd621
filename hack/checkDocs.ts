/**
 * Holds the documentation to what exists: every command in a shell block is run by a test or by CI
 * (documentedCommands.ts) or is one that its program takes (docs/commands.ts), no command hides in a text block, every YAML block is what an operator
 * accepts, every relative link and every path of this repository leads somewhere.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { anchorsOf, blocksOf, commandsOf, inlineCodeOf, isShell, linksOf, promptedCommandsOf } from "./docs/blocks.ts";
import { commandProblem } from "./docs/commands.ts";
import { looksLikeCommand } from "./docs/shipCommands.ts";
import { resourceProblems } from "./docs/resources.ts";
import { documentedCommands } from "./documentedCommands.ts";

export { blocksOf, commandsOf, type Block } from "./docs/blocks.ts";

export interface RunBy {
  /** the script or test that runs the command */
  readonly by: string;
  /** the text in it that does; default: the command itself */
  readonly as?: string;
}

/** Folders of this repository whose files the pages name in `code`. */
const repositoryPath = /^(?:src|docs|hack|test|config|crds|charts|images)\/[\w./-]*$/;

/** Of a page, or undefined; paths are from the root of the repository. */
export type Read = (path: string) => string | undefined;

/** Problems of one page, each `path:line: what`. */
export function checkPage(
  path: string,
  markdown: string,
  commands: Readonly<Record<string, RunBy>>,
  exists: (path: string) => boolean = existsSync,
  read: Read = () => undefined,
): string[] {
  const problems: string[] = [];
  for (const block of blocksOf(markdown)) {
    const at = `${path}:${block.line}`;
    for (const command of isShell(block) ? commandsOf(block) : promptedCommandsOf(block)) {
      const problem = Object.hasOwn(commands, command) ? undefined : commandProblem(command);
      if (problem === "unknown") problems.push(`${at}: nothing runs "${command}" (hack/documentedCommands.ts)`);
      else if (problem !== undefined) problems.push(`${at}: "${command}": ${problem}`);
    }
    if (block.language === "yaml") problems.push(...resourceProblems(block.text).map((problem) => `${at}: ${problem}`));
    if (block.language === "mermaid")
      for (const [, label = ""] of block.text.matchAll(/\|([^|"\n]*[@(){}[\]][^|"\n]*)\|/g))
        problems.push(`${at}: the label ${label} of a diagram needs quotes: -->|"${label}"|`);
    if (block.language === "text")
      for (const line of block.text.split("\n").filter(looksLikeCommand))
        problems.push(
          `${at}: "${line.trim()}" is a command in a text block, where nothing checks it: use sh, or write "$ " before it where its output follows`,
        );
    if (block.language === "")
      problems.push(`${at}: a block without a language is not checked; name one (text, sh, yaml)`);
  }
  for (const target of linksOf(markdown)) {
    const [file = "", anchor] = target.split("#");
    if (/^[a-z]+:/.test(target)) continue;
    const at = file === "" ? path : normalize(join(dirname(path), file));
    if (file !== "" && !exists(at)) problems.push(`${path}: the link ${target} leads nowhere`);
    else if (anchor !== undefined && at.endsWith(".md")) {
      const page = file === "" ? markdown : read(at);
      if (page !== undefined && !anchorsOf(page).has(anchor))
        problems.push(`${path}: ${at} has no heading for the link ${target}`);
    }
  }
  for (const code of new Set(inlineCodeOf(markdown)))
    if (repositoryPath.test(code) && !exists(code)) problems.push(`${path}: there is no ${code}`);
  return problems;
}

/** Entries of the list that no page shows, or whose runner does not run them. */
export function checkCommands(
  commands: Readonly<Record<string, RunBy>>,
  shown: ReadonlySet<string>,
  read: (path: string) => string | undefined,
): string[] {
  return Object.entries(commands).flatMap(([command, { by, as }]) => {
    if (!shown.has(command)) return [`hack/documentedCommands.ts: no page shows "${command}"`];
    return read(by)?.includes(as ?? command)
      ? []
      : [`hack/documentedCommands.ts: ${by} does not run "${as ?? command}"`];
  });
}

export function checkDocs(root: string): string[] {
  const paths = globSync("{*.md,hack/README.md,charts/*/README.md,docs/**/*.md,config/examples/**/*.md}", {
    cwd: root,
  }).toSorted();
  const pages = paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
  const blocks = pages.flatMap(({ text }) => blocksOf(text)).filter(isShell);
  const read = (path: string) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);
  return [
    ...pages.flatMap(({ path, text }) =>
      checkPage(path, text, documentedCommands, (file) => existsSync(join(root, file)), read),
    ),
    ...checkCommands(documentedCommands, new Set(blocks.flatMap(commandsOf)), read),
  ];
}

if (import.meta.main) {
  const problems = checkDocs(join(import.meta.dirname, ".."));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
