/** From an object of unknown content to a typed one, or every issue with path, what is allowed, and the remedy. */
import type { z } from "zod";
import type { Reason } from "./conditions.ts";
import { type Kind, pbxBackendKind, sipRouterKind } from "./kinds.ts";
import { describeSchemaIssue } from "./messages.ts";
import { API_VERSION, type PbxBackend, type RawObject, type SipRouter } from "./objects.ts";
import type { RuleParams } from "./rules.ts";

export interface ParseIssue {
  /** `spec.routes[2].match.extensions[0]`; "" when the whole object is meant */
  readonly path: string;
  /** what is wrong and the remedy; at most 60 characters of the object's own text */
  readonly message: string;
  /** of the condition Accepted */
  readonly reason: Reason;
}

export type Parsed<Object> = { readonly ok: Object } | { readonly issues: readonly ParseIssue[] };

/** `raw` is anything; never throws. Defaults are filled in; the input is not changed. */
export const parseSipRouter = (raw: unknown): Parsed<SipRouter> => parseObject<SipRouter>(raw, sipRouterKind);
export const parsePbxBackend = (raw: unknown): Parsed<PbxBackend> => parseObject<PbxBackend>(raw, pbxBackendKind);

const rootFields = ["apiVersion", "kind", "metadata", "spec", "status"];

function parseObject<Object extends RawObject>(raw: unknown, kind: Kind): Parsed<Object> {
  if (!isNamed(raw))
    return { issues: [{ path: "", reason: "Invalid", message: `is not a ${kind.kind}: give it metadata.name.` }] };
  const issues = [...headIssues(raw, kind)];
  const result = parseSpec(kind, raw.spec ?? {});
  if (!result.success)
    for (const issue of result.error.issues)
      for (const { path, message } of describeSchemaIssue(kind.spec, issue, raw.spec ?? {}))
        issues.push({ path: pathOf(["spec", ...path]), message, reason: reasonOf(issue) });
  if (issues.length > 0 || !result.success) return { issues };
  return { ok: { ...raw, spec: result.data } as unknown as Object };
}

type SpecResult = ReturnType<Kind["spec"]["safeParse"]>;
const parsedSpecs = new WeakMap<object, { readonly kind: Kind; readonly result: SpecResult }>();

/** Objects are never changed, only replaced, and many with another status have the same spec. */
function parseSpec(kind: Kind, spec: unknown): SpecResult {
  if (typeof spec !== "object" || spec === null) return kind.spec.safeParse(spec);
  const known = parsedSpecs.get(spec);
  if (known?.kind === kind) return known.result;
  const result = kind.spec.safeParse(spec);
  parsedSpecs.set(spec, { kind, result });
  return result;
}

type NamedObject = Partial<RawObject> & { readonly metadata: { readonly name: string } };

const isNamed = (raw: unknown): raw is NamedObject =>
  typeof raw === "object" &&
  raw !== null &&
  typeof (raw as { metadata?: { name?: unknown } | null }).metadata?.name === "string";

function* headIssues(raw: NamedObject, kind: Kind): Generator<ParseIssue> {
  const issue = (path: string, message: string, reason: Reason = "Invalid"): ParseIssue => ({ path, message, reason });
  if (raw.apiVersion !== undefined && raw.apiVersion !== API_VERSION)
    yield issue("apiVersion", `must be ${API_VERSION}.`);
  if (raw.kind !== undefined && raw.kind !== kind.kind) yield issue("kind", `must be ${kind.kind}.`);
  for (const field of Object.keys(raw))
    if (!rootFields.includes(field))
      yield issue(
        pathOf([field.slice(0, 60)]),
        `there is no such field; the fields here are ${rootFields.join(", ")}: correct or remove it.`,
      );
  for (const rule of kind.rules)
    for (const { path, message } of rule.check(raw)) yield issue(pathOf(path), message ?? rule.message, rule.reason);
}

const reasonOf = (issue: z.core.$ZodIssue): Reason =>
  issue.code === "custom" ? ((issue.params as RuleParams | undefined)?.reason ?? "Invalid") : "Invalid";

/** A field name that is no plain word (it comes from the object) is quoted. */
export const pathOf = (segments: readonly PropertyKey[]): string =>
  segments.reduce<string>((path, segment) => {
    if (typeof segment === "number") return `${path}[${segment}]`;
    const text = String(segment);
    const field = /^[A-Za-z][A-Za-z0-9_]*$/.test(text) ? text : JSON.stringify(text.slice(0, 60));
    return path === "" ? field : `${path}.${field}`;
  }, "");
