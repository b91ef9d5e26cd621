/**
 * Delay before attempt `failures` + 1, milliseconds: doubles from `baseMs` to `maxMs`, then a random part of it between
 * half and whole, so that many instances do not return at the same moment. `random` in [0, 1).
 */
export const backoffMs = (failures: number, baseMs: number, maxMs: number, random: number): number => {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(Math.max(failures - 1, 0), 30));
  return full * (0.5 + random / 2);
};

/** Resolves after the delay, or at once when the signal is aborted. */
export const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
  });
