/** From an object of unknown content to a typed one, or an issue for each field that is wrong. */
import {
  parsePbxBackend,
  parseSipRouter,
  refOf,
  type Parsed,
  type PbxBackend,
  type RawObject,
  type SipRouter,
} from "../api/index.ts";
import { wrong } from "./issue.ts";
import type { Issue } from "./types.ts";

export type ParsedObject<Kind> = { readonly object: Kind } | { readonly issues: readonly Issue[] };

/** Objects are never changed, only replaced: what was parsed once is known. */
const once = <Kind>(parse: (raw: RawObject) => ParsedObject<Kind>): ((raw: RawObject) => ParsedObject<Kind>) => {
  const known = new WeakMap<RawObject, ParsedObject<Kind>>();
  return (raw) => {
    const found = known.get(raw) ?? parse(raw);
    known.set(raw, found);
    return found;
  };
};

export const parseRouter = once<SipRouter>((raw) => withIssues(raw, parseSipRouter(raw)));
export const parseBackend = once<PbxBackend>((raw) => withIssues(raw, parsePbxBackend(raw)));

function withIssues<Kind>(raw: RawObject, parsed: Parsed<Kind>): ParsedObject<Kind> {
  if ("ok" in parsed) return { object: parsed.ok };
  return { issues: parsed.issues.map(({ path, reason, message }) => wrong(refOf(raw), path, reason, message)) };
}
