/** The lifecycle shell against a real API server: what the watch of the package it extends cannot do. */
import type { ResourceEvent } from "@dot-i/k8s-operator";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { createConnection } from "../../../src/kube/connection.ts";
import type { Connection } from "../../../src/kube/connection.ts";
import { kindInfo } from "../../../src/kube/kinds.ts";
import { OperatorShell } from "../../../src/kube/operator.ts";
import { startApiServer } from "../../support/apiserver.ts";
import type { TestApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";
import { kubeConfigAt, memoryLog, startRelay } from "./support.ts";
import type { Relay } from "./support.ts";

let server: TestApiServer;
let relay: Relay;
let connection: Connection;
let shell: OperatorShell | undefined;
let requests: { verb: string; status: number }[] = [];
let seen: string[] = [];
const log = memoryLog();

beforeAll(async () => {
  server = await startApiServer({ controllers: false });
  await server.kubectl(["create", "namespace", "watch"]);
});
beforeEach(async () => {
  relay = await startRelay(Number(new URL(server.url).port));
  requests = [];
  seen = [];
  const onRequest = (info: { verb: string }, status: number): void => void requests.push({ verb: info.verb, status });
  connection = createConnection(kubeConfigAt(server.kubeconfigPath, relay.port), { onRequest });
});
afterEach(async () => {
  await shell?.stopAndWait();
  shell = undefined;
  connection.close();
  await relay.stop();
  await server.kubectl(["-n", "watch", "delete", "configmap", "-l", "test=yes"]);
});
afterAll(() => server.stop());

const start = async (quietMs?: number): Promise<OperatorShell> => {
  shell = new OperatorShell({
    kubeConfig: kubeConfigAt(server.kubeconfigPath),
    connection,
    watches: [{ info: kindInfo("ConfigMap"), namespace: "watch", labelSelector: "test=yes" }],
    log,
    quietMs,
    onEvent: (event: ResourceEvent) => {
      const { data } = event.object as unknown as { data?: Record<string, string> };
      seen.push(`${event.type} ${event.meta.name} ${data?.["value"]}`);
    },
  });
  await shell.start();
  await shell.synced();
  return shell;
};
const reflector = () => {
  const [first] = shell?.reflectors("ConfigMap") ?? [];
  if (!first) throw new Error("no watch");
  return first;
};
const put = async (name: string, value: string): Promise<void> => {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, labels: { test: "yes" } }, data: { value } };
  await server.kubectl(["-n", "watch", "apply", "-f", "-"], { input: JSON.stringify(object) });
};
const remove = (name: string) => server.kubectl(["-n", "watch", "delete", "configmap", name]);
const saw = (...events: string[]) =>
  until(`${events.join(", ")} in ${seen.join(", ")}`, () => events.every((event) => seen.includes(event)));
const cached = (name: string): RawObject | undefined => reflector().objects.get(`watch/${name}`);
const lists = (): number => requests.filter(({ verb, status }) => verb === "list" && status === 200).length;

describe("watchResource", () => {
  test("objects that are there, and each change after them, arrive as events", async () => {
    await put("before", "1");
    await start();
    expect(seen).toEqual(["ADDED before 1"]);
    await put("after", "1");
    await put("after", "2");
    await remove("before");
    await saw("DELETED before 1");
    expect(seen.slice(1)).toEqual(["ADDED after 1", "MODIFIED after 2", "DELETED before 1"]);
    expect(cached("before")).toBeUndefined();
    expect(cached("after")).toMatchObject({ kind: "ConfigMap", apiVersion: "v1", data: { value: "2" } });
  });

  test("a restart of the API server: what changed, went and was replaced meanwhile is found by a new list", async () => {
    await put("same", "1");
    await put("changed", "1");
    await put("deleted", "1");
    await put("replaced", "1");
    await start();
    relay.cut();
    await until("the outage is noticed", () => reflector().error !== undefined);
    await put("changed", "2");
    await remove("deleted");
    await remove("replaced");
    await put("replaced", "2");
    await put("new", "1");
    // after a restart the API server knows no changes from before it: the old resource version is answered with 410
    await server.restartApiServer();
    seen = [];
    relay.heal();
    await saw("MODIFIED changed 2", "DELETED deleted 1", "DELETED replaced 1", "ADDED replaced 2", "ADDED new 1");
    expect(seen).toHaveLength(5);
    expect(lists()).toBe(2);
    expect(reflector().error).toBeUndefined();
    await put("same", "2");
    await saw("MODIFIED same 2");
  });

  test("a connection that was only cut goes on where it was, with no new list", async () => {
    await put("deleted", "1");
    await start();
    relay.cut();
    await until("the outage is noticed", () => reflector().error !== undefined);
    await remove("deleted");
    relay.heal();
    await saw("DELETED deleted 1");
    expect(lists()).toBe(1);
  });

  test("a watch on which nothing comes through any more is opened again", async () => {
    await start(500);
    relay.freeze();
    await put("late", "1");
    await saw("ADDED late 1");
    expect(lists()).toBe(1);
  });

  test("an API server that is away at the start is waited for, and the outage is logged once", async () => {
    relay.cut();
    log.lines.length = 0;
    const starting = start();
    await until("three attempts", () => requests.length >= 3);
    relay.heal();
    await starting;
    const warnings = log.lines.filter(({ level }) => level === "warn");
    expect(warnings).toHaveLength(1);
    expect(JSON.stringify(warnings[0]?.fields)).toContain("configmaps");
  });

  test("stop ends the watches and the copies stay readable", async () => {
    await put("kept", "1");
    const running = await start();
    await running.stopAndWait();
    seen = [];
    await put("kept", "2");
    expect(seen).toEqual([]);
    expect(cached("kept")).toMatchObject({ data: { value: "1" } });
  });
});
