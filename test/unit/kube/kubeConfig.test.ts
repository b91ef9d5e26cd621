/** Kubeconfigs as kubectl takes them: several files, and credential plugins. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { loadKubeConfig } from "../../../src/kube/kubeConfig.ts";

const folder = mkdtempSync(join(tmpdir(), "kubeconfig-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, server: string, user: object): string => {
  const file = join(folder, name);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server } }],
    users: [{ name: "u", user }],
    contexts: [{ name: name, context: { cluster: "c", user: "u" } }],
    "current-context": name,
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
};

test("KUBECONFIG with several files: the first one that names something counts, one that is not there is left out", () => {
  const files = [
    join(folder, "none"),
    write("a", "https://first:6443", { token: "1" }),
    write("b", "https://second:6443", { token: "2" }),
  ];
  const config = loadKubeConfig({}, "", { env: { KUBECONFIG: files.join(delimiter) } });
  expect(config.getCurrentContext()).toBe("a");
  expect(config.getContexts().map(({ name }) => name)).toEqual(["a", "b"]);
  expect(config.getCurrentCluster()?.server).toBe("https://first:6443");
  expect(config.getCurrentUser()?.token).toBe("1");
});

test('--kubeconfig "" is none, as with kubectl: a variable that is not set', () => {
  const env = { KUBECONFIG: write("c", "https://third:6443", {}) };
  expect(loadKubeConfig({ kubeconfig: "" }, "", { env }).getCurrentContext()).toBe("c");
});

describe("a credential plugin", () => {
  const plugin = (name: string, script: string): string => {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const authorize = async (command: string, more: object = {}): Promise<RequestOptions> => {
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command, ...more };
    const file = write("plugin", "https://first:6443", { exec });
    const config = loadKubeConfig({ kubeconfig: file }, "", { env: { PATH: process.env["PATH"] } });
    const options: RequestOptions = {};
    await Promise.all([config.applyToHTTPSOptions({}), config.applyToHTTPSOptions(options)]);
    return options;
  };

  test("is told of the cluster, runs once for requests at the same time, and its token is used", async () => {
    const runs = join(folder, "runs");
    const command = plugin(
      "right",
      `echo x >>${runs}; echo "$KUBERNETES_EXEC_INFO" >${runs}.info
case $KUBERNETES_EXEC_INFO in *'"interactive":false'*'"server":"https://first:6443"'*) t=told;; *) t=untold;; esac
echo '{"kind":"ExecCredential","status":{"token":"'$t'"}}'`,
    );
    const { headers } = await authorize(command, { provideClusterInfo: true });
    expect(headers).toMatchObject({ Authorization: "Bearer told" });
    expect(readFileSync(runs, "utf8")).toBe("x\n");
  });

  test("that fails, says nothing or is not there: its own words, and what to do", async () => {
    const failing = plugin("failing", "echo 'the session has expired' >&2; exit 3");
    await expect(authorize(failing)).rejects.toMatchObject({
      code: "SIPR_API",
      message: expect.stringMatching(/user u failed \(exit code 3\): the session has expired/),
      remedy: expect.stringContaining("log in anew"),
    });
    await expect(authorize(plugin("silent", "exit 0"))).rejects.toThrow(/gave no ExecCredential/);
    await expect(authorize("no-such-plugin", { installHint: "Get it from us." })).rejects.toMatchObject({
      message: expect.stringContaining("is not there"),
      remedy: "Get it from us.",
    });
    await expect(authorize(failing, { interactiveMode: "Always" })).rejects.toThrow(/asks on a terminal/);
  });
});
