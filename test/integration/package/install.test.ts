/** The commands of docs/install.md and docs/upgrade.md as they stand there, by the real Helm and kubectl. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
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
const rollback = "helm rollback sip-router-operator --namespace sip-router-system";

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
  expect(await shown("docs/install.md")).toEqual([
    installByHelm,
    testByHelm,
    installRouters,
    ...kustomize,
    ...uninstall,
  ]);
  expect(await shown("docs/upgrade.md")).toEqual([definitions, kustomize[0], rollback]);
});

test("Helm: installed, tested, rolled back, uninstalled", { timeout: 150_000 }, async () => {
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

  await run(`${installByHelm.replace("install", "upgrade")} --set replicas=3`.replace(" --create-namespace", ""));
  expect(await run(rollback)).toMatchObject({ code: 0 });
  for (const line of uninstall) expect(await run(line)).toMatchObject({ code: 0 });
  expect(await has("siprouter", "edge", "-n", "voice")).toBe(false);
  expect(await has("crd", "siprouters.siprouter.dev")).toBe(true);
});

test("kustomize, and an upgrade without Helm", { timeout: 60_000 }, async () => {
  for (const line of [...kustomize, definitions, kustomize[0] as string])
    expect(await run(line), line).toMatchObject({ code: 0 });
  expect(await has("deployment", "sip-router-operator", "-n", "sip-router-system")).toBe(true);
});
