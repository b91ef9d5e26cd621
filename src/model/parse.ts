/** From an object of unknown content to a typed one, with an issue for each field that is wrong. */
import {
  API_VERSION,
  pbxBackendSpec,
  sipRouterSpec,
  type PbxBackend,
  type RawObject,
  type SipRouter,
} from "../api/index.ts";
import type { z } from "zod";
import { quote, refOf, wrong } from "./issue.ts";
import type { Issue } from "./types.ts";

export type Parsed<Kind> =
  | { readonly object: Kind; readonly issues: readonly [] }
  | { readonly issues: readonly Issue[] };

export const parseRouter = (raw: RawObject): Parsed<SipRouter> => parseSpec<SipRouter>(raw, sipRouterSpec);
export const parseBackend = (raw: RawObject): Parsed<PbxBackend> => parseSpec<PbxBackend>(raw, pbxBackendSpec);

function parseSpec<Kind extends RawObject>(raw: RawObject, schema: z.ZodType): Parsed<Kind> {
  if (raw.apiVersion !== API_VERSION) {
    const message = `${quote(raw.apiVersion)} is not known here: write ${API_VERSION}.`;
    return { issues: [wrong(refOf(raw), "apiVersion", "Invalid", message)] };
  }
  const result = schema.safeParse(raw.spec ?? {});
  if (result.success) return { object: { ...raw, spec: result.data } as Kind, issues: [] };
  return {
    issues: result.error.issues.map((issue) =>
      wrong(refOf(raw), pathOf(["spec", ...issue.path]), "Invalid", issue.message),
    ),
  };
}

const pathOf = (segments: readonly PropertyKey[]): string =>
  segments.reduce<string>((path, segment) => {
    if (typeof segment === "number") return `${path}[${segment}]`;
    return path === "" ? String(segment) : `${path}.${String(segment)}`;
  }, "");
