/** The parser's half of the validation; the API server's half is driven by the same table in test/integration/api. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backendPort, kinds, parsePbxBackend, parseSipRouter, pbxBackendSpec } from "../../../src/api/index.ts";
import type { RuleParams } from "../../../src/api/rules.ts";
import { structuralSchema, type StructuralSchema } from "../../../hack/crd/schema.ts";
import {
  apiCases,
  type ApiCase,
  declaredRules,
  freeText,
  fullBackends,
  fullRouter,
  fullRouters,
  hostileTexts,
  minimalRouter,
  objectOf,
  textFields,
} from "../../support/apiCases.ts";

const parse = (one: Pick<ApiCase, "kind">, object: unknown) =>
  (one.kind === "SipRouter" ? parseSipRouter : parsePbxBackend)(object);
const issuesOf = (one: ApiCase) => {
  const parsed = parse(one, objectOf(one));
  return "issues" in parsed ? parsed.issues : [];
};

describe("each case", () => {
  for (const one of apiCases)
    test(`${one.kind} ${one.name}: ${one.refused ? "refused" : "accepted"}`, () => {
      const issues = issuesOf(one);
      expect(issues.map(({ path }) => path)).toEqual(one.refused ? [one.refused.path] : []);
      expect(issues.map(({ message }) => message).join("\n")).toMatch(one.refused?.message ?? /^$/);
    });
});

test("every rule is broken by some case, and by the rule that the case names", () => {
  const broken = apiCases.flatMap((one) => {
    const kind = kinds.find((candidate) => candidate.kind === one.kind);
    const ofObject = kind?.rules.filter((rule) => rule.check(objectOf(one)).length > 0).map((rule) => rule.name) ?? [];
    const ofSpec = kind?.spec.safeParse(one.spec).error?.issues ?? [];
    const names = ofSpec.flatMap((issue) => (issue.code === "custom" ? [(issue.params as RuleParams).rule] : []));
    expect([...ofObject, ...names], one.name).toEqual(one.refused?.rule ? [one.refused.rule] : []);
    return [...ofObject, ...names];
  });
  const declared = [...declaredRules().keys()];
  expect([...new Set(broken)].toSorted()).toEqual(declared.toSorted());
});

describe("text", () => {
  const bases = [
    ...fullRouters.map((spec) => ({ kind: "SipRouter" as const, spec })),
    ...fullBackends.map((spec) => ({ kind: "PbxBackend" as const, spec })),
  ];

  test("the full objects are valid and hold every text field of the schemas", () => {
    for (const { kind, spec } of bases)
      expect(parse({ kind }, objectOf({ name: "", kind, spec }))).toHaveProperty("ok");
    for (const { kind, spec: schema } of kinds) {
      const held = bases
        .filter((base) => base.kind === kind)
        .flatMap(({ spec }) => textFields(spec).map(({ path }) => path));
      const normal = new Set(held.map((path) => path.replaceAll(/\[\d+\]/g, "[]")));
      expect(textPaths(structuralSchema(schema), "spec").filter((path) => !normal.has(path))).toEqual([]);
    }
  });

  const special = fc.constantFrom(..."\"'\r\n;#!$`\\{}()<>|&=,% \t\u0000\u00e4\u2028");
  const hostile = fc.oneof(
    fc.constantFrom(...hostileTexts),
    fc
      .tuple(fc.string({ unit: "binary", maxLength: 40 }), special, fc.string({ maxLength: 40 }))
      .map((parts) => parts.join("")),
    fc.string({ minLength: 600, maxLength: 1200 }),
  );

  for (const { kind, spec } of bases)
    for (const field of textFields(spec).filter(({ path }) => !freeText.has(path)))
      test(`${kind} ${field.path} refuses hostile text`, () => {
        fc.assert(
          fc.property(hostile, (text) => {
            // the characters that a few fields do allow
            fc.pre(!/^[A-Za-z0-9*#+=,]*$/.test(text) || text.length > 600);
            const parsed = parse({ kind }, objectOf({ name: "", kind, spec: field.with(text) }));
            const issues = "issues" in parsed ? parsed.issues : [];
            expect(issues.map(({ path }) => path)).toContain(field.path);
            for (const { message } of issues) {
              expect(message).toMatch(/^[ -~]*$/);
              expect(message.length).toBeLessThan(400);
              expect(text.length > 60 && message.includes(text.slice(0, 61))).toBe(false);
            }
          }),
          { numRuns: 60 },
        );
      });

  function textPaths(schema: StructuralSchema, path: string): string[] {
    if (schema.type === "string" || schema.anyOf) return [path];
    if (schema.items) return textPaths(schema.items, `${path}[]`);
    return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => textPaths(child, `${path}.${name}`));
  }
});

describe("messages", () => {
  const messagesOf = (spec: unknown) => {
    const parsed = parseSipRouter({ metadata: { name: "edge", namespace: "default" }, spec });
    return "issues" in parsed ? parsed.issues.map(({ path, message }) => `${path}: ${message}`) : [];
  };

  test("everything that is wrong is named at once", () => {
    expect(
      messagesOf({
        ...minimalRouter,
        replicas: "two",
        routes: [{ name: "R", match: { extension: ["1000"], prefixes: [] }, set: "pbx" }],
      }),
    ).toEqual([
      'spec.replicas: must be a whole number, but is "two": correct it.',
      'spec.routes[0].name: is "R": use lower-case letters, digits and dashes, first and last a letter or digit.',
      "spec.routes[0].match.prefixes: is a list of 0 items: use at least 1 items.",
      "spec.routes[0].match.extension: there is no such field: did you mean extensions?",
    ]);
  });

  test("a number where text is wanted", () => {
    expect(
      messagesOf({ ...minimalRouter, routes: [{ name: "r", match: { extensions: [1000] }, set: "pbx" }] }),
    ).toEqual([
      "spec.routes[0].match.extensions[0]: must be text (in YAML, a number needs quotes to be text), but is 1000: correct it.",
    ]);
  });

  test("a field far from any known one: the known ones are listed", () => {
    expect(messagesOf({ ...minimalRouter, drain: { kubernetes: 1 } })).toEqual([
      "spec.drain.kubernetes: there is no such field: the fields here are timeoutSeconds.",
    ]);
  });

  test("the reason says what kind of conflict it is", () => {
    const parsed = parseSipRouter(
      objectOf({ name: "", kind: "SipRouter", spec: { ...minimalRouter, external: { set: "x" } } }),
    );
    expect(parsed).toMatchObject({ issues: [{ reason: "SetNotFound" }] });
  });

  test.each([undefined, null, 7, "text", [], {}, { metadata: null }, { metadata: { name: 7 } }])(
    "%j is no object",
    (raw) => {
      expect(parseSipRouter(raw)).toMatchObject({ issues: [{ path: "" }] });
    },
  );

  test("a spec that is no object, another kind, a field beside spec", () => {
    expect(
      parseSipRouter({ kind: "Pod", apiVersion: "v1", metadata: { name: "a" }, spec: "x", spce: {} }),
    ).toMatchObject({
      issues: [{ path: "apiVersion" }, { path: "kind" }, { path: "spce" }, { path: "spec" }],
    });
  });

  test("any value anywhere: a result, never an exception", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(fullRouter)), fc.anything(), (field, value) => {
        const parsed = parseSipRouter(
          objectOf({ name: "", kind: "SipRouter", spec: { ...fullRouter, [field]: value } }),
        );
        expect("ok" in parsed || parsed.issues.length > 0).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

test("the port of a backend depends on its transport", () => {
  const port = (spec: object) => backendPort(pbxBackendSpec.parse({ address: "192.0.2.10", ...spec }));
  expect([
    port({}),
    port({ transport: "TCP" }),
    port({ transport: "TLS" }),
    port({ transport: "TLS", port: 5070 }),
  ]).toEqual([5060, 5060, 5061, 5070]);
});
