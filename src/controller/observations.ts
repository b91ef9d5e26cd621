/** The last reading of every pod, and who may trust it. */
import { byDestination } from "../ir/setId.ts";
import type { PodReading } from "../kamailio/types.ts";
import { decidePod } from "../reload/index.ts";
import type { DesiredData } from "../render/types.ts";

export interface Observation {
  readonly reading: PodReading;
  /** milliseconds since the epoch */
  readonly at: number;
}

/** Most often something is missing, which is seen sooner than what to do about it. */
function hasAll({ dispatcher }: DesiredData, { destinations }: PodReading): boolean {
  const present = byDestination(destinations);
  for (const id of byDestination(dispatcher).keys()) if (!present.has(id)) return false;
  return true;
}

const judged = new WeakMap<PodReading, { readonly desired: DesiredData; readonly right: boolean }>();

/** The pod that was read runs exactly this. Asked often, worked out once. */
export function isRight(desired: DesiredData, reading: PodReading): boolean {
  const known = judged.get(reading);
  if (known?.desired === desired) return known.right;
  const right = hasAll(desired, reading) && decidePod(desired, reading).inSync;
  judged.set(reading, { desired, right });
  return right;
}

/** The pod has started and runs this; it has only to be told what the others know. */
export const isUnseeded = (desired: DesiredData, reading: PodReading | undefined): boolean =>
  reading?.fresh === true &&
  decidePod(desired, reading).actions.every(({ kind }) => kind === "setState" || kind === "markSeeded");

interface Entry {
  last: Observation | undefined;
  /** when it was last read as a whole, not its destinations alone */
  wholeAt: number;
  /** nothing was changed on the pod since the reading */
  valid: boolean;
  /** grows whenever the pod is worked on: a reading that was begun before does not count */
  epoch: number;
  busy: boolean;
  failures: number;
}

export interface Observations {
  /** the last reading however old, for the status; undefined after three polls without an answer */
  last(uid: string): PodReading | undefined;
  /** no older than `maxAgeMs`, and nothing was changed since */
  fresh(uid: string, now: number, maxAgeMs: number): PodReading | undefined;
  /** milliseconds since it was read as a whole */
  wholeAge(uid: string, now: number): number;
  /** it was asked, and answered or not */
  isKnown(uid: string): boolean;
  epoch(uid: string): number;
  isBusy(uid: string): boolean;
  /** The pod is about to be changed: readings under way are void. */
  begin(uid: string): void;
  /** `reading` is what was read back, when it was; `whole`: not its destinations alone */
  end(uid: string, reading: PodReading | undefined, now: number, whole?: boolean): void;
  /** a poll's answer; false when it is void */
  put(uid: string, reading: PodReading, epoch: number, now: number): boolean;
  /** a poll without an answer; returns how many in a row */
  fail(uid: string): number;
  drop(uid: string): void;
}

export const FAILED_POLLS = 3;

const emptyEntry = (): Entry => ({
  last: undefined,
  wholeAt: -Infinity,
  valid: false,
  epoch: 0,
  busy: false,
  failures: 0,
});

export function createObservations(): Observations {
  const entries = new Map<string, Entry>();
  const entry = (uid: string): Entry => {
    const found = entries.get(uid) ?? emptyEntry();
    entries.set(uid, found);
    return found;
  };
  return {
    last(uid) {
      const found = entries.get(uid);
      return found === undefined || found.failures >= FAILED_POLLS ? undefined : found.last?.reading;
    },
    fresh(uid, now, maxAgeMs) {
      const found = entries.get(uid);
      if (found?.last === undefined || !found.valid || found.failures > 0 || now - found.last.at > maxAgeMs)
        return undefined;
      return found.last.reading;
    },
    wholeAge: (uid, now) => now - (entries.get(uid)?.wholeAt ?? -Infinity),
    isKnown(uid) {
      const found = entries.get(uid);
      return found !== undefined && (found.last !== undefined || found.failures > 0);
    },
    epoch: (uid) => entries.get(uid)?.epoch ?? 0,
    isBusy: (uid) => entries.get(uid)?.busy ?? false,
    begin(uid) {
      const found = entry(uid);
      found.epoch += 1;
      found.busy = true;
      found.valid = false;
    },
    end(uid, reading, now, whole = false) {
      const found = entry(uid);
      found.epoch += 1;
      found.busy = false;
      if (reading === undefined) return;
      found.last = { reading, at: now };
      if (whole) found.wholeAt = now;
      found.valid = true;
      found.failures = 0;
    },
    put(uid, reading, epoch, now) {
      const found = entry(uid);
      if (found.busy || found.epoch !== epoch) return false;
      found.last = { reading, at: now };
      found.wholeAt = now;
      found.valid = true;
      found.failures = 0;
      return true;
    },
    fail(uid) {
      const found = entry(uid);
      found.failures += 1;
      return found.failures;
    },
    drop: (uid) => void entries.delete(uid),
  };
}
