/**
 * Which pods of one router may be worked on now. Pure. One pod first; once it is read back right the others follow in
 * batches that grow with the number of pods that are right; a pod that came out wrong stops the rest. A pod that does not
 * answer, gets no calls yet or is being replaced takes no place in a batch and holds up nobody: it is worked on apart. A
 * pod that gets no calls yet, or has only to be told what the others know, is so also while the rest is stopped.
 */
import { byName, type PodState } from "../api/index.ts";

export interface FleetPod {
  readonly name: string;
  /** InSync: read back with the wanted revision. Stale: waits for its files. Failed: came out wrong or never answered. */
  readonly state: PodState;
  readonly ready: boolean;
  /** made from the current pod template: only such pods can stop a change (the others are being replaced) */
  readonly current: boolean;
  /** its control port answered the last time; true when never asked */
  readonly reachable: boolean;
  /** it stopped this very change before: it is the one to begin with */
  readonly first?: boolean;
  /** it has started, runs what it must, and has only to be told which destinations do not answer: no change can go wrong there */
  readonly unseeded?: boolean;
  /** it ended at this change: when it runs it now, that may be by its start, and proves nothing */
  readonly ended?: boolean;
  /** another pod ended at this change: nothing of it is given to this one */
  readonly waits?: boolean;
  /** it may be tried now (no backoff runs) */
  readonly due: boolean;
}

export interface FleetDecision {
  /** names, in the order in which they are to be started */
  readonly work: readonly string[];
  /** names of those that nobody waits for: they do not answer, are not ready, or are being replaced */
  readonly apart: readonly string[];
  /** the pod that stops the change, when one does */
  readonly halted?: string;
}

const GROWTH = 2;

export function decideFleet(fleet: readonly FleetPod[]): FleetDecision {
  const due = (some: readonly FleetPod[]): readonly string[] => some.filter((pod) => pod.due).map((pod) => pod.name);
  const pods = fleet.filter((pod) => pod.waits !== true);
  const open = pods.filter((pod) => pod.state !== "InSync").toSorted(byTurn);
  const toBeTold = fleet.filter((pod) => pod.state !== "InSync" && pod.unseeded === true);
  const halting = open.find((pod) => pod.state === "Failed" && pod.reachable && pod.current && pod.ready);
  if (halting !== undefined) {
    const harmless = new Set([...open.filter((pod) => !pod.ready), ...toBeTold]);
    harmless.delete(halting);
    return { work: due([halting]), apart: due([...harmless]), halted: halting.name };
  }
  const serving = pods.some((pod) => pod.ready);
  const holdsPlace = (pod: FleetPod): boolean =>
    pod.reachable && pod.current && pod.state !== "Failed" && (pod.ready || !serving);
  const proven = pods.filter((pod) => pod.state === "InSync" && pod.ended !== true).length;
  const size = Math.max(1, proven * GROWTH);
  return {
    work: due(open.filter(holdsPlace).slice(0, size)),
    apart: due([...open.filter((pod) => !holdsPlace(pod)), ...toBeTold.filter((pod) => pod.waits === true)]),
  };
}

/** What is under way first, then the pod that stopped the change before, ready pods, then by name. */
const byTurn = (a: FleetPod, b: FleetPod): number =>
  Number(b.state === "Stale") - Number(a.state === "Stale") ||
  Number(b.first === true) - Number(a.first === true) ||
  Number(b.ready) - Number(a.ready) ||
  byName(a, b);
