/** From one version of the API to the next, by the commands of docs/upgrade.md, while both are the same but for their name. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, commandsOf } from "../../../hack/checkDocs.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { documents, root } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";

let server: TestApiServer;
beforeAll(async () => {
  server = await startApiServer({ crds: true, controllers: false });
});
afterAll(async () => server.stop());

interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
}
interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly versions: readonly Version[] };
}
const definitions = readdirSync(path.join(root, "crds")).flatMap(
  (file) => documents(readFileSync(path.join(root, "crds", file), "utf8")) as unknown as Definition[],
);
const applyVersions = async (change: (alpha: Version) => readonly Version[]): Promise<void> => {
  const items = definitions.map((one) => ({ ...one, spec: { ...one.spec, versions: change(one.spec.versions[0] as Version) } })); // prettier-ignore
  await server.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], {
    input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  });
};
const commands = blocksOf(readFileSync(path.join(root, "docs/upgrade.md"), "utf8"))
  .filter(({ language }) => language === "sh")
  .flatMap(commandsOf)
  .filter((line) => /replace -f -|storedVersions/.test(line));
const run = async (command: string): Promise<unknown> =>
  promisify(execFile)("bash", ["-o", "pipefail", "-c", command], {
    env: { ...process.env, KUBECONFIG: server.kubeconfigPath, PATH: `${server.assets}:${process.env["PATH"] ?? ""}` },
  });
const names = async (version: string): Promise<string[]> => {
  const kinds = `siprouters.${version}.siprouter.dev,pbxbackends.${version}.siprouter.dev`;
  return (await server.kubectl(["get", kinds, "-o", "name"])).stdout.trim().split("\n");
};

test("objects of the old version are there under the new one, and the old one can go", async () => {
  await server.kubectl(["apply", "-k", path.join(root, "config/samples")]);
  const before = await names("v1alpha1");
  expect(before).toHaveLength(8);

  await applyVersions((alpha) => [
    { ...alpha, storage: false },
    { ...alpha, name: "v1beta1", storage: true },
  ]);
  await until("the new version is served", async () => (await names("v1beta1")).length === 8);
  expect(commands).toHaveLength(3);
  for (const command of commands) await run(command);
  const stored = ["get", "crd", ...definitions.map(({ metadata }) => metadata.name), "-o"];
  expect((await server.kubectl([...stored, "jsonpath={.items[*].status.storedVersions}"])).stdout).toBe('["v1beta1"] ["v1beta1"]'); // prettier-ignore

  // the API server refuses this while the old version is said to be stored
  await applyVersions((alpha) => [{ ...alpha, name: "v1beta1", storage: true }]);
  expect(await names("v1beta1")).toEqual(before);
});
