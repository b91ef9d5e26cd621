/** Many watches and requests at once over few connections, on a real API server. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RawObject } from "../../../src/api/index.ts";
import { createConnection, type Connection } from "../../../src/kube/connection.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";

const MAPS = "/api/v1/namespaces/default/configmaps";
const WATCHES = 250;

let server: TestApiServer;
let connection: Connection;
beforeAll(async () => {
  server = await startApiServer({ controllers: false });
  connection = createConnection(server.kubeConfig);
});
afterAll(async () => {
  connection.close();
  await server.stop();
});

/** Open connections of anybody to the API server, seen from its own end. */
const connections = (): number => {
  const port = Number(new URL(server.url).port).toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , state]) => local.endsWith(`:${port}`) && state === "01").length;
};

test("every answer comes whole, however many requests are under way", async () => {
  const data = { text: "x".repeat(20_000) };
  const names = Array.from({ length: 150 }, (_, index) => `map-${index}`);
  const made = await Promise.all(
    names.map((name) => connection.request("POST", MAPS, { body: { metadata: { name }, data } })),
  );
  expect(made.map((one) => (one as RawObject).metadata.name)).toEqual(names);
  const list = (await connection.request("GET", MAPS)) as { items: { data?: unknown }[] };
  expect(list.items.filter((one) => JSON.stringify(one.data) === JSON.stringify(data))).toHaveLength(names.length);
});

test("hundreds of watches share a few connections, and each brings its object", async () => {
  const before = connections();
  const stopping = new AbortController();
  const seen = new Set<number>();
  const watches = Array.from({ length: WATCHES }, (_, index) =>
    connection.watch(MAPS, {
      query: { fieldSelector: `metadata.name=watched-${index}` },
      signal: stopping.signal,
      quietMs: 120_000,
      onEvent: () => void seen.add(index),
    }),
  );
  await Promise.all(
    watches.map((_, index) => connection.request("POST", MAPS, { body: { metadata: { name: `watched-${index}` } } })),
  );
  await until("each watch has its object", () => seen.size === WATCHES, 50_000);
  expect(connections() - before).toBeLessThan(10);
  stopping.abort();
  await Promise.all(watches);
});
