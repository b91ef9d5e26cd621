/** Volumes as folders: layout, swap and times as the programs that read them see them. */
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolvePayload, writePayload, type Payload } from "../../../src/standalone/runner/volumes.ts";
import type { DataObject, ObjectLookup, Volume } from "../../../src/standalone/runner/types.ts";

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "volumes-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

const lookup = (objects: Record<string, DataObject>): ObjectLookup => ({
  get: (kind, _namespace, name) => objects[`${kind}/${name}`],
});
const configMap = { data: { "dispatcher.list": "1 sip:a\n", version: "1" } };
const secret = { data: { token: Buffer.from("s3cret").toString("base64") } };
const objects = lookup({ "ConfigMap/data": configMap, "Secret/control": secret });

const payloadOf = (volume: Volume): Payload => {
  const payload = resolvePayload(volume, "default", objects);
  if (payload === undefined || typeof payload === "string") throw new Error(`no payload: ${payload}`);
  return payload;
};
const options = (now: number) => ({ separateSeconds: true, now: () => now });
const text = (entries: Record<string, string>): Payload =>
  new Map(Object.entries(entries).map(([key, value]) => [key, { content: Buffer.from(value), mode: 0o644 }]));

test("a key is a symlink through ..data, and a Secret's file is its owner's only", async () => {
  const folder = join(root, "control");
  await writePayload(folder, payloadOf({ name: "control", secret: { secretName: "control" } }), options(Date.now()));
  expect(readlinkSync(join(folder, "token"))).toBe("..data/token");
  expect(lstatSync(join(folder, "..data")).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(folder, "token"), "utf8")).toBe("s3cret");
  expect(statSync(join(folder, "token")).mode & 0o777).toBe(0o600);
});

test("a new version replaces the old as a whole and leaves nothing of it", async () => {
  const folder = join(root, "data");
  await writePayload(folder, text({ a: "1", b: "1" }), options(Date.now()));
  const old = readlinkSync(join(folder, "..data"));
  expect(await writePayload(folder, text({ a: "2", c: "2" }), options(Date.now()))).toBe(true);
  expect(readlinkSync(join(folder, "..data"))).not.toBe(old);
  expect(readdirSync(folder).filter((name) => !name.startsWith(".."))).toEqual(["a", "c"]);
  expect(readFileSync(join(folder, "a"), "utf8")).toBe("2");
  expect(readdirSync(folder)).not.toContain(old);
});

test("the same content writes nothing", async () => {
  const folder = join(root, "data");
  await writePayload(folder, text({ a: "1" }), options(Date.now()));
  const version = readlinkSync(join(folder, "..data"));
  expect(await writePayload(folder, text({ a: "1" }), options(Date.now()))).toBe(false);
  expect(readlinkSync(join(folder, "..data"))).toBe(version);
});

test("versions within one second differ in whole seconds of modification time", async () => {
  const folder = join(root, "data");
  const now = Math.floor(Date.now() / 1000) * 1000 + 100;
  const seconds: number[] = [];
  for (const value of ["1", "2", "3"]) {
    await writePayload(folder, text({ a: value }), options(now));
    seconds.push(Math.floor(statSync(join(folder, "a")).mtimeMs / 1000));
  }
  expect(new Set(seconds).size).toBe(3);
  expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
});

test("items choose keys and give them paths, also below a folder", async () => {
  const folder = join(root, "items");
  const items = [{ key: "dispatcher.list", path: "db/list" }];
  await writePayload(folder, payloadOf({ name: "data", configMap: { name: "data", items } }), options(Date.now()));
  expect(readFileSync(join(folder, "db/list"), "utf8")).toBe("1 sip:a\n");
  expect(readdirSync(folder).filter((name) => !name.startsWith(".."))).toEqual(["db"]);
});

test("a projected volume joins its sources", () => {
  const payload = payloadOf({
    name: "all",
    projected: { sources: [{ configMap: { name: "data" } }, { secret: { name: "control" } }] },
  });
  expect([...payload.keys()].toSorted()).toEqual(["dispatcher.list", "token", "version"]);
  expect(payload.get("token")?.mode).toBe(0o600);
});

test.each([
  ["an object that is not there", { configMap: { name: "none" } }, "ConfigMap default/none not found"],
  ["a key that is not there", { configMap: { name: "data", items: [{ key: "x", path: "x" }] } }, "has no key x"],
  [
    "a path out of the volume",
    { configMap: { name: "data", items: [{ key: "version", path: "../x" }] } },
    "leaves the volume",
  ],
])("%s is named", (_what, source, message) => {
  expect(resolvePayload({ name: "data", ...source }, "default", objects)).toContain(message);
});

test("an optional object that is not there is an empty volume", () => {
  expect(resolvePayload({ name: "data", configMap: { name: "none", optional: true } }, "default", objects)).toEqual(
    new Map(),
  );
});
