/** The documentation holds, and the checker that says so refuses what it must. */
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { blocksOf, checkCommands, checkDocs, checkPage, commandsOf } from "../../../hack/checkDocs.ts";

const fence = "```";
const page = (language: string, text: string): string => `Text.\n\n${fence}${language}\n${text}\n${fence}\n`;
const ran = { "make test": { by: "ci" } };
const anywhere = (): boolean => true;
const yamlProblems = (text: string): string => checkPage("a.md", page("yaml", text), {}, anywhere).join("\n");

test("the documentation shows only commands that are run, valid resources and links that lead somewhere", () => {
  expect(checkDocs(resolve(import.meta.dirname, "../../.."))).toEqual([]);
});

describe("check of the documentation", () => {
  test("a command that nothing runs is named with its place", () => {
    expect(checkPage("a.md", page("sh", "make test # all\ntea"), ran, anywhere)).toEqual([
      'a.md:3: nothing runs "tea" (hack/documentedCommands.ts)',
    ]);
  });

  test("continued lines are one command", () => {
    const [block] = blocksOf(page("sh", "kubectl get \\\n    sip # both kinds"));
    expect(block && commandsOf(block)).toEqual(["kubectl get sip"]);
  });

  test("a resource with a field that does not exist is refused", () => {
    const text =
      "apiVersion: siprouter.dev/v1alpha1\nkind: PbxBackend\nmetadata: {name: a}\nspec: {address: 192.0.2.1, prot: 5060}";
    expect(yamlProblems(text)).toMatch(/^a\.md:3: PbxBackend a spec\.prot: .*did you mean port/);
    expect(yamlProblems(text.replace("prot", "port"))).toBe("");
    expect(yamlProblems(text.replace("metadata: {name: a}\n", ""))).toContain("metadata");
  });

  test("a part of a spec is checked as a part: rules too, objects that it does not show not", () => {
    expect(yamlProblems("routes:\n  - {name: a, match: {extensions: ['100-199']}, set: other}")).toBe("");
    expect(yamlProblems("spec:\n  registration: {mode: Registrar}")).toContain("Registrar needs spec.authentication");
    const conflict = ["a", "b"].map((name) => `  - {name: ${name}, match: {prefixes: ['0']}, set: freepbx}`).join("\n");
    expect(yamlProblems(`routes:\n${conflict}`)).toContain("claim the same numbers");
    expect(yamlProblems("resources: [a.yaml]")).toBe("");
  });

  test("a command that its program does not take is refused, whatever is said about it elsewhere", () => {
    const problems = (text: string): string => checkPage("a.md", page("sh", text), {}, anywhere).join("\n");
    expect(problems("kubectl sip drain freepbx-1 --no-wait\nmake demo KEEP=1")).toBe("");
    expect(problems("kubectl sip drain freepbx-1 --now")).toContain("--now");
    expect(problems("kubectl sip drain")).toContain("missing required argument");
    expect(problems("npm exec --no -- sip-router-operator render -f config/samples")).toBe("");
    expect(problems("sip-router-operator standalone --resource config/samples")).toContain("no option --resource");
    expect(problems("make tea")).toContain("no target tea");
    expect(problems("kubectl apply -k config/sample")).toContain("config/sample does not exist");
    expect(problems("kubectl get siproutes")).toContain("siproutes is no kind");
  });

  test("a command in a text block is found; what a program prints is not one", () => {
    const problems = (text: string): string[] => checkPage("a.md", page("text", text), {}, anywhere);
    expect(problems("helm install edge charts/sip-router").join()).toContain("use sh");
    expect(problems("IMAGE=a make tea").join()).toContain("use sh");
    expect(problems("$ kubectl sip status edge\nedge")).toEqual([]);
    expect(problems("$ kubectl sip stratus\nedge").join()).toContain("stratus");
    expect(problems("NAME  READY\nedge  True\nmakes no difference")).toEqual([]);
  });

  test("Helm: charts and values that exist", () => {
    const problems = (text: string): string => checkPage("a.md", page("sh", text), {}, anywhere).join("\n");
    expect(problems("helm upgrade sip charts/sip-router-operator --set image.repository=a")).toBe("");
    expect(problems("helm upgrade sip charts/sip-router-operator --set image.repo=a")).toContain("no value image.repo");
    expect(problems("helm install edge oci://REGISTRY/sip-routers")).toContain("no chart sip-routers");
    expect(problems("docker run a")).toContain("docker run is not known");
  });

  test("a label that a diagram cannot have without quotes is refused", () => {
    const diagram = (label: string): string => page("mermaid", `flowchart LR\n  a -->|${label}| b`);
    expect(checkPage("a.md", diagram("1001@a"), ran, anywhere)).toHaveLength(1);
    expect(checkPage("a.md", diagram('"1001@a"'), ran, anywhere)).toEqual([]);
    expect(checkPage("a.md", diagram("all else"), ran, anywhere)).toEqual([]);
  });

  test("a heading that is not there and a path that is not there are refused", () => {
    const read = (): string => "# One `b` thing\n\n## Again\n\n## Again\n";
    const links = "[a](b.md#one-b-thing) [a](b.md#again-1) [a](b.md#again-2) `src/main.ts` `src/gone.ts`";
    const exists = (path: string): boolean => path !== "src/gone.ts";
    expect(checkPage("a.md", links, {}, exists, read)).toEqual([
      "a.md: b.md has no heading for the link b.md#again-2",
      "a.md: there is no src/gone.ts",
    ]);
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
