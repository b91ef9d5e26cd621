/** Resource files: what is read, and how what is wrong is named. */
import { expect, test } from "vitest";
import { mergeResources, parseResources } from "../../../src/standalone/resources.ts";

const service = (name: string): string => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\n`;

test("several documents, comments between them, a List, and the default namespace", () => {
  const text = `# heading\n---\n${service("a")}---\n# nothing here\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: b, namespace: n}}\n- {apiVersion: v1, kind: Service, metadata: {name: c}}\n...\n`;
  const { objects, errors } = parseResources(text, "f.yaml");
  expect(errors).toEqual([]);
  expect(objects.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)).toEqual([
    "default/a",
    "n/b",
    "default/c",
  ]);
});

test("a Secret's stringData is encoded over its data, and a wrong encoding is refused without showing the value", () => {
  const { objects } = parseResources(
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b2xk, b: b2xk}\nstringData: {b: new}\n",
    "s.yaml",
  );
  expect(objects[0]).toMatchObject({ data: { a: "b2xk", b: "bmV3" } });
  expect(objects[0]).not.toHaveProperty("stringData");
  const wrong = parseResources("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: 'hunter2!'}\n", "s.yaml");
  expect(wrong.errors[0]?.message).toContain("data.a");
  expect(JSON.stringify(wrong)).not.toContain("hunter2");
});

test("YAML that does not parse is named by file and line; the documents around it are read", () => {
  const { objects, errors } = parseResources(
    `${service("a")}---\nkind: Service\nspec: {x: [1\n---\n${service("b")}`,
    "f.yaml",
  );
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(["a", "b"]);
  expect(errors).toHaveLength(1);
  expect(errors[0]?.file).toBe("f.yaml");
  expect([6, 7]).toContain(errors[0]?.line);
});

test.each([
  ["just text", "not a Kubernetes object"],
  ["kind: Service\nmetadata: {name: a}", "apiVersion is missing"],
  ["apiVersion: v1\nmetadata: {name: a}", "kind is missing"],
  ["apiVersion: v1\nkind: Service", "metadata is missing"],
  ["apiVersion: v1\nkind: Service\nmetadata: {name: ../../x}", "metadata.name"],
  ["apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ..}", "metadata.namespace"],
  ["apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: 1}}", "metadata.labels"],
  ["a: 1\na: 2", "not valid YAML"],
])("%j is refused: %s", (text, message) => {
  const { objects, errors } = parseResources(text, "f.yaml");
  expect(objects).toEqual([]);
  expect(errors.map((error) => error.message).join()).toContain(message);
});

test("one object in two files: the first is used, both places are named", () => {
  const files = ["a.yaml", "b.yaml"].map((file) => parseResources(service("x"), file));
  const { objects, errors } = mergeResources(files);
  expect(objects).toHaveLength(1);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatchObject({ file: "b.yaml", line: 1, object: "Service default/x" });
  expect(errors[0]?.message).toContain("a.yaml:1");
});
