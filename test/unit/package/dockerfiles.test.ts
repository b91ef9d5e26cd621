/**
 * What the Dockerfiles take from the build context is there, and .dockerignore lets it through; base images are pinned. Kamailio's is
 * refused when it lacks a module.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const allowed = read(".dockerignore")
  .split("\n")
  .filter((line) => line.startsWith("!"))
  .map((line) => line.slice(1).replace(/\*\*$/, ""));
const dockerfiles = globSync(["Dockerfile", "images/*/Dockerfile"], { cwd: root }).toSorted();

test("there are three images", () => {
  expect(dockerfiles).toEqual(["Dockerfile", "images/kamailio/Dockerfile", "images/standalone/Dockerfile"]);
});

test.each(dockerfiles)("%s: takes what there is, from pinned images, and runs as nobody in particular", (file) => {
  const text = read(file);
  const copied = [...text.matchAll(/^COPY (?!--from)((?:\S+ )+)\S+$/gm)].flatMap(([, sources = ""]) =>
    sources.trim().split(" "),
  );
  const mounted = [...text.matchAll(/--mount=type=bind,source=([^,\s]+)/g)].map(([, source = ""]) => source);
  for (const source of [...copied, ...mounted]) {
    expect(existsSync(path.join(root, source)), source).toBe(true);
    expect(allowed, source).toContain(source);
  }
  for (const [, image = ""] of text.matchAll(/^ARG \w+_IMAGE=(.*)$/gm)) expect(image).toMatch(/:(\d+\.\d+\.\d+|dev)/);
  expect(
    text
      .trimEnd()
      .split("\n")
      .findLast((line) => line.startsWith("USER ")),
  ).toBe("USER 65532:65532");
  for (const label of ["title", "description", "licenses", "version", "revision", "created", "source"])
    expect(text).toContain(`org.opencontainers.image.${label}=`);
});

test("who packs the root folder without an engine runs it as the image does", () => {
  const config = JSON.parse(read("hack/image/config.json")) as Record<string, unknown>;
  const lines = new Map(
    read("Dockerfile")
      .split("\n")
      .map((line) => line.split(/ (.*)/) as [string, string]),
  );
  expect(config["Entrypoint"]).toEqual(JSON.parse(lines.get("ENTRYPOINT") ?? "[]"));
  expect(config["Cmd"]).toEqual(JSON.parse(lines.get("CMD") ?? "[]"));
  expect(config["Env"]).toEqual(lines.get("ENV")?.split(" "));
  expect(config["WorkingDir"]).toBe(lines.get("WORKDIR"));
  expect(config["User"]).toBe(lines.get("USER"));
});

test("the Dockerfiles name no file of the tree that is not there", () => {
  for (const file of dockerfiles)
    for (const [named] of read(file).matchAll(/(?<![\w/.])(?:hack|images|src|test|\.github)\/[\w./-]*[\w-]/g))
      expect(existsSync(path.join(root, named)), `${file}: ${named}`).toBe(true);
});

/** The step of images/kamailio/Dockerfile that looks for modules, run by sh in a root folder of the test's. */
function moduleCheck(modules: readonly string[], programs: readonly string[]): { code: number | null; said: string } {
  const image = mkdtempSync(path.join(tmpdir(), "image-"));
  onTestFinished(() => rmSync(image, { recursive: true, force: true }));
  const folder = path.join(image, "usr/lib/kamailio/modules");
  mkdirSync(folder, { recursive: true });
  for (const module of modules) writeFileSync(path.join(folder, `${module}.so`), "");
  const bin = path.join(image, "bin");
  mkdirSync(bin);
  for (const program of programs) {
    writeFileSync(path.join(bin, program), "#!/bin/sh\n");
    chmodSync(path.join(bin, program), 0o755);
  }
  for (const tool of ["find", "grep", "dirname"]) {
    const found = ["/usr/bin", "/bin"].map((each) => path.join(each, tool)).find((each) => existsSync(each));
    symlinkSync(found ?? tool, path.join(bin, tool));
  }
  const text = read("images/kamailio/Dockerfile");
  const [, step = ""] = /^RUN --mount=\S+ \\\n((?:.*\\\n)*.*)$/m.exec(text) ?? [];
  const script = step
    .replaceAll("\\\n", "")
    .replace("/tmp/modules.txt", path.join(root, "images/kamailio/modules.txt"))
    .replace("find /", `find ${image}`);
  const { status, stderr } = spawnSync("/bin/sh", ["-c", script], { encoding: "utf8", env: { PATH: bin } });
  return { code: status, said: stderr };
}

test("the image of Kamailio is refused when it lacks a module or a program, by any sh", () => {
  const all = read("images/kamailio/modules.txt")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(all).toContain("tm");
  expect(read("images/kamailio/Dockerfile")).not.toMatch(/^SHELL /m);
  expect(moduleCheck(all, ["kamailio", "kamcmd"])).toEqual({ code: 0, said: "" });
  for (const lacking of [all[0], all.at(-1), all[3]])
    expect(
      moduleCheck(
        all.filter((each) => each !== lacking),
        ["kamailio", "kamcmd"],
      ),
    ).toEqual({ code: 1, said: expect.stringContaining("the image lacks the module") });
  expect(moduleCheck([], ["kamailio", "kamcmd"]).code).not.toBe(0);
  expect(moduleCheck(all, ["kamailio"]).code).not.toBe(0);
});
