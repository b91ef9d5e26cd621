/** Chains of checks: the first that has something to say decides; the last always has. */
import type { Issue } from "../model/types.ts";
import type { Reason } from "../api/index.ts";
import type { Verdict } from "./types.ts";

export type Check<Input> = (input: Input) => Verdict | undefined;

export function decideVerdict<Input>(checks: readonly Check<Input>[], otherwise: Verdict, input: Input): Verdict {
  for (const check of checks) {
    const verdict = check(input);
    if (verdict !== undefined) return verdict;
  }
  return otherwise;
}

export const yes = (reason: Reason, message: string): Verdict => ({ status: "True", reason, message });
export const no = (reason: Reason, message: string): Verdict => ({ status: "False", reason, message });
export const unknown = (reason: Reason, message: string): Verdict => ({ status: "Unknown", reason, message });

/** For who waits: there only while nothing but an edit helps (kstatus: abnormal conditions are there while they are true). */
export const stalled = ({ status, reason, message }: Verdict): Verdict | undefined =>
  status === "False" ? { status: "True", reason, message } : undefined;

const SHOWN = 8;

/** At most eight of them; every one names the object when it is another than the condition's. */
export function listIssues(issues: readonly Issue[], own: { kind: string; name: string }): string {
  const lines = issues.slice(0, SHOWN).map((issue) => {
    const { kind, name } = issue.object;
    const object = kind === own.kind && name === own.name ? "" : `${kind} ${name} `;
    return `${object}${issue.path === "" ? "" : `${issue.path}: `}${issue.message}`;
  });
  const more = issues.length - SHOWN;
  return more > 0 ? `${lines.join(" ")} (and ${more} more)` : lines.join(" ");
}

/** "a", "a and b", "a, b and 3 more" */
export function listNames(names: readonly string[]): string {
  if (names.length <= 1) return names.join("");
  if (names.length <= 3) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}
