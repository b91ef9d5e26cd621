/**
 * Holds the documentation to what exists: every command in a shell block is run by a test or by CI (see
 * documentedCommands.ts), every YAML block parses and its resources are valid, every relative link leads somewhere.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadAll } from "js-yaml";
import { pbxBackendSpec, sipRouterSpec } from "../src/api/index.ts";
import { documentedCommands } from "./documentedCommands.ts";

export interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

export interface RunBy {
  /** the script or test that runs the command */
  readonly by: string;
  /** the text in it that does; default: the command itself */
  readonly as?: string;
}

/** Fenced blocks of a Markdown text; `line` is that of the fence, from 1. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of markdown.split("\n").entries()) {
    const fence = /^ {0,3}```(\S*)/.exec(line);
    if (!fence) open?.lines.push(line);
    else if (open) {
      blocks.push({ language: open.language, text: open.lines.join("\n"), line: open.line });
      open = undefined;
    } else open = { language: fence[1] ?? "", line: index + 1, lines: [] };
  }
  return blocks;
}

/** Commands of a shell block: continued lines joined, comments and empty lines left out. */
export function commandsOf(block: Block): string[] {
  const lines = block.text.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines.map((line) => line.replace(/(^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}

const shell = new Set(["sh", "bash", "shell", "console"]);
const schemas = { SipRouter: sipRouterSpec, PbxBackend: pbxBackendSpec } as const;

function yamlProblems(block: Block): string[] {
  let documents: unknown[];
  try {
    documents = loadAll(block.text);
  } catch (error) {
    return [`does not parse: ${(error as Error).message}`];
  }
  return documents.flatMap((document) => {
    const { kind, spec } = (document ?? {}) as { kind?: string; spec?: unknown };
    const schema = kind === "SipRouter" || kind === "PbxBackend" ? schemas[kind] : undefined;
    const error = schema?.safeParse(spec).error;
    return error ? error.issues.map((issue) => `${kind} spec.${issue.path.join(".")}: ${issue.message}`) : [];
  });
}

/** Problems of one page, each `path:line: what`. */
export function checkPage(
  path: string,
  markdown: string,
  commands: Readonly<Record<string, RunBy>>,
  exists: (path: string) => boolean = existsSync,
): string[] {
  const problems: string[] = [];
  for (const block of blocksOf(markdown)) {
    const at = `${path}:${block.line}`;
    if (shell.has(block.language))
      for (const command of commandsOf(block))
        if (!Object.hasOwn(commands, command))
          problems.push(`${at}: nothing runs "${command}" (hack/documentedCommands.ts)`);
    if (block.language === "yaml") problems.push(...yamlProblems(block).map((problem) => `${at}: ${problem}`));
    if (block.language === "")
      problems.push(`${at}: a block without a language is not checked; name one (text, sh, yaml)`);
  }
  const prose = markdown.replaceAll(/^ {0,3}```[\s\S]*?^ {0,3}```/gm, "").replaceAll(/`[^`\n]*`/g, "code");
  for (const [, target = ""] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    const file = target.replace(/#.*$/, "");
    if (/^[a-z]+:/.test(target) || file === "") continue;
    if (!exists(join(dirname(path), file))) problems.push(`${path}: the link ${target} leads nowhere`);
  }
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
  const paths = globSync("{*.md,docs/**/*.md}", { cwd: root }).toSorted();
  const pages = paths.map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
  const blocks = pages.flatMap(({ text }) => blocksOf(text)).filter(({ language }) => shell.has(language));
  const read = (path: string) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined);
  return [
    ...pages.flatMap(({ path, text }) =>
      checkPage(path, text, documentedCommands, (file) => existsSync(join(root, file))),
    ),
    ...checkCommands(documentedCommands, new Set(blocks.flatMap(commandsOf)), read),
  ];
}

if (import.meta.main) {
  const problems = checkDocs(join(import.meta.dirname, ".."));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
