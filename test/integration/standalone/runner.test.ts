/** The process runner with real processes: start, data swap, crash, take-over, end. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createRunner, type DataObject, type PodStatus, type Runner } from "../../../src/standalone/runner/index.ts";
import { STUB_PORT, stubRecord, stubSpec } from "../../support/stubPod.ts";
import { until } from "../../support/until.ts";

const IP = "127.40.1.1";
let workDir: string;
let runner: Runner;
let objects: Map<string, DataObject>;
let cleanup: (() => void)[];

const start = (): Runner =>
  createRunner({
    workDir,
    objects: { get: (kind, namespace, name) => objects.get(`${kind}/${namespace}/${name}`) },
    baseEnv: { PATH: process.env["PATH"] ?? "" },
    backoff: { baseMs: 100, maxMs: 400, resetMs: 60_000 },
    onChange: () => undefined,
    log: () => undefined,
  });
const setData = (value: string): void => void objects.set("ConfigMap/default/data", { data: { value } });
const get = async (path: string): Promise<string> => (await fetch(`http://${IP}:${STUB_PORT}${path}`)).text();
const status = (): PodStatus => {
  const found = runner.status("default", "pod");
  if (found === undefined) throw new Error("no such pod");
  return found;
};
const ready = (): Promise<PodStatus> => until("the pod is ready", () => status().ready && status());
const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
};

beforeEach(() => {
  workDir = mkdtempSync(join(tmpdir(), "runner-"));
  objects = new Map([["Secret/default/control", { data: { token: Buffer.from("t0ken").toString("base64") } }]]);
  cleanup = [];
  setData("one");
  runner = start();
});
afterEach(async () => {
  for (const { record } of runner.statuses()) await runner.terminate(record.namespace, record.name, 0);
  for (const undo of cleanup) undo();
  rmSync(workDir, { recursive: true, force: true });
});

test("a change of data reaches the process that runs, without a restart", async () => {
  runner.run(stubRecord("pod", IP));
  const { pid } = await ready();
  expect(await get("/")).toBe("one");
  setData("two");
  await runner.syncVolumes();
  expect(await get("/")).toBe("two");
  expect(status().pid).toBe(pid);
  expect(JSON.parse(await get("/env"))).toMatchObject({
    POD_IP: IP,
    TOKEN: "t0ken",
    RUN_DIR: join(workDir, "default/pod/volumes/run"),
  });
  expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).not.toContain("t0ken");
});

test("a fault of the disk is told and ends with the fault: the pod starts, and one that ran is supervised on", async () => {
  const folder = join(workDir, "default/pod");
  mkdirSync(join(workDir, "default"), { recursive: true });
  writeFileSync(folder, "in the way");
  runner.run(stubRecord("pod", IP));
  await until("the fault is told", () => status().message.startsWith("the runner failed: "));
  expect(status().ready).toBe(false);
  rmSync(folder);
  const { pid } = await ready();
  renameSync(join(folder, "volumes"), join(folder, "aside"));
  writeFileSync(join(folder, "volumes"), "in the way");
  process.kill(pid ?? 0, "SIGKILL");
  await until("the fault is told", () => status().message.startsWith("the runner failed: "));
  rmSync(join(folder, "volumes"));
  renameSync(join(folder, "aside"), join(folder, "volumes"));
  expect((await ready()).pid).not.toBe(pid);
});

test("a process that is killed comes back with the data of now, and one that keeps ending is said to", async () => {
  runner.run(stubRecord("pod", IP));
  const { pid } = await ready();
  setData("two");
  process.kill(pid ?? 0, "SIGKILL");
  await until("another process is ready", () => status().pid !== pid && status().ready);
  expect(await get("/")).toBe("two");
  expect(status().restartCount).toBe(1);
  await get("/exit").catch(() => "");
  const crashed = await until("back-off", () => status().message.startsWith("CrashLoopBackOff") && status());
  expect(crashed.message).toContain("exit code 3");
  expect(crashed.message).toContain("told to exit");
  await ready();
});

test("a later runner takes over the same process, and only that one", async () => {
  runner.run(stubRecord("pod", IP));
  const before = await ready();
  await runner.release();
  expect(isAlive(before.pid ?? 0)).toBe(true);
  runner = start();
  await runner.load();
  expect(status()).toMatchObject({ pid: before.pid, ready: true, restartCount: 0 });
  setData("three");
  await runner.syncVolumes();
  expect(await get("/")).toBe("three");
});

test("a process that died while nobody supervised it is started anew by the next runner", async () => {
  runner.run(stubRecord("pod", IP));
  const before = await ready();
  await runner.release();
  process.kill(before.pid ?? 0, "SIGKILL");
  await until("the process is gone", () => !isAlive(before.pid ?? 0));
  runner = start();
  await runner.load();
  const after = await ready();
  expect(after.pid).not.toBe(before.pid);
  expect(after.restartCount).toBe(1);
});

test("a recorded pid that now belongs to another process is neither adopted nor killed", async () => {
  runner.run(stubRecord("pod", IP));
  const before = await ready();
  await runner.release();
  process.kill(before.pid ?? 0, "SIGKILL");
  await until("the process is gone", () => !isAlive(before.pid ?? 0));
  const stranger: ChildProcess = spawn("sleep", ["60"]);
  cleanup.push(() => void stranger.kill());
  const file = join(workDir, "default/pod/process.json");
  const record = JSON.parse(readFileSync(file, "utf8")) as { identity: { pid: number } };
  execFileSync("sh", [
    "-c",
    'printf "%s" "$1" > "$2"',
    "sh",
    JSON.stringify({ ...record, identity: { ...record.identity, pid: stranger.pid } }),
    file,
  ]);
  runner = start();
  await runner.load();
  const after = await ready();
  expect(after.pid).not.toBe(stranger.pid);
  await runner.terminate("default", "pod", 5);
  expect(isAlive(stranger.pid ?? 0)).toBe(true);
});

test("the start was cut short before the pid was recorded: the process is found and taken over", async () => {
  runner.run(stubRecord("pod", IP));
  const before = await ready();
  await runner.release();
  const file = join(workDir, "default/pod/process.json");
  const { identity: _lost, ...record } = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  execFileSync("sh", ["-c", 'printf "%s" "$1" > "$2"', "sh", JSON.stringify(record), file]);
  runner = start();
  await runner.load();
  expect((await ready()).pid).toBe(before.pid);
});

test("the end: preStop first, then SIGTERM; nothing is left, not even what the process forked", async () => {
  const drain = `fetch("http://${IP}:${STUB_PORT}/drain").then(() => setTimeout(() => process.exit(0), 300))`;
  const lifecycle = { preStop: { exec: { command: [process.execPath, "-e", drain] } } };
  runner.run(stubRecord("pod", IP, stubSpec({ lifecycle })));
  const { pid } = await ready();
  const ending = runner.terminate("default", "pod");
  await until(
    "draining takes it out of service",
    async () => (await fetch(`http://${IP}:${STUB_PORT}/readyz`)).status === 503,
  );
  await ending;
  expect(isAlive(pid ?? 0)).toBe(false);
  expect(runner.statuses()).toEqual([]);
});

test("children that lost their parent do not outlive the pod", async () => {
  const spec = stubSpec({
    command: ["sh"],
    args: ["-c", "sleep 300 & echo child $!; wait"],
    readinessProbe: undefined,
  });
  runner.run(stubRecord("pod", IP, spec));
  await ready();
  const child = await until(
    "the child's pid",
    () => /child (\d+)/.exec(readFileSync(runner.logFile("default", "pod"), "utf8"))?.[1],
  );
  const { pid } = status();
  process.kill(pid ?? 0, "SIGKILL");
  await until("the parent is started again", () => status().pid !== undefined && status().pid !== pid);
  expect(isAlive(Number(child))).toBe(false);
});

test("a process can make UNIX sockets in its emptyDir however deep its folder lies", async () => {
  workDir = join(workDir, "deep".repeat(30));
  runner = start();
  const listen =
    'require("node:net").createServer().listen(process.env.RUN_DIR + "/control.sock", () => console.log("listens"))';
  const record = stubRecord(
    "pod",
    IP,
    stubSpec({ command: [process.execPath], args: ["-e", listen], readinessProbe: undefined }),
  );
  runner.run(record);
  await until("it listens", () => readFileSync(runner.logFile("default", "pod"), "utf8").includes("listens"));
  expect(readdirSync(join(workDir, "default/pod/volumes/run"))).toEqual(["control.sock"]);
  const links = () => readdirSync(tmpdir()).filter((name) => name.startsWith("sipr-"));
  const before = links().length;
  await runner.terminate("default", "pod", 1);
  expect(links().length).toBe(before - 1);
});

test("a port in use is named with who holds it, and taken once it is free", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(STUB_PORT, IP, resolve));
  cleanup.push(() => void holder.close());
  runner.run(stubRecord("pod", IP));
  const blocked = await until("it says why", () => status().message !== "" && status());
  expect(blocked.message).toContain("SIPR_PORT_IN_USE");
  expect(blocked.message).toContain(`${IP}:${STUB_PORT}`);
  expect(blocked.message).toContain(`pid ${process.pid}`);
  expect(blocked.running).toBe(false);
  await new Promise((resolve) => holder.close(resolve));
  await ready();
});

test("what a volume lacks is named, and the pod starts once it is there", async () => {
  objects.delete("ConfigMap/default/data");
  runner.run(stubRecord("pod", IP));
  const waiting = await until("it says why", () => status().message !== "" && status());
  expect(waiting.message).toContain("ConfigMap default/data not found");
  setData("late");
  await runner.syncVolumes();
  await ready();
  expect(await get("/")).toBe("late");
});
