/** Making, sorting and printing issues. */
import { compare, type ObjectRef, type Reason } from "../api/index.ts";
import type { Issue } from "./types.ts";

/** Wrong until the object itself is edited. */
export const wrong = (object: ObjectRef, path: string, reason: Reason, message: string): Issue => ({
  object,
  path,
  reason,
  message,
  transient: false,
});

/** Wrong now; another object's change mends it. */
export const unresolved = (object: ObjectRef, path: string, reason: Reason, message: string): Issue => ({
  object,
  path,
  reason,
  message,
  transient: true,
});

/** `SipRouter default/edge spec.routes[0]: message` */
export const describeIssue = (issue: Issue): string => {
  const { kind, namespace, name } = issue.object;
  return `${kind} ${namespace}/${name}${issue.path === "" ? "" : ` ${issue.path}`}: ${issue.message}`;
};

const natural = new Intl.Collator("en", { numeric: true });

/** Sorted by object, what blocks first, then path; exact duplicates dropped. */
export function sortIssues(issues: readonly Issue[]): readonly Issue[] {
  const seen = new Set<string>();
  const unique = issues.filter((issue) => {
    const key = `${describeIssue(issue)}\n${issue.reason}`;
    return !seen.has(key) && seen.add(key) !== undefined;
  });
  const weight = (issue: Issue): string => {
    const { kind, namespace, name } = issue.object;
    return `${kind}\n${namespace}\n${name}\n${issue.transient ? 1 : 0}`;
  };
  return unique.toSorted(
    (a, b) =>
      compare(weight(a), weight(b)) ||
      natural.compare(a.path, b.path) ||
      compare(a.reason, b.reason) ||
      compare(a.message, b.message),
  );
}
