/**
 * What a person wants to hear of, from the stored status to the new one: nothing is told twice on a resync or after a
 * restart of the operator. Pure.
 */
import type { Condition, RawObject, Reason } from "../api/index.ts";
import { NOT_LOOKED_UP } from "../model/types.ts";
import { conditionOf } from "./merge.ts";

export interface Announcement {
  readonly type: "Normal" | "Warning";
  readonly reason: Reason;
  readonly message: string;
}

type Flip = { readonly before: Condition | undefined; readonly after: Condition };

function flips(before: unknown, after: unknown, type: string): Flip | undefined {
  const old = conditionOf(before, type);
  const next = conditionOf(after, type);
  if (next === undefined) return undefined;
  if (old !== undefined && old.status === next.status && old.reason === next.reason && old.message === next.message)
    return undefined;
  return { before: old, after: next };
}

const told = (flip: Flip, type: Announcement["type"]): Announcement => ({
  type,
  reason: flip.after.reason as Reason,
  message: flip.after.message,
});

/** A halted change that is tried again, or was: the condition says so, and there is nothing new to tell. */
const isRetry = ({ before, after }: Flip): boolean => {
  const failure = (one: Condition): string => one.message.split(" Revision ")[0] ?? "";
  const halted = before?.reason === "ReloadFailed" && after.reason === "ReloadFailed";
  return halted && before.status === after.status && failure(before) === failure(after);
};

const turned = (flip: Flip): boolean => flip.before?.status !== flip.after.status;

/** A condition that is False: told when it flips and when what is wrong changes. True: told when it flips. */
function announce(flip: Flip | undefined, firstTrue: boolean): readonly Announcement[] {
  if (flip === undefined || isRetry(flip)) return [];
  if (flip.after.status === "False") return [told(flip, "Warning")];
  if (flip.after.status !== "True" || !turned(flip)) return [];
  return flip.before === undefined && !firstTrue ? [] : [told(flip, "Normal")];
}

/** What the next moment says better. */
const quietReasons = new Set(["Progressing", "RolloutProgressing", "NoPods", "Unobserved"]);
const loud = (announcements: readonly Announcement[]): readonly Announcement[] =>
  announcements.filter((one) => !quietReasons.has(one.reason) && !one.message.includes(NOT_LOOKED_UP));

/** @param reloaded the revision that all ready pods ran before, when they now run another one */
export function announceRouter(
  object: RawObject,
  after: unknown,
  reloaded?: { from: string; to: string },
): readonly Announcement[] {
  const before = object.status;
  const Ready = flips(before, after, "Ready");
  const rollout =
    Ready?.after.reason === "RolloutFailed" ||
    (Ready?.after.reason === "RolloutProgressing" &&
      Ready.before?.reason !== "RolloutProgressing" &&
      Ready.before?.status === "True");
  return [
    ...announce(flips(before, after, "Accepted"), true),
    ...loud(announce(flips(before, after, "ResolvedRefs"), false)),
    ...loud(announce(flips(before, after, "Programmed"), false)).filter((one) => one.type === "Warning"),
    ...(reloaded === undefined
      ? []
      : [
          {
            type: "Normal" as const,
            reason: "Reloaded" as const,
            message: `All ready pods run revision ${reloaded.to} (before: ${reloaded.from}).`,
          },
        ]),
    ...loud(announce(flips(before, after, "Available"), false)),
    ...(rollout && Ready !== undefined
      ? [told(Ready, Ready.after.reason === "RolloutFailed" ? "Warning" : "Normal")]
      : []),
    ...(Ready !== undefined && Ready.after.status === "True" && turned(Ready) && Ready.before?.reason !== "Progressing"
      ? [told(Ready, "Normal")]
      : []),
  ];
}

export function announceBackend(object: RawObject, after: unknown): readonly Announcement[] {
  const before = object.status;
  return [
    ...announce(flips(before, after, "Accepted"), false),
    ...loud(announce(flips(before, after, "Ready"), false)).filter(
      (one) => conditionOf(after, "Accepted")?.status === "True" && one.type === "Warning",
    ),
    ...announce(flips(before, after, "Reachable"), true),
    ...announce(flips(before, after, "Managed"), true),
    ...announceDrain(before, after),
  ];
}

/** When the last call is gone, and when it takes calls again; how many are left meanwhile is in the condition. */
function announceDrain(before: unknown, after: unknown): readonly Announcement[] {
  const old = conditionOf(before, "Drained");
  const next = conditionOf(after, "Drained");
  if (next === undefined)
    return old === undefined
      ? []
      : [{ type: "Normal", reason: "Undrained", message: "The backend takes new calls again." }];
  if (next.status !== "True" || old?.status === "True") return [];
  return [{ type: "Normal", reason: "Drained", message: next.message }];
}
