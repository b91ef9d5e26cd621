/** Two moments that others wait for: nothing waits or runs; and, once, every router is programmed or refused. */
import { keyOf, type Key } from "../api/index.ts";
import type { Context } from "./context.ts";

export interface Readiness {
  /** The cluster's first lists are in, and all work they ask for is queued. */
  begin(): void;
  /** A run of any queue has ended. */
  afterRun(): void;
  /** resolves when nothing waits or runs (delayed retries may be there) */
  settled(): Promise<void>;
}

export function createReadiness(context: Context): Readiness {
  const waiters: (() => void)[] = [];
  let begun = false;
  let ready = false;
  let waitedFor: Key | undefined;
  const idle = (): boolean => Object.values(context.queues).every((queue) => queue.idle());

  const afterRun = (): void => {
    // The run's own end is not counted yet: look when it is.
    queueMicrotask(() => {
      if (!idle()) return;
      for (const wake of waiters.splice(0)) wake();
    });
    if (ready || !begun) return;
    // Who was not ready the last time is asked first: most runs need not look at all the others.
    if (waitedFor !== undefined && context.states.has(waitedFor) && !isReady(context, waitedFor)) return;
    waitedFor = context
      .snapshot()
      .routers.map(keyOf)
      .find((key) => !isReady(context, key));
    if (waitedFor !== undefined) return;
    ready = true;
    context.hooks.onReady?.();
  };

  return {
    begin() {
      begun = true;
      if (idle()) afterRun();
    },
    afterRun,
    settled: () => (idle() ? Promise.resolve() : new Promise((resolve) => void waiters.push(resolve))),
  };
}

/** The router is programmed on all its replicas, or refused, or what it names is not there. */
function isReady(context: Context, router: Key): boolean {
  const state = context.states.get(router);
  if (state === undefined || !state.visited) return false;
  if (state.rejected !== undefined) return true;
  if (state.desired === undefined) return state.failure === undefined;
  return state.announced === state.desired.revision;
}
