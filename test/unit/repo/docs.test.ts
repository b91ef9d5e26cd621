/** The documentation holds, and the checker that says so refuses what it must. */
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { blocksOf, checkCommands, checkDocs, checkPage, commandsOf } from "../../../hack/checkDocs.ts";

const fence = "```";
const page = (language: string, text: string): string => `Text.\n\n${fence}${language}\n${text}\n${fence}\n`;
const ran = { "make test": { by: "ci" } };
const anywhere = (): boolean => true;

test("the documentation shows only commands that are run, valid resources and links that lead somewhere", () => {
  expect(checkDocs(resolve(import.meta.dirname, "../../.."))).toEqual([]);
});

describe("check of the documentation", () => {
  test("a command that nothing runs is named with its place", () => {
    expect(checkPage("a.md", page("sh", "make test # all\nmake tea"), ran, anywhere)).toEqual([
      'a.md:3: nothing runs "make tea" (hack/documentedCommands.ts)',
    ]);
  });

  test("continued lines are one command", () => {
    const [block] = blocksOf(page("sh", "kubectl get \\\n    sip # both kinds"));
    expect(block && commandsOf(block)).toEqual(["kubectl get sip"]);
  });

  test("a resource with a field that does not exist is refused", () => {
    const text = "kind: PbxBackend\nspec: {address: 192.0.2.1, prot: 5060}";
    expect(checkPage("a.md", page("yaml", text), ran, anywhere).join()).toMatch(/^a\.md:3: PbxBackend spec\..*prot/);
    expect(checkPage("a.md", page("yaml", text.replace("prot", "port")), ran, anywhere)).toEqual([]);
  });

  test("YAML that does not parse, a block without a language and a dead link are refused", () => {
    expect(checkPage("a.md", page("yaml", "a: [1"), ran, anywhere)).toHaveLength(1);
    expect(checkPage("a.md", page("", "make tea"), ran, anywhere)).toHaveLength(1);
    expect(checkPage("docs/a.md", "See [b](b.md#c).", ran, (path) => path !== "docs/b.md")).toEqual([
      "docs/a.md: the link b.md#c leads nowhere",
    ]);
  });

  test("a listed command that its runner does not run, or that no page shows, is refused", () => {
    expect(checkCommands(ran, new Set(["make test"]), () => "make test")).toEqual([]);
    expect(checkCommands(ran, new Set(["make test"]), () => "make demo")).toHaveLength(1);
    expect(checkCommands(ran, new Set(["make test"]), () => undefined)).toHaveLength(1);
    expect(checkCommands(ran, new Set(), () => "make test")).toHaveLength(1);
  });
});
