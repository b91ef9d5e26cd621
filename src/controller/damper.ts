/** How often each object's status was written of late: see status/damping.ts. */
import { isCalm, isObservedOnly, takeWrite, type Damping } from "../status/index.ts";

export interface Damper {
  /** milliseconds until this status may be written; 0: now, and it counts as written */
  wait(object: string, before: unknown, after: unknown, now: number): number;
}

const SWEEP_MS = 600_000;

export function createDamper(): Damper {
  const written = new Map<string, Damping>();
  let sweptAt = Number.NEGATIVE_INFINITY;
  const sweep = (now: number): void => {
    if (now - sweptAt < SWEEP_MS) return;
    sweptAt = now;
    for (const [object, damping] of written) if (isCalm(damping, now)) written.delete(object);
  };
  return {
    wait(object, before, after, now) {
      if (!isObservedOnly(before, after)) return 0;
      sweep(now);
      const { damping, waitMs } = takeWrite(written.get(object), now);
      written.set(object, damping);
      return waitMs;
    },
  };
}
