/** The Kamailio image is proved to have each module of images/kamailio/modules.txt: that must be all that routers load. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../../..");
const listed = readFileSync(path.join(root, "images/kamailio/modules.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

test("every module that the renderer can load is in the list, and no other", () => {
  const texts = globSync(["src/render/**/*.ts", "test/golden/**/kamailio.cfg"], { cwd: root }).map((file) =>
    readFileSync(path.join(root, file), "utf8"),
  );
  const loaded = texts.flatMap((text) =>
    [...text.matchAll(/loadmodule \\?"([a-z_0-9]+)\.so/g)].map(([, name]) => name),
  );
  expect([...new Set(loaded)].toSorted()).toEqual(listed.toSorted());
});
