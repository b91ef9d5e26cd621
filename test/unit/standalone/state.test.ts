/** What a restarted instance knows, and that there is only one. */
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findKamailio, resolvePool } from "../../../src/standalone/environment.ts";
import { lockState } from "../../../src/standalone/lock.ts";
import { OwnedObjects } from "../../../src/standalone/ownedObjects.ts";
import { StatusFiles } from "../../../src/standalone/statusFiles.ts";
import { UserObjects } from "../../../src/standalone/userObjects.ts";
import type { RawObject } from "../../../src/api/index.ts";

let state: string;
beforeEach(() => void (state = mkdtempSync(join(tmpdir(), "state-"))));
afterEach(() => rmSync(state, { recursive: true, force: true }));

const router = (replicas: number, labels: Record<string, string> = {}): RawObject => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge", namespace: "default", labels },
  spec: { replicas },
});
const ref = { kind: "SipRouter", namespace: "default", name: "edge" };
const now = (): Date => new Date(0);

test("generation counts changes of the spec, over a restart too; uid, creation time and status stay", async () => {
  const first = new UserObjects(now);
  first.update([router(1)]);
  first.update([router(1, { a: "b" })]);
  expect(first.get(ref)?.metadata.generation).toBe(1);
  first.update([router(2)]);
  const stored = first.setStatus(ref, { revision: "abc" });
  expect(stored?.metadata.generation).toBe(2);
  const files = new StatusFiles(state);
  await files.write(stored ?? router(0));

  const second = new UserObjects(() => new Date(1e12));
  for (const object of await new StatusFiles(state).read()) second.remember(object);
  expect(second.update([router(2)])).toEqual([]);
  expect(second.get(ref)).toMatchObject({
    metadata: { uid: stored?.metadata.uid, generation: 2, creationTimestamp: stored?.metadata.creationTimestamp },
    status: { revision: "abc" },
  });
  second.update([router(3)]);
  expect(second.get(ref)).toMatchObject({ metadata: { generation: 3 }, status: { revision: "abc" } });
  expect(second.update([])).toMatchObject([{ kind: "SipRouter", name: "edge" }]);
});

test("a Secret the operator made is its owner's only, and known after a restart", async () => {
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "edge-control", namespace: "default" },
    data: { token: "eA==" },
  };
  const owned = new OwnedObjects(state);
  await owned.load();
  expect(await owned.put(secret)).toBeDefined();
  expect(await owned.put(secret)).toBeUndefined();
  expect(statSync(join(state, "objects/default/Secret/edge-control.json")).mode & 0o777).toBe(0o600);
  expect(statSync(join(state, "objects")).mode & 0o077).toBe(0);
  const again = new OwnedObjects(state);
  await again.load();
  expect(again.get({ kind: "Secret", namespace: "default", name: "edge-control" })?.["data"]).toEqual({
    token: "eA==",
  });
});

test("one instance per state folder; the lock of one that died is taken over", async () => {
  const lock = await lockState(state);
  await expect(lockState(state)).rejects.toMatchObject({
    code: "SIPR_STATE_LOCKED",
    message: expect.stringContaining(String(process.pid)),
  });
  await lock.release();
  const gone = { pid: process.pid, startTime: "1", bootId: "other" };
  writeFileSync(join(state, "lock"), JSON.stringify(gone));
  const taken = await lockState(state);
  await expect(lockState(state)).rejects.toMatchObject({ code: "SIPR_STATE_LOCKED" });
  await taken.release();
  writeFileSync(join(state, "lock"), "");
  await (await lockState(state)).release();
});

test("of many that find a stale lock exactly one gets it, also when one died while it cleared it away", async () => {
  const dead = JSON.stringify({ pid: 1, startTime: "1", bootId: "other" });
  for (let round = 0; round < 50; round += 1) {
    writeFileSync(join(state, "lock"), dead);
    if (round % 10 === 0) writeFileSync(join(state, "lock.clearing"), dead);
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockState(state)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(readdirSync(state)).toEqual(["lock"]);
    for (const one of results) if (one.status === "fulfilled") await one.value.release();
  }
});

test("a missing kamailio is named with what to install", async () => {
  await expect(findKamailio("no-such-kamailio", "/bin", "/")).rejects.toMatchObject({
    code: "SIPR_KAMAILIO_MISSING",
    message: expect.stringContaining("no-such-kamailio"),
    remedy: expect.stringContaining("apt-get install kamailio"),
  });
  expect(await findKamailio("sh", "/nowhere:/bin", "/")).toBe("/bin/sh");
});

test("the pool: addresses of this host only; without any, its own and one replica", () => {
  const entry = (address: string, internal: boolean) => ({
    address,
    internal,
    family: "IPv4" as const,
    netmask: "",
    mac: "",
    cidr: null,
  });
  const interfaces = { lo: [entry("127.0.0.1", true)], eth0: [entry("192.0.2.7", false)] };
  expect(resolvePool(undefined, interfaces)).toEqual({ addresses: ["192.0.2.7"], maxReplicas: 1 });
  expect(resolvePool("127.40.0.1, 192.0.2.7", interfaces)).toEqual({ addresses: ["127.40.0.1", "192.0.2.7"] });
  for (const [text, why] of [
    ["192.0.2.8", "not an address of this host"],
    ["127.40.0.1,127.40.0.1", "named twice"],
    ["localhost", "not an IP address"],
  ] as const)
    expect(() => resolvePool(text, interfaces)).toThrow(why);
});
