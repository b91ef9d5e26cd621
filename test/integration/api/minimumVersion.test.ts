/** The oldest Kubernetes that the charts and docs/install.md name takes the definitions, with all that their rules call. */
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MINIMUM_KUBERNETES_VERSION } from "../../../hack/kube-assets/locate.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";

const root = path.resolve(import.meta.dirname, "../../..");
let server: TestApiServer;
beforeAll(async () => {
  // it is that version in all that it serves and knows, functions of rules included
  const apiServerArgs = [`--emulated-version=${MINIMUM_KUBERNETES_VERSION}`];
  server = await startApiServer({ controllers: false, apiServerArgs });
});
afterAll(async () => server.stop());

test("the API server is as old as it should be", async () => {
  const { gitVersion, emulationMinor, minor } = JSON.parse((await server.kubectl(["get", "--raw", "/version"])).stdout);
  expect(`1.${emulationMinor ?? minor}`, gitVersion).toBe(MINIMUM_KUBERNETES_VERSION);
});

test("it takes the definitions, the samples and everything else that is installed", async () => {
  await server.installCrds();
  await server.kubectl(["apply", "--server-side", "--validate=strict", "-k", path.join(root, "config/samples")]);
  await server.kubectl(["apply", "--server-side", "--validate=strict", "-k", path.join(root, "config/default")]);
  const { stdout } = await server.kubectl(["get", "siprouters,pbxbackends", "-o", "name"]);
  expect(stdout.trim().split("\n")).toHaveLength(8);
});
