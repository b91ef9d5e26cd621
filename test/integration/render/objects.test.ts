import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCase, runCase } from "../../support/golden.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";

const golden = join(import.meta.dirname, "../../golden");
const cases = readdirSync(golden).filter((name) => existsSync(join(golden, name, "in.yaml")));
const rendered = cases.flatMap((name) => {
  const input = readCase(join(golden, name));
  const routers = [...runCase(input.objects, input).routers];
  return routers.flatMap(([key, router]) =>
    router.rendered === undefined ? [] : [{ name: `${name}: ${key}`, objects: router.rendered.objects }],
  );
});

let server: TestApiServer;
beforeAll(async () => {
  server = await startApiServer({ controllers: false });
});
afterAll(() => server.stop());

test("there is something to check", () => {
  expect(rendered.length).toBeGreaterThan(10);
});

test.each(rendered)("the API server takes every object as it stands: $name", async ({ objects }) => {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  const args = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
  const result = await server.kubectl(args, { input, allowFailure: true });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  expect(result.stdout.trim().split("\n")).toHaveLength(objects.length);
});
