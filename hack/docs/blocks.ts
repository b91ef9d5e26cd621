/** Markdown as the checks see it: fenced blocks, headings, links, inline code. Pure. */

export interface Block {
  readonly language: string;
  readonly text: string;
  readonly line: number;
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

export const isShell = ({ language }: Block): boolean => ["sh", "bash", "shell", "console"].includes(language);

/** Commands of a shell block: continued lines joined, comments and empty lines left out. */
export function commandsOf(block: Block): string[] {
  const lines = block.text.replaceAll(/\\\n\s*/g, "").split("\n");
  return lines.map((line) => line.replace(/(^|\s)#.*$/, "").trim()).filter((line) => line !== "");
}

/** Commands of a block that shows their output too: the lines behind a prompt. */
export const promptedCommandsOf = ({ language, text }: Block): string[] =>
  language === "text" ? [...text.matchAll(/^\$ (.+)$/gm)].map(([, command = ""]) => command.trim()) : [];

const withoutBlocks = (markdown: string): string => markdown.replaceAll(/^ {0,3}```[\s\S]*?^ {0,3}```/gm, "");

/** Targets of links, blocks and inline code aside. */
export function linksOf(markdown: string): string[] {
  const prose = withoutBlocks(markdown).replaceAll(/`[^`\n]*`/g, "code");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
}

export const inlineCodeOf = (markdown: string): string[] =>
  [...withoutBlocks(markdown).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);

/** Names by which GitHub lets one link to the headings of a page. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of withoutBlocks(markdown).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = text.replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    let name = anchor;
    for (let again = 1; anchors.has(name); again += 1) name = `${anchor}-${again}`;
    anchors.add(name);
  }
  return anchors;
}
