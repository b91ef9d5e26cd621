/** `calls --follow`: what happened to calls between two readings. Pure. */
import type { Call } from "./calls.ts";
import { userOf } from "./naming.ts";
import { plain } from "../print/table.ts";
import { duration } from "./stats.ts";

export interface CallEvent {
  /** a state of a call as `calls` names it, or Ended */
  readonly event: string;
  readonly call: Call;
}

/**
 * Oldest call first; what is over comes first.
 * @param before undefined at the first reading: the calls that are there are told as they are
 */
export function callEvents(before: readonly Call[] | undefined, now: readonly Call[]): readonly CallEvent[] {
  const earlier = new Map((before ?? []).map((call) => [call.id, call]));
  const there = new Set(now.map(({ id }) => id));
  return [
    ...(before ?? []).filter(({ id }) => !there.has(id)).map((call) => ({ event: "Ended", call })),
    ...now.filter((call) => earlier.get(call.id)?.state !== call.state).map((call) => ({ event: call.state, call })),
  ];
}

/** @param now milliseconds since the epoch; the time is UTC */
export function renderEvent({ event, call }: CallEvent, now: number): string {
  const time = new Date(now).toISOString().slice(11, 19);
  const { backend, route, pod, seconds } = call;
  const where = [route && `route ${route}`, backend && `to ${backend}`, `on ${pod}`].filter(Boolean).join(" ");
  const after = event === "Ended" || seconds > 0 ? `  ${duration(seconds)}` : "";
  return plain(`${time}  ${event.padEnd(8)}  ${userOf(call.from)} → ${userOf(call.to)}  ${where}${after}  ${call.id}`);
}
