/** The resource files that a command line names: files, folders and standard input. */
import type { Dirent } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import { OperatorError } from "../errors.ts";
import { isResourceFile, mergeResources, parseResources, type ParsedResources } from "../standalone/resources.ts";
import type { CommandIO } from "./io.ts";

export interface FileOptions {
  /** files, folders, or "-" */
  readonly file: readonly string[];
  /** folders with what is below them */
  readonly recursive?: boolean;
}

const STDIN = "-";

interface Found {
  readonly files: readonly string[];
  /** folders below with YAML or JSON files, which are not among `files` */
  readonly passedOver: readonly string[];
}

/**
 * Files, the YAML and JSON files of folders (a kustomization aside), and standard input for "-". What is passed over is said on
 * standard error. What may not be read is an error of the file. Throws OperatorError SIPR_USAGE for a name that is not there.
 */
export async function readResources({ file, recursive }: FileOptions, io: CommandIO): Promise<ParsedResources> {
  const parsed: ParsedResources[] = [];
  for (const path of file) {
    if (path === STDIN) {
      parsed.push(parseResources((await io.stdin?.()) ?? "", "standard input"));
      continue;
    }
    try {
      const { files, passedOver } = await filesOf(path, io.cwd, recursive === true);
      for (const one of files) parsed.push(await readOne(one, io.cwd));
      if (passedOver.length > 0)
        io.stderr(
          `${path}: not read are ${passedOver.slice(0, 3).join(", ")}${passedOver.length > 3 ? ", …" : ""}: -R reads subfolders, too.`,
        );
    } catch (error) {
      if (error instanceof OperatorError) throw error;
      parsed.push(unreadable(path, error));
    }
  }
  return mergeResources(parsed);
}

async function readOne(file: string, cwd: string): Promise<ParsedResources> {
  try {
    return parseResources(await readFile(resolve(cwd, file), "utf8"), file);
  } catch (error) {
    return unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): ParsedResources {
  const reason = error instanceof Error && "code" in error ? error.message.replace(/,.*$/, "") : undefined;
  if (reason === undefined) throw error;
  const message = `cannot be read: ${reason}. Give the user of this command the right to read it, or leave it out.`;
  return { objects: [], located: [], errors: [{ file, line: 1, object: "", message }] };
}

async function filesOf(path: string, cwd: string, recursive: boolean): Promise<Found> {
  const full = resolve(cwd, path);
  const found = await stat(full).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" && error.code !== "ENOTDIR") throw error;
    throw new OperatorError("SIPR_USAGE", `${path} does not exist.`, {
      remedy: "Give files or folders of YAML, or - for standard input.",
    });
  });
  if (!found.isDirectory()) return { files: [path], passedOver: [] };
  const all = (await entriesBelow(full, recursive))
    .map((entry) => relative(full, join(entry.parentPath, entry.name)))
    .filter((name) => !name.split(sep).some((part) => part.startsWith(".")))
    .toSorted();
  const here = all.filter((name) => recursive || !name.includes(sep));
  const passedOver = all.filter((name) => name.includes(sep)).map((name) => join(path, name.split(sep)[0] ?? ""));
  return { files: here.map((name) => join(path, name)), passedOver: recursive ? [] : [...new Set(passedOver)] };
}

/** Resource files of the folder and of those below it. A subfolder that may not be read is an error only where it is meant. */
async function entriesBelow(folder: string, recursive: boolean): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const below = entries.map(async (entry) => {
    if (!entry.isDirectory()) return isResourceFile(entry.name) ? [entry] : [];
    if (entry.name.startsWith(".") || entry.name === "node_modules") return [];
    const reading = entriesBelow(join(folder, entry.name), recursive);
    return recursive ? reading : reading.catch(() => []);
  });
  return (await Promise.all(below)).flat();
}
