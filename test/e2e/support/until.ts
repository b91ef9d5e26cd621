/** Waits for a condition that is asked for by a program of its own, such as kubectl: less often than within a process. */
import { until as often } from "../../support/until.ts";

/** The value that `look` returns once it is neither undefined nor false; what throws is tried again. */
export const until = <Value>(
  what: string,
  look: () => Value | Promise<Value>,
  timeoutMs?: number,
): Promise<Exclude<Value, undefined | false>> => {
  let next = 0;
  return often(
    what,
    async () => {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
      next = Date.now() + 300;
      return look();
    },
    timeoutMs,
  );
};
