/**
 * A folder of resource files, watched. An edit counts once the file is whole: a file that does not parse keeps the
 * objects it held before, and objects that vanish (a file cut short, swapped or removed by an editor) are given a moment
 * to come back.
 */
import { watch, type FSWatcher } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { refOf } from "../api/index.ts";
import { OperatorError } from "../errors.ts";
import {
  describeRef,
  isResourceFile,
  mergeResources,
  parseResources,
  type ParsedResources,
  type ResourceError,
} from "./resources.ts";

export interface WatchOptions {
  /** after every change, and once at the start */
  onUpdate(resources: ParsedResources): void;
  /** a reading, or what `onUpdate` did with it, failed: the folder is read again */
  onError(error: unknown): void;
  /** the folder is also read without being told, milliseconds: not every file system tells (default 2000) */
  readonly rescanMs?: number;
}

export interface ResourceWatch {
  stop(): void;
}

/** A file written in place is complete when nothing was added to it for so long. */
const SETTLE_MS = 15;
/** Editors remove and rewrite: what is gone must stay gone for so long. */
const REMOVAL_MS = 300;

interface KnownFile {
  signature: string;
  parsed: ParsedResources;
}

/** Throws OperatorError SIPR_USAGE when the folder cannot be read. */
export async function watchResources(folder: string, options: WatchOptions): Promise<ResourceWatch> {
  const files = new FolderReader(folder);
  try {
    await readdir(folder);
  } catch (error) {
    const message = `The resources folder ${folder} cannot be read: ${error instanceof Error ? error.message : String(error)}.`;
    throw new OperatorError("SIPR_USAGE", message, {
      remedy: "Create it, or name another one with --resources.",
      cause: error,
    });
  }
  await files.scan(true);
  options.onUpdate(files.merged());

  let stopped = false;
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let work: Promise<void> = Promise.resolve();
  const schedule = (milliseconds: number): void => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(look, milliseconds);
  };
  const rescanMs = options.rescanMs ?? 2000;
  const read = async (): Promise<void> => {
    if (stopped) return;
    schedule(rescanMs);
    const { changed, againMs } = await files.scan(false);
    // The watch ends when the folder itself is replaced.
    watcher ??= tryWatch();
    if (againMs !== undefined) schedule(againMs);
    if (changed && !stopped) options.onUpdate(files.merged());
  };
  const look = (): void => void (work = work.then(read).catch((error: unknown) => options.onError(error)));
  const tryWatch = (): FSWatcher | undefined => {
    try {
      const created = watch(folder, { recursive: true }, look);
      created.on("error", () => {
        created.close();
        if (watcher === created) watcher = undefined;
      });
      return created;
    } catch {
      return undefined;
    }
  };
  watcher = tryWatch();
  schedule(rescanMs);
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      watcher?.close();
    },
  };
}

class FolderReader {
  readonly #folder: string;
  readonly #files = new Map<string, KnownFile>();
  readonly #missingSince = new Map<string, number>();
  #folderError: ResourceError | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  merged(): ParsedResources {
    const names = [...this.#files.keys()].toSorted();
    const all = mergeResources(names.flatMap((name) => this.#files.get(name)?.parsed ?? []));
    return this.#folderError === undefined ? all : { ...all, errors: [this.#folderError, ...all.errors] };
  }

  /** `againMs`: something is not settled yet and must be looked at again then. */
  async scan(first: boolean): Promise<{ changed: boolean; againMs?: number }> {
    const names = await this.#list();
    if (names === undefined) return { changed: this.#reportFolder(true) };
    let changed = this.#reportFolder(false);
    let againMs: number | undefined;
    const soon = (milliseconds: number): void =>
      void (againMs = Math.min(againMs ?? Infinity, Math.max(1, milliseconds)));
    for (const name of names) {
      this.#missingSince.delete(name);
      const result = await this.#look(name, first);
      if (result === true) changed = true;
      else if (typeof result === "number") soon(result);
    }
    const present = new Set(names);
    for (const name of [...this.#files.keys()].filter((known) => !present.has(known))) {
      const since = this.#missingSince.get(name) ?? performance.now();
      this.#missingSince.set(name, since);
      const left = since + REMOVAL_MS - performance.now();
      if (left > 0) soon(left);
      else changed = this.#files.delete(name) || changed;
    }
    return { changed, ...(againMs === undefined ? {} : { againMs }) };
  }

  /** true: changed; a number: to be looked at again after so many milliseconds */
  async #look(name: string, first: boolean): Promise<boolean | number> {
    const known = this.#files.get(name);
    const path = join(this.#folder, name);
    const details = await stat(path).catch(() => undefined);
    if (details === undefined) return SETTLE_MS;
    const signature = `${details.ino}/${details.size}/${details.mtimeMs}`;
    if (signature === known?.signature) return false;
    // A modification time in the future says nothing about how long ago it was.
    const age = Math.max(0, Date.now() - details.mtimeMs);
    if (!first && age < SETTLE_MS && details.mtimeMs <= Date.now()) return SETTLE_MS - age;
    const parsed = await this.#parse(path, name);
    const before = known?.parsed;
    if (before !== undefined && parsed.errors.length > 0) {
      this.#files.set(name, { signature, parsed: { ...before, errors: parsed.errors.map(keptBefore(before)) } });
      return true;
    }
    if (before !== undefined && age < REMOVAL_MS && loses(before, parsed)) return REMOVAL_MS - age;
    this.#files.set(name, { signature, parsed });
    return true;
  }

  async #parse(path: string, name: string): Promise<ParsedResources> {
    try {
      return parseResources(await readFile(path, "utf8"), name);
    } catch (error) {
      const message = `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
      return { objects: [], located: [], errors: [{ file: name, line: 1, object: "", message }] };
    }
  }

  /** undefined when the folder cannot be read: then everything stays as it is */
  async #list(): Promise<string[] | undefined> {
    try {
      const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => !entry.isDirectory() && isResourceFile(entry.name))
        .map((entry) => relative(this.#folder, join(entry.parentPath, entry.name)))
        .filter((name) => !name.split("/").some((part) => part.startsWith(".")))
        .toSorted();
    } catch {
      return undefined;
    }
  }

  /** Whether that is news. */
  #reportFolder(gone: boolean): boolean {
    if (gone === (this.#folderError !== undefined)) return false;
    const message = "the resources folder cannot be read. What it held stays in force until it is back.";
    this.#folderError = gone ? { file: this.#folder, line: 1, object: "", message } : undefined;
    return true;
  }
}

/** An error of a file whose objects of before go on says so. */
const keptBefore =
  ({ objects }: ParsedResources) =>
  (error: ResourceError): ResourceError =>
    objects.length === 0
      ? error
      : {
          ...error,
          message: `${error.message.replace(/\.?$/, ".")} What the file held before stays in force until then.`,
        };

const loses = (before: ParsedResources, after: ParsedResources): boolean => {
  const present = new Set(after.objects.map((object) => describeRef(refOf(object))));
  return before.objects.some((object) => !present.has(describeRef(refOf(object))));
};
