/** What is released beside the charts: the image's root folder, compose.yaml, workflows, the files of a release. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { load as loadYaml } from "js-yaml";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { processesOf } from "../../../hack/demo/processes.ts";
import { documents, root, tool, type ToolResult } from "../../support/package/tools.ts";
import { until } from "../../support/until.ts";

const work = mkdtempSync(path.join(tmpdir(), "release-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const run = async (
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
  cwd = root,
): Promise<ToolResult> =>
  new Promise((resolve) => {
    execFile(program, args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ code: error ? (typeof error.code === "number" ? error.code : 1) : 0, stdout, stderr }),
    );
  });

describe("the operator's image", () => {
  const rootfs = path.join(work, "rootfs");

  /** The build stage as far as it needs no engine: what it copies, then what it runs. `npm ci` has been done here. */
  beforeAll(async () => {
    const context = path.join(work, "src");
    mkdirSync(context);
    const allowed = read(".dockerignore")
      .split("\n")
      .filter((line) => line.startsWith("!"));
    const [stage = ""] = read("Dockerfile").split(/^FROM scratch$/m);
    for (const [, sources = "", target = ""] of stage.matchAll(/^COPY ((?:\S+ )+)(\S+)$/gm))
      for (const source of sources.trim().split(" ")) {
        if (!allowed.includes(`!${source.endsWith("/") ? `${source}**` : source}`))
          throw new Error(`.dockerignore keeps ${source} from the build`);
        cpSync(path.join(root, source), path.join(context, target.endsWith("./") ? source : target), {
          recursive: true,
        });
      }
    symlinkSync(path.join(root, "node_modules"), path.join(context, "node_modules"));
    if (!stage.includes("RUN hack/image/rootfs --node /rootfs")) throw new Error("the build stage runs something else");
    const laid = await run(path.join(context, "hack/image/rootfs"), ["--node", rootfs], process.env, context);
    if (laid.code !== 0) throw new Error(laid.stdout + laid.stderr);
  });

  test("it runs: the program and its packages are all there, and Node.js with its libraries", async () => {
    const [, entry = "[]"] = /^ENTRYPOINT (.*)$/m.exec(read("Dockerfile")) ?? [];
    const [node = "", ...rest] = (JSON.parse(entry) as string[]).map((word) =>
      word.startsWith("/") ? path.join(rootfs, word) : word,
    );
    const rendered = await run(
      node,
      [...rest, "render", "-f", path.join(root, "config/samples")],
      { PATH: "" },
      rootfs,
    );
    expect(rendered).toMatchObject({ code: 0, stderr: "" });
    expect(rendered.stdout).toContain("kind: Deployment");
    const ready = await run(node, [...rest, "run", "--kubeconfig", "/nowhere"], { PATH: "" }, rootfs);
    expect(ready.stderr).toContain("SIPR_USAGE");
  });

  test("there is nothing else in it: no shell, no compiler, no test runner", async () => {
    const { stdout } = await run("find", [rootfs, "-type", "f", "-perm", "/111", "-not", "-path", "*/node_modules/*"]);
    const programs = stdout
      .trim()
      .split("\n")
      .map((file) => path.relative(rootfs, file))
      .filter((file) => !/(^|\/)ld-linux|\.so[.\d]*$/.test(file));
    expect(programs.toSorted()).toEqual(["app/dist/kubectl-sip.js", "app/dist/main.js", "usr/local/bin/node"]);
    for (const name of ["vitest", "typescript", "oxlint"])
      expect(existsSync(path.join(rootfs, "app/node_modules", name))).toBe(false);
  });

  test("of each package that it runs with there is what scanners know it by, and its licence", () => {
    const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
    for (const name of Object.keys(dependencies)) {
      const laid = path.join(rootfs, "app/node_modules", name);
      expect(readFileSync(path.join(laid, "package.json"), "utf8")).toBe(read(`node_modules/${name}/package.json`));
      expect(readdirSync(laid), name).toContainEqual(expect.stringMatching(/^licen[cs]e/i));
    }
  });

  test("it is loaded from few files, without what the client of the API server has beside the connection", async () => {
    const { stdout } = await run("find", [path.join(rootfs, "app"), "-name", "*.js", "-size", "+200k"]);
    const texts = stdout
      .trim()
      .split("\n")
      .filter((file) => file.includes("/dist/main/"));
    expect(texts.length).toBeGreaterThan(0);
    for (const file of texts) expect(readFileSync(file, "utf8")).not.toMatch(/class (?:Observable)?CoreV1Api/);
  });
});

describe("make image", () => {
  /** Programs of these names that say how they were called; `info` fails where `broken`. */
  const engines = (...names: string[]): string => {
    const folder = mkdtempSync(path.join(work, "engines-"));
    for (const name of names) {
      const [program = "", broken] = name.split("!");
      const file = path.join(folder, program);
      writeFileSync(
        file,
        `#!/bin/sh\n[ "$1" != info ] || exit ${broken === undefined ? 0 : 1}\necho ${program} "$@"\n`,
      );
      chmodSync(file, 0o755);
    }
    return folder;
  };
  /** A PATH with what the script needs, and these engines before the machine's own: none of which may be there. */
  const build = async (folder: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ToolResult> => {
    const bin = mkdtempSync(path.join(work, "bin-"));
    for (const program of ["bash", "env", "dirname", "sed", "git", "node"]) {
      const { stdout } = await run("bash", ["-c", `command -v ${program}`]);
      symlinkSync(stdout.trim(), path.join(bin, program));
    }
    const clean = { ...process.env, PATH: `${folder}:${bin}`, ENGINE: "", BASE_IMAGE: "", OPERATOR_IMAGE: "" };
    return run(path.join(root, "hack/image/build"), args, { ...clean, ...env });
  };

  test.each([
    [["docker", "podman"], "docker"],
    [["docker!broken", "podman", "buildah"], "podman"],
    [["buildah"], "buildah"],
  ])("of %j it takes what works: %s", async (names, engine) => {
    const result = await build(engines(...names), ["operator", "x:1"]);
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toMatch(new RegExp(`^${engine} build --file Dockerfile --tag x:1 --build-arg VERSION=\\d`));
    expect(result.stdout).toMatch(/REVISION=[0-9a-f]{40} .*CREATED=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/);
  });

  test.each([
    ["operator", { BASE_IMAGE: "node@sha256:ab" }, ["NODE_IMAGE=node@sha256:ab"]],
    ["kamailio", { BASE_IMAGE: "kamailio@sha256:ab" }, ["KAMAILIO_IMAGE=kamailio@sha256:ab"]],
    ["standalone", { BASE_IMAGE: "k:1", OPERATOR_IMAGE: "o:1" }, ["KAMAILIO_IMAGE=k:1", "OPERATOR_IMAGE=o:1"]],
    ["operator", {}, []],
  ])("%s from the images that are named: %j", async (image, env, given) => {
    const { stdout } = await build(engines("docker"), [image, "x:1"], env);
    expect([...stdout.matchAll(/--build-arg (\w+_IMAGE=\S+)/g)].map(([, one]) => one)).toEqual(given);
    const names = given.map((one) => one.replace(/=.*/, ""));
    const file = image === "operator" ? "Dockerfile" : `images/${image}/Dockerfile`;
    for (const name of names) expect(read(file)).toMatch(new RegExp(`^ARG ${name}=`, "m"));
  });

  test("none works: it says why, of each, and what to do", async () => {
    const result = await build(engines("docker!broken"), ["kamailio", "x:1"]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain("no container engine works here");
    expect(result.stderr).toContain("docker is installed, but 'docker info' fails");
    expect(result.stderr).toContain("podman is not installed");
    expect(result.stderr).toContain("remedy: ");
  });
});

describe("compose.yaml", () => {
  const load = async (env: NodeJS.ProcessEnv, file = "compose.yaml"): Promise<ToolResult> =>
    tool("compose-config", [file], { env: { ...env }, allowFailure: true });
  interface Project {
    services: {
      router: { command: string[]; healthcheck: { test: string[] }; volumes: { source: string; target: string }[] };
    };
  }

  test("the loader of docker compose takes it, and says what must be set", async () => {
    const without = await load({});
    expect(without.code).toBe(1);
    expect(without.stderr).toContain("set ADDRESSES to the addresses of this machine");
    expect(await load({ ADDRESSES: "192.0.2.1" })).toMatchObject({ code: 0, stderr: "" });
    const broken = path.join(work, "broken.yaml");
    writeFileSync(broken, read("compose.yaml").replace("network_mode:", "network_mod:"));
    expect((await load({ ADDRESSES: "192.0.2.1" }, broken)).stderr).toContain("network_mod");
  });

  test(
    "its command runs the samples, and its health check sees them, and a Kamailio that hangs",
    { timeout: 90_000 },
    async () => {
      const { stdout } = await load({ ADDRESSES: "127.96.30.1,127.96.30.2" });
      const { router } = (JSON.parse(stdout) as Project).services;
      expect(router.volumes[0]).toMatchObject({ source: path.join(root, "config/samples"), target: "/resources" });
      const state = path.join(work, "state");
      const here = (args: readonly string[]): string[] =>
        args.map((one) =>
          one
            .replace(/(^|=)\/resources$/, `$1${path.join(root, "config/samples")}`)
            .replace(/(^|=)\/state$/, `$1${state}`),
        );
      const child = spawn(process.execPath, [path.join(root, "src/main.ts"), ...here(router.command)], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      let said = "";
      child.stdout.on("data", (data: Buffer) => (said += data.toString()));
      child.stderr.on("data", (data: Buffer) => (said += data.toString()));
      try {
        await until("it is ready", () => said.includes('"event":"ready"') || child.exitCode !== null, 60_000);
        expect(said).toContain('"event":"ready"');
        const [, node, , ...args] = router.healthcheck.test;
        expect(node).toBe("/usr/local/bin/node");
        const health = await run(process.execPath, [path.join(root, "src/kubectl-sip.ts"), ...here(args)]);
        expect(health).toMatchObject({ code: 0 });
        expect(health.stdout).toContain("edge");
        const hanging = processesOf(state).filter(({ command }) => /kamailio /.test(command));
        expect(hanging).not.toEqual([]);
        for (const { pid } of hanging) process.kill(pid, "SIGSTOP");
        expect(await run(process.execPath, [path.join(root, "src/kubectl-sip.ts"), ...here(args)])).toMatchObject({
          code: 3,
        });
        for (const { pid } of hanging) process.kill(pid, "SIGCONT");
      } finally {
        child.kill("SIGTERM");
        if (child.exitCode === null) await once(child, "exit");
      }
    },
  );
});

test("the workflows are right", async () => {
  expect(await tool("actionlint", ["-shellcheck=", "-pyflakes="])).toMatchObject({ code: 0, stdout: "" });
  // what they call is there
  const called = [
    ...`${read(".github/workflows/ci.yaml")}${read(".github/workflows/release.yaml")}`.matchAll(
      /(?:hack|\.ci)\/[^\s'"),*]+/g,
    ),
  ].map(([file]) => file);
  expect(called.length).toBeGreaterThan(4);
  for (const file of called.filter((one) => !one.endsWith("/")))
    expect(existsSync(path.join(root, file)), file).toBe(true);
});

describe("a release", () => {
  test("its files have the images of the release and an SBOM of what runs", { timeout: 120_000 }, async () => {
    const out = path.join(work, "out");
    const source = "https://git.example.com/voice/operator";
    const args = ["7.8.9", "registry.example.com/voice", source, out];
    const packed = await run(path.join(root, "hack/release/pack"), args);
    expect(packed).toMatchObject({ code: 0 });
    const chart = path.join(out, "sip-router-operator-7.8.9.tgz");
    const values = ["--set", "metrics.prometheusRule.enabled=true"];
    const { stdout } = await tool("helm", [
      "template",
      "x",
      chart,
      "--api-versions",
      "monitoring.coreos.com/v1",
      ...values,
    ]);
    const image = "registry.example.com/voice/sip-router-operator:7.8.9";
    expect(stdout).toContain(`image: "${image}"`);
    const kamailio = "--kamailio-image=registry.example.com/voice/sip-router-kamailio:7.8.9";
    expect(stdout).toContain(`- "${kamailio}"`);
    expect(stdout).toContain(`runbook_url: "${source}/blob/v7.8.9/docs/runbooks.md#`);
    const shown = await tool("helm", ["show", "readme", chart]);
    expect(shown.stdout).toContain("oci://registry.example.com/voice/charts/sip-router-operator");
    expect(shown.stdout).not.toContain("](../");
    const { stdout: about } = await tool("helm", ["show", "chart", chart]);
    const { annotations, ...rest } = loadYaml(about) as { annotations: Record<string, string> };
    const maintainers = [{ name: "voice", url: "https://git.example.com/voice" }];
    expect(rest).toMatchObject({ version: "7.8.9", appVersion: "7.8.9", home: source, sources: [source], maintainers });
    expect(loadYaml(annotations["artifacthub.io/images"] ?? "")).toEqual([
      { name: "sip-router-operator", image },
      { name: "sip-router-kamailio", image: kamailio.replace(/.*=/, "") },
    ]);
    const install = documents(readFileSync(path.join(out, "install.yaml"), "utf8"));
    expect(JSON.stringify(install)).toContain(`"image":"${image}"`);
    expect(JSON.stringify(install)).toContain(`"${kamailio}"`);
    expect(documents(readFileSync(path.join(out, "crds.yaml"), "utf8")).map(({ kind }) => kind)).toEqual([
      "CustomResourceDefinition",
      "CustomResourceDefinition",
    ]);
    const sbom = JSON.parse(readFileSync(path.join(out, "sbom.cdx.json"), "utf8")) as {
      components: { name: string }[];
    };
    const names = sbom.components.map(({ name }) => name);
    expect(names).toContain("pino");
    expect(names).not.toContain("vitest");
    expect((await run("sha256sum", ["--check", "SHA256SUMS"], process.env, out)).code).toBe(0);

    // the kubectl plugin, as docs/cli.md says that it is installed
    const archive = path.join(out, "kubectl-sip.tar.gz");
    const plugin = loadYaml(readFileSync(path.join(out, "sip.yaml"), "utf8")) as {
      spec: { version: string; platforms: { uri: string; sha256: string }[] };
    };
    expect(plugin.spec).toMatchObject({
      version: "v7.8.9",
      platforms: [
        {
          uri: `${source}/releases/download/v7.8.9/kubectl-sip.tar.gz`,
          sha256: createHash("sha256").update(readFileSync(archive)).digest("hex"),
        },
      ],
    });
    const [, npm = ""] = /^npm install --global \.\/(\S+)$/m.exec(read("docs/cli.md")) ?? [];
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const packages = { plugin: archive, package: path.join(out, npm.replace(version, "7.8.9")) };
    for (const [name, file] of Object.entries(packages)) {
      const folder = mkdtempSync(path.join(work, `${name}-`));
      expect((await run("tar", ["-xzf", file, "-C", folder])).code).toBe(0);
      const program = path.join(folder, name === "plugin" ? "kubectl-sip.mjs" : "package/dist/kubectl-sip.mjs");
      expect(await run(process.execPath, [program, "--version"])).toMatchObject({ code: 0, stdout: "7.8.9\n" });
    }
    // what is pushed as a chart is one
    expect(readdirSync(out).filter((file) => file.endsWith(".tgz"))).toEqual([
      "sip-router-7.8.9.tgz",
      "sip-router-operator-7.8.9.tgz",
    ]);
  });

  test("a version that is not everywhere is refused, with the places", async () => {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const other = await run(path.join(root, "hack/release/check"), ["99.0.0"]);
    expect(other.code).toBe(1);
    for (const file of ["package.json", "charts/sip-router/Chart.yaml version", "config/manager/deployment.yaml"])
      expect(other.stderr).toContain(`${file} says ${version}`);
    // of this one only the changelog's section may be missing, as long as it is not released
    const { stderr } = await run(path.join(root, "hack/release/check"), [version]);
    expect(stderr.split("\n").filter((line) => line.includes(" says "))).toEqual([]);
  });
});
