/** The API server of the integration tests itself: outages, permissions of a token, and nothing left behind. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startApiServer } from "../../support/apiserver.ts";
import { until } from "../../support/until.ts";

/** Processes whose command line names the folder. */
const processesOf = (folder: string): string[] =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
      } catch {
        return false;
      }
    });

test("an outage keeps the data, a token has no more than RBAC grants, and stop leaves nothing", async () => {
  const server = await startApiServer();
  onTestFinished(async () => server.stop());
  const folder = path.dirname(server.kubeconfigPath);
  await server.kubectl(["create", "configmap", "kept", "--from-literal=a=b"]);
  await server.stopApiServer();
  expect((await server.kubectl(["get", "configmap", "kept"], { allowFailure: true })).code).not.toBe(0);
  await server.startApiServer();
  expect((await server.kubectl(["get", "configmap", "kept", "-o", "name"])).stdout).toBe("configmap/kept\n");

  const account = await server.serviceAccountKubeconfig("default", "default");
  const denied = await server.kubectl([`--kubeconfig=${account}`, "get", "secrets"], { allowFailure: true });
  expect(denied.stderr).toContain("Forbidden");

  await server.kubectl(["create", "deployment", "made", "--image=none", "--replicas=2"]);
  await until("pods of the Deployment", async () => {
    const { stdout } = await server.kubectl(["get", "pods", "-l", "app=made", "-o", "name"]);
    return stdout.trim().split("\n").length === 2;
  });

  expect(processesOf(folder).length).toBeGreaterThan(0);
  await server.stop();
  expect(processesOf(folder)).toEqual([]);
  expect(existsSync(folder)).toBe(false);
});

test("all ends when the test process is killed", async () => {
  const module = path.join(import.meta.dirname, "../../support/apiserver.ts");
  const script = `const s = await (await import(${JSON.stringify(module)})).startApiServer(); console.log(s.kubeconfigPath); setInterval(() => 0, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const file = await until("the child's API server", () => (output.endsWith("\n") ? output.trim() : undefined), 90_000);
  const folder = path.dirname(file);
  expect(processesOf(folder).length).toBeGreaterThanOrEqual(3);
  child.kill("SIGKILL");
  await until("no process left", () => processesOf(folder).length === 0);
  await until("no folder left", () => !existsSync(folder));
});
