/** The end of a pod's process as the kubelet gives it: preStop, SIGTERM, the rest of the grace period, SIGKILL. */
import { killRemains, signalProcess } from "./process.ts";
import { runPreStop, type PreStopOptions } from "./preStop.ts";

/** The kubelet gives at least this long after SIGTERM, however long preStop took. */
const MINIMUM_GRACE_MS = 2000;

export interface EndOptions extends Omit<PreStopOptions, "command"> {
  readonly preStop: readonly string[] | undefined;
  /** 0: killed at once */
  readonly graceSeconds: number;
}

/** Resolves when the process and all it forked are gone. */
export async function endProcess({ preStop, graceSeconds, ...options }: EndOptions): Promise<void> {
  const { process, deadline } = options;
  if (preStop !== undefined && graceSeconds > 0) await runPreStop({ ...options, command: preStop });
  await signalProcess(process.record, graceSeconds > 0 ? "SIGTERM" : "SIGKILL");
  const left = graceSeconds > 0 ? Math.max(MINIMUM_GRACE_MS, deadline - performance.now()) : 0;
  await within(left, process.exited);
  await killRemains(process.record);
}

/** Waits for `done`, but no longer than so many milliseconds. */
async function within(milliseconds: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([done, late]);
  clearTimeout(timer);
}
