/**
 * Volumes as folders, laid out and swapped exactly as the kubelet does it (kubernetes pkg/volume/util/atomic_writer.go):
 * `<key>` is a symlink to `..data/<key>`, `..data` a symlink to a folder named by time, and a new version is a new such
 * folder and one rename of `..data`: a reader sees all of the old or all of the new.
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import type { ObjectRef } from "../../api/index.ts";
import { isCode } from "./files.ts";
import type { DataObject, KeyToPath, ObjectLookup, ObjectSource, PodRecord, Volume } from "./types.ts";

/** Path in the volume to content. */
export type Payload = ReadonlyMap<string, { readonly content: Buffer; readonly mode: number }>;

const CONFIG_MODE = 0o644;
const SECRET_MODE = 0o600;

/** The volume's content, or what is missing in the kubelet's words. An emptyDir has no payload. */
export function resolvePayload(volume: Volume, namespace: string, objects: ObjectLookup): Payload | string | undefined {
  const payload = new Map<string, { content: Buffer; mode: number }>();
  for (const [kind, source] of sourcesOf(volume)) {
    const name = source.secretName ?? source.name ?? "";
    const object = objects.get(kind, namespace, name);
    if (object === undefined) {
      if (source.optional === true) continue;
      return `MountVolume.SetUp failed for volume "${volume.name}": ${kind} ${namespace}/${name} not found`;
    }
    const files = kind === "Secret" ? secretFiles(object) : configFiles(object);
    const mode = kind === "Secret" ? SECRET_MODE : CONFIG_MODE;
    for (const { key, path } of source.items ?? [...files.keys()].map((all): KeyToPath => ({ key: all, path: all }))) {
      const content = files.get(key);
      if (content === undefined) {
        if (source.optional === true) continue;
        return `MountVolume.SetUp failed for volume "${volume.name}": ${kind} ${namespace}/${name} has no key ${key}`;
      }
      if (!isInside(path)) return `volume "${volume.name}": the path ${JSON.stringify(path)} leaves the volume`;
      payload.set(normalize(path), { content, mode });
    }
  }
  return (volume.configMap ?? volume.secret ?? volume.projected) ? payload : undefined;
}

/** ConfigMaps and Secrets that the pod's volumes are made of. */
export function mountedObjects({ namespace, spec }: PodRecord): ObjectRef[] {
  return (spec.volumes ?? []).flatMap((volume) =>
    [...sourcesOf(volume)].flatMap(([kind, { secretName, name }]) => {
      const source = kind === "Secret" ? (secretName ?? name) : name;
      return source === undefined ? [] : [{ kind, namespace, name: source }];
    }),
  );
}

function* sourcesOf(volume: Volume): Generator<["ConfigMap" | "Secret", ObjectSource]> {
  for (const source of volume.projected?.sources ?? [volume]) {
    if (source.configMap !== undefined) yield ["ConfigMap", source.configMap];
    if (source.secret !== undefined) yield ["Secret", source.secret];
  }
}

const textMap = (value: unknown): [string, string][] =>
  typeof value === "object" && value !== null
    ? Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string")
    : [];
const configFiles = (object: DataObject): Map<string, Buffer> =>
  new Map([
    ...textMap(object["data"]).map(([key, text]): [string, Buffer] => [key, Buffer.from(text, "utf8")]),
    ...textMap(object["binaryData"]).map(([key, text]): [string, Buffer] => [key, Buffer.from(text, "base64")]),
  ]);
const secretFiles = (object: DataObject): Map<string, Buffer> =>
  new Map(textMap(object["data"]).map(([key, text]) => [key, Buffer.from(text, "base64")]));

const isInside = (path: string): boolean =>
  path !== "" && !path.startsWith("/") && !path.startsWith("..") && !normalize(path).split("/").includes("..");

export interface WriteOptions {
  /**
   * Give a new version a modification time at least one whole second after the version before. Kamailio's db_text
   * compares whole seconds, so two versions within one second would look the same to it.
   */
  readonly separateSeconds: boolean;
  readonly now: () => number;
}

/** Makes `folder` hold exactly `payload`; returns whether anything changed. Owner-only when it holds a Secret. */
export async function writePayload(folder: string, payload: Payload, options: WriteOptions): Promise<boolean> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const previous = await readlink(join(folder, "..data")).catch((error: unknown) => {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  });
  const before = previous === undefined ? undefined : join(folder, previous);
  if (before !== undefined && (await holds(before, payload))) return false;
  const now = options.now();
  const version = `..${new Date(now).toISOString().replaceAll(/[-:T]/g, "_").replace("Z", "")}.${randomBytes(4).toString("hex")}`;
  const target = join(folder, version);
  const last = before === undefined ? 0 : ((await stat(before).catch(() => undefined))?.mtimeMs ?? 0);
  const seconds = options.separateSeconds ? Math.max(Math.floor(now / 1000), Math.floor(last / 1000) + 1) : now / 1000;
  await mkdir(target, { mode: 0o755 });
  for (const [path, file] of payload) {
    const name = join(target, path);
    await mkdir(dirname(name), { recursive: true });
    await writeFile(name, file.content, { mode: file.mode });
    await utimes(name, seconds, seconds);
  }
  await utimes(target, seconds, seconds);
  await swap(folder, version);
  await linkKeys(folder, payload);
  if (before !== undefined) await rm(before, { recursive: true, force: true });
  return true;
}

/** Whether the folder was ever written. */
export const hasVersion = (folder: string): Promise<boolean> =>
  readlink(join(folder, "..data")).then(
    () => true,
    () => false,
  );

async function swap(folder: string, version: string): Promise<void> {
  const temporary = join(folder, "..data_tmp");
  await rm(temporary, { force: true });
  await symlink(version, temporary);
  await rename(temporary, join(folder, "..data"));
}

async function linkKeys(folder: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split("/")[0] ?? path));
  const present = new Set((await readdir(folder)).filter((name) => !name.startsWith("..")));
  for (const name of wanted) if (!present.has(name)) await symlink(join("..data", name), join(folder, name));
  for (const name of present) if (!wanted.has(name)) await rm(join(folder, name), { recursive: true, force: true });
}

async function holds(folder: string, payload: Payload): Promise<boolean> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => undefined);
  if (files?.filter((file) => file.isFile()).length !== payload.size) return false;
  for (const [path, file] of payload) {
    const content = await readFile(join(folder, path)).catch(() => undefined);
    if (content === undefined || !content.equals(file.content)) return false;
  }
  return true;
}
