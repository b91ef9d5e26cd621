/** The command line: usage errors, help, completion, archives. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Command } from "commander";
import { afterAll, describe, expect, test } from "vitest";
import { buildProgram, runProgram } from "../../../src/cli/program.ts";
import { packTar } from "../../../src/cli/print/tar.ts";

const folder = mkdtempSync(join(tmpdir(), "cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
  stdin = "",
): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runProgram(
    args,
    {
      stdout: (line) => void out.push(line),
      write: (text) => void out.push(text),
      stderr: (line) => void err.push(line),
      stdin: async () => stdin,
      columns: undefined,
      env,
      cwd: folder,
      signal: new AbortController().signal,
      now: () => 0,
    },
    "1.2.3",
  );
  return { code, out: out.join("\n"), err: err.join("\n") };
}

const all = (command: Command): Command[] => [command, ...command.commands.flatMap((one) => all(one))];
const program = buildProgram(
  "1.2.3",
  async () => {},
  async () => {},
);
const names = program.commands.map((one) => one.name());

describe("usage", () => {
  test.each([
    [["status", "--state", "nowhere"], "is not the state folder"],
    [["status", "--kubeconfig", "/nowhere"], "/nowhere"],
    [["status", "--state", ".", "--context", "x"], "exclude each other"],
    [["stats", "--interval", "soon"], "from 0.1 to 86400"],
    [["reload", "--timeout", "2x"], "a duration like 30s or 2m"],
    [["reload", "--timeout", "2d"], "a duration like 30s or 2m"],
    [["capture", "--for", "11m"], "from 1 to 600"],
    [["capture", "-o", "jsn", "--state", "nowhere"], "json, yaml, wide, name"],
    [["-n", "voice", "status", "--state", "nowhere"], "is not the state folder"],
    [["calls", "--limit", "0"], "from 1 to 10000"],
    [["route", "explain", "1234", "--source", "pbx"], "IP address"],
    [["end"], "missing required argument"],
    [["dump", "--sett", "x"], "unknown option"],
    [["sttaus"], "Did you mean status"],
    [["completion", "tcsh"], "bash, zsh, fish"],
    [["validate"], "--file"],
  ])("%j is refused with exit code 2 and what would be right", async (args, message) => {
    const { code, out, err } = await run(args);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(out).toBe("");
  });

  test.each([
    [["-n", "voice", "status"], { namespace: "voice", requestTimeout: 5 }],
    [["-n", "voice", "status", "-n", "lab"], { namespace: "lab" }],
    [["--context", "prod", "route", "explain", "1", "-A"], { context: "prod", allNamespaces: true }],
    [["--request-timeout", "1m30s", "dump"], { requestTimeout: 90 }],
    [["dump", "--request-timeout", "500ms", "--no-color"], { requestTimeout: 0.5, color: false }],
    [["--no-color", "reload", "--timeout", "2m"], { timeout: 120, color: false }],
    [["reload", "--timeout", "1.5"], { timeout: 1.5, requestTimeout: 5, color: true }],
    [["capture", "--for", "2m"], { for: 120 }],
  ])("%j: before the command and behind it, durations as kubectl takes them", async (args, expected) => {
    const seen: object[] = [];
    const one = buildProgram(
      "1.2.3",
      async (_run, options) => void seen.push(options),
      async () => {},
    );
    await one.parseAsync(args, { from: "user" });
    expect(seen).toMatchObject([expected]);
  });

  test("a context that the kubeconfig has not: those that it has are named", async () => {
    const file = join(folder, "kubeconfig");
    const cluster = { name: "c", cluster: { server: "https://127.0.0.1:1" } };
    writeFileSync(
      file,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [cluster],
        users: [{ name: "u", user: {} }],
        contexts: [{ name: "prod", context: { cluster: "c", user: "u" } }],
        "current-context": "prod",
      }),
    );
    expect((await run(["status", "--kubeconfig", file, "--context", "test"])).err).toContain("Use one of: prod.");
    const away = await run(["status", "--kubeconfig", file]);
    expect(away.code).toBe(1);
    expect(away.err).toMatch(
      /error SIPR_API: No answer from the API server https:\/\/127\.0\.0\.1:1[^]*kubectl version/,
    );
  });

  test("--help of every command prints to standard output and ends with 0", async () => {
    for (const command of all(program)) {
      const path: string[] = [];
      for (let one: Command | null = command; one?.parent; one = one.parent) path.unshift(one.name());
      const { code, out, err } = await run([...path, "--help"]);
      expect([path.join(" "), code, err]).toEqual([path.join(" "), 0, ""]);
      expect(out).toContain("Usage: kubectl sip");
    }
    // of the commands of a group the first page names what they are for
    expect((await run(["--help"])).out).toContain("route explain NUMBER");
    expect((await run(["--version"])).out).toBe("1.2.3");
  });

  test("docs/cli.md describes every command, and none that is not there", () => {
    const text = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
    const described = [...text.matchAll(/^### `kubectl sip ([a-z]+)/gm)].map(([, name]) => name);
    expect([...new Set(described)].toSorted()).toEqual(names.toSorted());
  });
});

test("docs/cli.md, from kamctl: every command that is named is there, with the options that are named", () => {
  const text = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  const rows =
    text
      .split("## From kamctl")[1]
      ?.split("\n## ")[0]
      ?.split("\n")
      .filter((line) => line.startsWith("| `")) ?? [];
  expect(rows.length).toBeGreaterThan(12);
  const named = rows.flatMap((row) =>
    [...(row.split(" | ")[1] ?? "").matchAll(/`kubectl sip ([^`]+)`/g)].map(([, words = ""]) => words),
  );
  expect(named.length).toBeGreaterThan(12);
  for (const words of named) {
    let at: Command | undefined = program;
    for (const word of words.split(" "))
      if (word.startsWith("--"))
        expect(
          at?.options.map(({ long }) => long),
          words,
        ).toContain(word);
      else if (/^[a-z]/.test(word)) {
        at = at?.commands.find((one) => one.name() === word || one.aliases().includes(word));
        expect(at, words).toBeDefined();
      }
  }
});

describe("completion", () => {
  const complete = (...words: string[]): string[] => {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _kubectl_sip; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", script, "bash", join(folder, "completion.bash"), ...words], { encoding: "utf8" })
      .trim()
      .split("\n");
  };
  test("bash offers the commands, their options and what is below a command", async () => {
    writeFileSync(join(folder, "completion.bash"), (await run(["completion", "bash"])).out);
    expect(complete("kubectl-sip", "st").toSorted()).toEqual(["stats", "status"]);
    expect(complete("kubectl-sip", "route", "")).toContain("explain");
    expect(complete("kubectl-sip", "dump", "--s").toSorted()).toEqual(["--selector", "--set", "--state"]);
    expect(complete("kubectl-sip", "route", "explain", "--dom")).toEqual(["--domain"]);
    expect(complete("kubectl-sip", "online", "--fol")).toEqual(["--follow"]);
    expect(complete("kubectl-sip", "completion", "")).toEqual(
      expect.arrayContaining(["bash", "zsh", "fish", "kubectl"]),
    );
  });
  test("bash offers formats, files and folders where they belong, and nothing where nobody knows", async () => {
    writeFileSync(join(folder, "completion.bash"), (await run(["completion", "bash"])).out);
    mkdirSync(join(folder, "my voice"));
    writeFileSync(join(folder, "my voice.yaml"), "");
    const begun = join(folder, "my v");
    expect(complete("kubectl-sip", "status", "-o", "").toSorted()).toEqual(["json", "name", "wide", "yaml"]);
    for (const words of [["validate", "-f"], ["--kubeconfig"], ["diagnose", "--to"]])
      expect(complete("kubectl-sip", ...words, begun).toSorted()).toEqual([`${begun}oice`, `${begun}oice.yaml`]);
    expect(complete("kubectl-sip", "status", "--state", begun)).toEqual([`${begun}oice`]);
    expect(complete("kubectl-sip", "status", "-n", "")).toEqual([""]);
  });
  test("kubectl_complete-sip answers as kubectl asks, whatever the words look like", async () => {
    const answer = async (...words: string[]): Promise<string[]> =>
      (await run(["__complete", ...words])).out.split("\n");
    expect(await answer("st")).toEqual([
      expect.stringMatching(/^status\trouters/),
      expect.stringMatching(/^stats\tcalls/),
      ":4",
    ]);
    expect(await answer("route", "")).toEqual([expect.stringMatching(/^explain\t/), ":4"]);
    expect(await answer("-n", "voice", "dump", "--s")).toEqual(["--selector", "--state", "--set", ":4"]);
    expect(await answer("end", "x")).toEqual([":4"]);
    expect(await answer("validate", "-f", "")).toEqual([":0"]);
    expect(await answer("diagnose", "--to", "x")).toEqual([":0"]);
    expect(await answer("status", "--state", "")).toEqual([":16"]);
    expect(await answer("status", "-o", "")).toEqual(["json", "yaml", "wide", "name", ":4"]);
    expect(await answer("status", "-n", "")).toEqual([":4"]);
    expect(await answer("online", "--fol")).toEqual(["--follow", ":4"]);
    expect(await answer("completion", "z")).toEqual(["zsh", ":4"]);
    expect((await run(["completion", "kubectl"])).out).toContain("exec kubectl-sip __complete");
  });
  test.each(["zsh", "fish"])("%s names every command", async (shell) => {
    const { out } = await run(["completion", shell]);
    for (const name of [...names, "online", "ul"]) expect(out).toContain(name);
  });
});

test("an archive is one that tar reads, long names included", () => {
  const long = `diagnose/${"n".repeat(63)}/objects/configmap-${"r".repeat(60)}.yaml`;
  const file = join(folder, "a.tar.gz");
  writeFileSync(
    file,
    gzipSync(
      packTar(
        [
          { name: "a.txt", content: "ä\n" },
          { name: long, content: "x".repeat(2000) },
        ],
        1_000_000_000,
      ),
    ),
  );
  expect(execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).trim().split("\n")).toEqual(["a.txt", long]);
  expect(execFileSync("tar", ["-xzOf", file, "a.txt"], { encoding: "utf8" })).toBe("ä\n");
});
