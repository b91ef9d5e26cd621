/** What the Dockerfiles take from the build context is there, and .dockerignore lets it through; base images are pinned. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

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
