/** The commands of docs/install.md and docs/upgrade.md as they stand there, by the real Helm and kubectl. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf, commandsOf } from "../../../hack/checkDocs.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";
import { root, toolFolder } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";
import { OperatorProcess } from "../kube/process.ts";

const installByHelm =
  "helm install sip-router-operator charts/sip-router-operator --namespace sip-router-system --create-namespace";
const testByHelm = "helm test sip-router-operator --namespace sip-router-system";
const installRouters = "helm install edge charts/sip-router --namespace voice --create-namespace";
const kustomize = ["kubectl apply --server-side -k config/default", "kubectl apply -k config/samples"];
const uninstall = [
  "helm uninstall edge --namespace voice",
  "helm uninstall sip-router-operator --namespace sip-router-system",
];
const definitions = "kubectl apply --server-side --force-conflicts -f crds/";
const upgradeByHelm =
  "helm upgrade sip-router-operator charts/sip-router-operator --namespace sip-router-system --reset-then-reuse-values";
const rollback =
  "helm upgrade sip-router-operator OLDCHART --namespace sip-router-system --reset-then-reuse-values --set crds.enabled=false";
const as = (command: string, word: string, value: string): string => command.replace(word, value);

let server: TestApiServer;
const home = mkdtempSync(path.join(tmpdir(), "install-"));
beforeAll(async () => {
  server = await startApiServer();
});
afterAll(async () => {
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

const run = async (command: string): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    const env = {
      ...process.env,
      HOME: home,
      KUBECONFIG: server.kubeconfigPath,
      PATH: `${toolFolder()}:${server.assets}:${process.env["PATH"] ?? ""}`,
    };
    execFile("bash", ["-c", command], { cwd: root, env }, (error, stdout, stderr) =>
      resolve({ code: error ? 1 : 0, output: stdout + stderr }),
    );
  });
const has = async (...what: string[]): Promise<boolean> =>
  (await server.kubectl(["get", ...what], { allowFailure: true })).code === 0;

test("the pages show these commands", async () => {
  const shown = async (page: string): Promise<string[]> =>
    blocksOf(await readFile(path.join(root, page), "utf8"))
      .filter(({ language }) => language === "sh")
      .flatMap(commandsOf);
  // in this order; what brings images to a cluster, and Argo CD and Compose, are beside them
  const found = await shown("docs/install.md");
  expect(found.filter((line) => /^(helm|kubectl apply) /.test(line))).toEqual([
    installByHelm,
    testByHelm,
    installRouters,
    ...kustomize,
    ...uninstall,
  ]);
  expect((await shown("docs/upgrade.md")).slice(0, 4)).toEqual([upgradeByHelm, definitions, kustomize[0], rollback]);
});

test("Helm: installed, tested, uninstalled", { timeout: 150_000 }, async () => {
  expect(await run(installByHelm)).toMatchObject({ code: 0 });
  await until("the definitions are served", () => has("sipr,pbx", "-A"));
  expect(await run(installRouters)).toMatchObject({ code: 0 });

  // there is no kubelet: the test's pod is run here, against an operator that runs here
  const operator = await new OperatorProcess(server.kubeconfigPath).started();
  const result = run(testByHelm);
  const pod = ["sip-router-operator-ready", "-n", "sip-router-system"];
  const { spec } = await until("the test's pod", async () => {
    const { stdout, code } = await server.kubectl(["get", "pod", ...pod, "-o", "json"], { allowFailure: true });
    return code === 0 && (JSON.parse(stdout) as { spec: { containers: { command: string[]; args: string[] }[] } });
  });
  const { command = [], args = [] } = spec.containers[0] ?? {};
  expect(command[0]).toBe("/usr/local/bin/node");
  expect(args.at(-1)).toBe("http://sip-router-operator-metrics.sip-router-system.svc:8080/readyz");
  const here = `http://127.0.0.1:${operator.logged("starting")?.["port"]}/readyz`;
  const child = spawn(process.execPath, [...command.slice(1), ...args.slice(0, -1), here], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number];
  const status = JSON.stringify({ status: { phase: code === 0 ? "Succeeded" : "Failed" } });
  await server.kubectl(["patch", "pod", ...pod, "--subresource=status", "--type=merge", "-p", status]);
  expect(await result).toMatchObject({ code: 0, output: expect.stringMatching(/Phase:\s+Succeeded/) });
  await operator.end();

  for (const line of uninstall) expect(await run(line)).toMatchObject({ code: 0 });
  expect(await has("siprouter", "edge", "-n", "voice")).toBe(false);
  expect(await has("crd", "siprouters.siprouter.dev")).toBe(true);
});

test(
  "going back to an older version loses no field that only the newer definitions have",
  { timeout: 60_000 },
  async () => {
    const older = "charts/sip-router-operator";
    const newer = path.join(home, "newer");
    cpSync(path.join(root, older), newer, { recursive: true });
    const definition = path.join(newer, "templates/crds/siprouter.dev_pbxbackends.yaml");
    const text = await readFile(definition, "utf8");
    writeFileSync(definition, text.replace(/^( +)(adminState:)$/m, "$1laterField: {type: string}\n$1$2"));
    const object = { apiVersion: "siprouter.dev/v1alpha1", kind: "PbxBackend", metadata: { name: "later" }, spec: { address: "192.0.2.1", laterField: "kept" } }; // prettier-ignore
    const laterField = async () => {
      // a write by somebody who does not know the field either: now it would be dropped
      await server.kubectl(["annotate", "pbx", "later", `at=${Date.now()}`, "--overwrite"], { allowFailure: true });
      const get = ["get", "pbx", "later", "-o", "jsonpath={.spec.laterField}"];
      return (await server.kubectl(get, { allowFailure: true })).stdout;
    };

    expect(await run(installByHelm)).toMatchObject({ code: 0 });
    const upgrade = as(upgradeByHelm, older, newer);
    expect(await run(`${upgrade} --set replicas=3`)).toMatchObject({ code: 0 });
    await until("the newer definition keeps the field", async () => {
      await server.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object), allowFailure: true });
      return (await laterField()) === "kept";
    });
    expect(await run(as(rollback, "OLDCHART", older))).toMatchObject({ code: 0 });
    expect(await laterField()).toBe("kept");
    const deployment = ["get", "deployment", "sip-router-operator", "-n", "sip-router-system", "-o"];
    expect((await server.kubectl([...deployment, "jsonpath={.spec.replicas}"])).stdout).toBe("3");
    // and the next upgrade takes the definitions over again
    expect(await run(`${upgrade} --set crds.enabled=true`)).toMatchObject({ code: 0 });
    expect(await laterField()).toBe("kept");
    expect(await run(`${uninstall[1]}`)).toMatchObject({ code: 0 });
    await server.kubectl(["delete", "-f", path.join(root, "crds")]);
  },
);

test("kustomize, and an upgrade without Helm", { timeout: 60_000 }, async () => {
  for (const line of [...kustomize, definitions, kustomize[0] as string])
    expect(await run(line), line).toMatchObject({ code: 0 });
  expect(await has("deployment", "sip-router-operator", "-n", "sip-router-system")).toBe(true);
});
