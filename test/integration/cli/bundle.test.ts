/** The one file that is installed: alone in a folder, by npm's rules and by Krew, called by the real kubectl. */
import { execFile, execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { locateAssets } from "../../../hack/kube-assets/locate.ts";
import { makeRelease } from "../../../hack/krew/main.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "bundle-"));
const built = join(folder, "built");
const alone = join(folder, "alone");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
const uri = "https://releases.example/kubectl-sip.tar.gz";

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
const run = (program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Result> =>
  new Promise((done) => {
    execFile(program, args, { cwd: alone, env: { ...process.env, ...env }, maxBuffer: 1 << 26 }, (error, out, err) =>
      done({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });

beforeAll(() => {
  mkdirSync(alone);
  execFileSync(process.execPath, [join(root, "hack/finish-build.mjs"), built], { cwd: root });
  copyFileSync(join(built, "kubectl-sip.mjs"), join(alone, "kubectl-sip.mjs"));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the bundle", () => {
  const bundled = (...args: string[]): Promise<Result> =>
    run(process.execPath, [join(alone, "kubectl-sip.mjs"), ...args]);
  const fromSource = (...args: string[]): Promise<Result> =>
    run(process.execPath, [join(root, "src/kubectl-sip.ts"), ...args]);

  test.each([
    [["--version"]],
    [["--help"]],
    [["completion", "bash"]],
    [["render", "-f", join(root, "config/samples")]],
    [["status", "--kubeconfig", "/nowhere"]],
    [["status", "--state", "nowhere"]],
  ])("%j: as from its source", async (args) => {
    const expected = await fromSource(...args);
    expect(await bundled(...args)).toEqual(expected);
    expect(expected.out + expected.err).not.toBe("");
  });

  test("has the client of the API server in it", async () => {
    const cluster = { name: "c", cluster: { server: "https://127.0.0.1:1" } };
    const context = { name: "x", context: { cluster: "c", user: "u" } };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: [cluster],
      users: [{ name: "u", user: {} }],
      contexts: [context],
      "current-context": "x",
    };
    writeFileSync(join(alone, "config"), JSON.stringify(config));
    expect(await bundled("status", "--kubeconfig", "config")).toMatchObject({
      code: 1,
      err: expect.stringContaining("No answer from the API server"),
    });
  });

  test("without any kubeconfig it says how to name a cluster", async () => {
    const nowhere = { HOME: join(folder, "nobody"), KUBECONFIG: "", KUBERNETES_SERVICE_HOST: "" };
    expect(await run(process.execPath, [join(alone, "kubectl-sip.mjs"), "status"], nowhere)).toMatchObject({
      code: 2,
      err: expect.stringMatching(
        /No cluster is named[^]*--kubeconfig or KUBECONFIG, a context with --context, or a standalone/,
      ),
    });
  });

  test.each([
    ["20.19.5", 1],
    ["22.18.0", 1],
    ["22.19.0", 0],
    ["24.0.0", 0],
  ])("by Node.js %s: exit code %i, and which one it needs", async (node, code) => {
    const older = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${node}" } })`;
    const program = join(alone, "kubectl-sip.mjs");
    const found = await run(process.execPath, ["--import", `data:text/javascript,${older}`, program, "--version"]);
    expect(found).toMatchObject({ code, out: code === 0 ? `${version}\n` : "" });
    expect(found.err).toEqual(
      code === 0 ? "" : expect.stringContaining(`needs Node.js 22.19 or later; this is ${node}`),
    );
  });

  test("is what package.json names, below 4 MB, with the licences of what is in it", () => {
    const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { bin: Record<string, string> };
    expect(bin["kubectl-sip"]).toBe("dist/kubectl-sip.mjs");
    const { size, mode } = statSync(join(built, "kubectl-sip.mjs"));
    expect(size).toBeLessThan(4_000_000);
    expect(mode & 0o111).toBe(0o111);
    const licenses = readFileSync(join(built, "kubectl-sip.licenses.txt"), "utf8");
    for (const name of ["@kubernetes/client-node", "commander", "js-yaml", "zod", "ws"])
      expect(licenses).toMatch(new RegExp(`^${name} [0-9.]+ \\(`, "m"));
  });
});

describe("by Krew", () => {
  const release = join(folder, "release");
  const krewRoot = join(folder, "krew");
  let programs = "";
  let path = "";

  beforeAll(async () => {
    programs = execFileSync(join(root, "hack/krew/install"), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
    path = [join(krewRoot, "bin"), join(folder, "path"), locateAssets(process.env), process.env["PATH"]].join(
      delimiter,
    );
    mkdirSync(join(folder, "path"));
    makeRelease(release, uri, built);
  }, 600_000);

  test("an archive is the same bytes whenever it is made", () => {
    const first = readFileSync(join(release, "kubectl-sip.tar.gz"));
    makeRelease(join(folder, "again"), uri, built);
    expect(readFileSync(join(folder, "again", "kubectl-sip.tar.gz")).equals(first)).toBe(true);
  });

  test("the manifest is one that Krew's own check takes; a wrong one it does not", async () => {
    const check = (file: string): Promise<Result> =>
      run(join(programs, "validate-krew-manifest"), ["-manifest", file, "-skip-install"]);
    expect(await check(join(release, "sip.yaml"))).toMatchObject({ code: 0 });
    const wrong = join(folder, "wrong", "sip.yaml");
    mkdirSync(join(folder, "wrong"));
    writeFileSync(wrong, readFileSync(join(release, "sip.yaml"), "utf8").replace(`v${version}`, version));
    expect((await check(wrong)).code).not.toBe(0);
  });

  test("it installs, and kubectl calls it and completes its words", async () => {
    const installed = await run(
      join(programs, "krew"),
      ["install", `--manifest=${join(release, "sip.yaml")}`, `--archive=${join(release, "kubectl-sip.tar.gz")}`],
      { KREW_ROOT: krewRoot, KREW_NO_UPGRADE_CHECK: "1" },
    );
    expect(installed, installed.err).toMatchObject({ code: 0 });
    expect(installed.err).toContain("Needs Node.js");
    expect(await run("kubectl", ["sip", "--version"], { PATH: path })).toMatchObject({ code: 0, out: `${version}\n` });
    // kubectl finds it on the PATH: Krew links the program only
    cpSync(
      join(krewRoot, "store/sip", `v${version}`, "kubectl_complete-sip"),
      join(folder, "path", "kubectl_complete-sip"),
    );
    writeFileSync(
      join(folder, "path", "kubectl-sip"),
      `#!/bin/sh\nexec '${join(krewRoot, "bin/kubectl-sip")}' "$@"\n`,
      { mode: 0o755 },
    );
    const { out } = await run("kubectl", ["__complete", "sip", "route", ""], { PATH: path });
    expect(out).toMatch(/^explain\t/);
  });
});
