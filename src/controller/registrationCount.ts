/** How many phones are registered with the pods of routers that are registrars: a metric, so it is asked for seldom. */
import { countRegistrations } from "../kamailio/registrations.ts";
import { usablePods, type Context } from "./context.ts";
import { addressOf } from "./podReading.ts";
import type { RouterState } from "./state.ts";

const COUNT_MS = 15_000;

export interface RegistrationCount {
  stop(): void;
}

export function createRegistrationCount(context: Context): RegistrationCount {
  let timer: unknown;
  let stopped = false;

  const countOf = async (state: RouterState): Promise<void> => {
    const { token } = state;
    if (token === undefined || state.plan?.structure.registration.mode !== "Registrar") return;
    for (const pod of usablePods(context, state.key)) {
      const count = await countRegistrations(context.control, addressOf(pod, token)).catch(() => undefined);
      // of a pod that has gone meanwhile nothing is shown
      const isShown = context.states.get(state.key) === state && state.pods.has(pod.uid);
      if (count !== undefined && isShown && !stopped) context.metrics.registrations(state.key, pod.name, count);
    }
  };

  const round = async (): Promise<void> => {
    for (const state of context.states.values()) await countOf(state);
    schedule();
  };
  const schedule = (): void => {
    if (!stopped) timer = context.clock.setTimeout(() => void round(), COUNT_MS * (0.9 + context.random() / 5));
  };
  schedule();
  return {
    stop() {
      stopped = true;
      context.clock.clearTimeout(timer);
    },
  };
}
