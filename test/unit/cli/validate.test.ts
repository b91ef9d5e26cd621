/** `kubectl sip validate` on repositories as people have them: without Secrets, in folders, file by file. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { load } from "js-yaml";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { runProgram } from "../../../src/cli/program.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const folder = mkdtempSync(path.join(tmpdir(), "validate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});

const write = (file: string, text: string): void => {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
  writeFileSync(path.join(folder, file), text);
};
async function validate(args: readonly string[], stdin = ""): Promise<{ code: number; out: string; err: string[] }> {
  const [out, err]: [string[], string[]] = [[], []];
  const io = {
    stdout: (line: string) => void out.push(line),
    write: (text: string) => void out.push(text),
    stderr: (line: string) => void err.push(line),
    stdin: async () => stdin,
    columns: undefined,
    env: {},
    cwd: folder,
    signal: new AbortController().signal,
    now: () => 0,
  };
  return { code: await runProgram(["validate", ...args], io, "1.2.3"), out: out.join("\n"), err };
}

const backend = (spec: string): string =>
  `apiVersion: siprouter.dev/v1alpha1\nkind: PbxBackend\nmetadata: {name: pbx}\nspec: ${spec}\n`;
const router = (more = ""): string =>
  `# the edge\napiVersion: siprouter.dev/v1alpha1\nkind: SipRouter\nmetadata: {name: edge}\nspec:\n  dispatcherSets: [{name: main, backends: [{name: pbx}]}]\n  external: {set: main}\n${more}`;
const address = backend("{address: 192.0.2.1}");
const tls =
  "  listeners:\n    - {name: udp, transport: UDP, port: 5060}\n    - {name: tls, transport: TLS, port: 5061, tls: {secretName: edge-tls}}\n";

describe("right", () => {
  test("exit code 0, nothing printed", async () => {
    expect(await validate(["-f", "-"], `${address}---\n${router()}`)).toEqual({ code: 0, out: "", err: [] });
  });

  test("one file of backends alone, as a commit changes it", async () => {
    write("backend.yaml", address);
    expect(await validate(["-f", "backend.yaml"])).toEqual({ code: 0, out: "", err: [] });
  });

  test.each([
    ["a TLS Secret, which is not in Git", address, tls, "Secret default/edge-tls does not exist"],
    ["a Service of the cluster", backend("{service: {name: asterisk}}"), "", "Service default/asterisk does not exist"],
    ["a name of the cluster's DNS", backend("{address: pbx.invalid}"), "", "pbx.invalid"],
  ])("%s: a warning with file and line, no failure; with --strict it is one", async (_what, pbx, more, said) => {
    write("voice/all.yaml", `${pbx}---\n${router(more)}`);
    const { code, err } = await validate(["-f", "voice"]);
    expect(code, err.join("\n")).toBe(0);
    expect(err.join("\n")).toContain(said);
    for (const line of err) expect(line).toMatch(/^voice\/all\.yaml:[17]: warning: /);
    const strict = await validate(["--strict", "-f", "voice"]);
    expect(strict.code).toBe(1);
    expect(strict.err.join("\n")).not.toContain("warning");
  });

  test("a Service that is there without endpoints: Kubernetes makes them", async () => {
    const service =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: asterisk}\nspec: {ports: [{name: sip, port: 5060, protocol: UDP}]}\n";
    const { code, err } = await validate(
      ["-f", "-"],
      `${backend("{service: {name: asterisk}}")}---\n${router()}${service}`,
    );
    expect(code, err.join("\n")).toBe(0);
    expect(err.join("\n")).toContain("warning: ");
  });

  test("files about something else: said, no failure", async () => {
    write("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n");
    expect(await validate(["-f", "map.yaml"])).toEqual({
      code: 0,
      out: "",
      err: ["no SipRouter and no PbxBackend in map.yaml: nothing to validate."],
    });
  });
});

describe("wrong", () => {
  test("exit code 1; file and line, object and path of each issue", async () => {
    write("a.yaml", `${address}---\n${router().replace("external: {set: main}", "external: {set: other}")}`);
    const { code, err, out } = await validate(["-f", "a.yaml"]);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toEqual([expect.stringMatching(/^a\.yaml:7: SipRouter default\/edge spec\.external\.set: /)]);
  });

  test("a backend that is nowhere", async () => {
    const { code, err } = await validate(["-f", "-"], router());
    expect(code).toBe(1);
    expect(err.join("\n")).toMatch(/^standard input:2: SipRouter .*PbxBackend default\/pbx does not exist/m);
  });

  test("what may not be read, or is no file, is said, without a stack", async () => {
    write("voice/all.yaml", `${address}---\n${router()}`);
    mkdirSync(path.join(folder, "voice/folder.yaml/below"), { recursive: true });
    write("secret/x.yaml", address);
    // root may read everything: a name that is too long is refused to it as well
    chmodSync(path.join(folder, "secret/x.yaml"), 0);
    const long = `${"x".repeat(300)}.yaml`;
    const { code, err } = await validate(["-f", "voice", long]);
    expect(code).toBe(1);
    expect(err).toEqual([expect.stringMatching(/^x{300}\.yaml:1: cannot be read: ENAMETOOLONG/)]);
    if (process.getuid?.() !== 0)
      expect((await validate(["-f", "secret"])).err).toEqual([
        expect.stringMatching(/^secret\/x\.yaml:1: cannot be read: EACCES/),
      ]);
  });
});

test("subfolders: said without -R, read with it", async () => {
  write("voice/routers/edge.yaml", router());
  write("voice/backends/pbx.yaml", address);
  write("voice/.hidden/pbx.yaml", address);
  write("voice/empty/readme.txt", "");
  const flat = await validate(["-f", "voice"]);
  expect(flat.err).toContain("voice: not read are voice/backends, voice/routers: -R reads subfolders, too.");
  expect(await validate(["-R", "-f", "voice"])).toEqual({ code: 0, out: "", err: [] });
});

test("the hook of pre-commit: its fields, a program of the package, arguments that it takes", async () => {
  const hooks = load(readFileSync(path.join(root, ".pre-commit-hooks.yaml"), "utf8")) as Record<string, unknown>[];
  const { bin } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { bin: Record<string, string> };
  const documented = readFileSync(path.join(root, "docs/cli.md"), "utf8");
  expect(hooks).toHaveLength(1);
  for (const hook of hooks) {
    for (const field of ["id", "name", "entry", "language"]) expect(hook[field]).toEqual(expect.any(String));
    const [program = "", ...args] = String(hook["entry"]).split(" ");
    expect(Object.keys(bin)).toContain(program);
    expect(new RegExp(String(hook["files"])).test("a/b.yaml")).toBe(true);
    expect(documented).toContain(`\`${String(hook["id"])}\``);
    const [, given = ""] = /with\nthe folder as `args: \[(.*)\]`/.exec(documented) ?? [];
    write("deploy/voice/all.yaml", `${address}---\n${router()}`);
    expect(args[0]).toBe("validate");
    expect(await validate([...args.slice(1), ...given.split(", ")])).toEqual({ code: 0, out: "", err: [] });
  }
});
