/**
 * One step of a Deployment: which pods to start and which to end now. Pure. New pods come before old ones go where an
 * address is free (maxUnavailable 0, maxSurge 1); where none is, old ones are drained and replaced one at a time.
 */

export interface RolloutPod {
  readonly name: string;
  /** made from the Deployment's template as it is now */
  readonly current: boolean;
  readonly ready: boolean;
  readonly terminating: boolean;
}

export interface RolloutStep {
  /** how many new pods to start; each needs a free address */
  readonly start: number;
  readonly stop: readonly string[];
}

export function decideRollout(target: number, pods: readonly RolloutPod[], freeAddresses: number): RolloutStep {
  const live = pods.filter((pod) => !pod.terminating);
  const current = live.filter((pod) => pod.current);
  const old = live.filter((pod) => !pod.current);
  if (target === 0) return { start: 0, stop: live.map((pod) => pod.name) };

  const extra = Math.max(0, current.length - target);
  const notNeeded = current.toSorted((a, b) => Number(a.ready) - Number(b.ready)).slice(0, extra);
  if (old.length === 0) {
    const start = Math.min(Math.max(0, target - current.length), freeAddresses);
    return { start, stop: notNeeded.map((pod) => pod.name) };
  }

  // An old pod that does not serve is in nobody's way but ours.
  const useless = old.filter((pod) => !pod.ready);
  const serving = old.length - useless.length;
  const stop = [...notNeeded, ...useless].map((pod) => pod.name);
  const total = current.length - extra + serving;
  if (current.some((pod) => !pod.ready)) return { start: 0, stop };
  if (total > target) return { start: 0, stop: [...stop, ...lastOf(old, total - target)] };
  if (current.length < target && freeAddresses > 0)
    return { start: Math.min(1 + target - total, target - current.length, freeAddresses), stop };
  const waiting = stop.length > 0 || pods.some((pod) => pod.terminating);
  return { start: 0, stop: waiting ? stop : lastOf(old, 1) };
}

const lastOf = (old: readonly RolloutPod[], count: number): string[] =>
  old
    .filter((pod) => pod.ready)
    .slice(-count)
    .map((pod) => pod.name);
