/** Brings one pod as far towards the desired data as can be done now, and reads it back. Never waits for files. */
import { OperatorError } from "../errors.ts";
import type { Control, ControlAddress, PodReading } from "../kamailio/types.ts";
import type { DesiredData } from "../render/types.ts";
import { decidePod, type Hints } from "./decide.ts";
import { executeAction } from "./execute.ts";
import type { ReloadAction } from "./types.ts";

export interface SyncInput {
  readonly control: Control;
  readonly address: ControlAddress;
  readonly desired: DesiredData;
  readonly read: () => Promise<PodReading>;
  /** destinations alone: enough after a change that touched no table */
  readonly readDestinations?: () => Promise<PodReading["destinations"]>;
  /** a recent reading of the same pod: saves the first one */
  readonly known?: PodReading;
  readonly hints?: Hints;
  /** the pod was told to fetch the files of this revision: tables may be reloaded */
  readonly filesSent: boolean;
  /** milliseconds, of any beginning */
  readonly now?: () => number;
  readonly onAction?: (action: ReloadAction) => void;
  /** called when what is new was read back right and something is still to go: other pods may be given the same */
  readonly onAdded?: () => void;
  /** what follows the additions waits for this; false: it is not done now */
  readonly goOn?: Promise<boolean>;
}

export interface SyncResult {
  /**
   * inSync: read back right. stale: only tables lag, their files are not there yet. wrong: it was done and is not right.
   * held: `goOn` said no.
   */
  readonly outcome: "inSync" | "stale" | "wrong" | "held";
  readonly reading: PodReading;
  /** actions done */
  readonly done: number;
  /** what is still to do */
  readonly remaining: readonly ReloadAction[];
}

/** No Kamailio starts anew in less. */
const LONG_WAIT_MS = 10;

const isFault = (error: unknown): boolean => error instanceof OperatorError && error.code === "SIPR_RPC_FAULT";
const isRemoval = (action: ReloadAction): boolean => action.kind === "removeDestination";
const isTable = (action: ReloadAction): boolean => action.kind === "reloadTable" || action.kind === "awaitFile";

/** @throws OperatorError SIPR_RPC_*: what was done is not known then; read again before the next try */
export async function syncPod(input: SyncInput): Promise<SyncResult> {
  const { desired } = input;
  let reading = input.known ?? (await input.read());
  let done = 0;
  const perform = async (actions: readonly ReloadAction[]): Promise<void> => {
    for (const action of actions) {
      input.onAction?.(action);
      try {
        await executeAction(input.control, input.address, action, desired.tables);
      } catch (error) {
        // A refused table reload (file not there yet, another reload under way) shows in the generation that is read back.
        if (action.kind !== "reloadTable" || !isFault(error)) throw error;
      }
      done += 1;
    }
  };
  const decided = decidePod(desired, reading, input.hints);
  if (decided.inSync) return { outcome: "inSync", reading, done, remaining: [] };
  let { actions } = decided;
  /** Reads the list again, and decides by it what is left to do. False: something is not there that was added. */
  const readAgain = async (): Promise<boolean> => {
    reading = await readList(input, reading);
    ({ actions } = decidePod(desired, reading, input.hints));
    return actions[0]?.kind !== "addDestination";
  };
  // what nothing is added before is taken from a list that was just read: it may have started anew since the other reading
  if (input.known !== undefined && leadingAdditions(actions).length === 0 && actions.some(isRemoval)) await readAgain();
  const additions = leadingAdditions(actions);
  // A pod that was just started is brought to its data as a whole.
  if (reading.fresh !== true && additions.length > 0 && additions.length < actions.length) {
    await perform(additions);
    // Kamailio needs a pause between two changes of its list: enough to see whether this one has come out right.
    if (!(await readAgain())) return { outcome: "wrong", reading, done, remaining: actions };
    input.onAdded?.();
  }
  const takes = leadingAdditions(actions).length < actions.length;
  if (takes && input.goOn !== undefined) {
    const { now = () => performance.now() } = input;
    const since = now();
    if (!(await input.goOn)) return { outcome: "held", reading, done, remaining: actions };
    // it may have started anew meanwhile, without what was added
    if (now() - since > LONG_WAIT_MS && !(await readAgain()))
      return { outcome: "wrong", reading, done, remaining: actions };
  }
  const { first, tables, last } = split(actions);
  await perform(first);
  if (input.filesSent) await perform(tables.filter((action) => action.kind === "reloadTable"));
  // What empties a tier goes only when the lookups that named the tier are proven to be gone.
  if (tables.length === 0) await perform(last);
  reading = tables.length === 0 && reading.fresh !== true ? await readList(input, reading) : await input.read();
  if (tables.length > 0 && last.length > 0) {
    const next = decidePod(desired, reading, input.hints);
    if (!next.actions.some(isTable)) {
      await perform(next.actions);
      reading = await input.read();
    }
  }
  const { actions: remaining } = decidePod(desired, reading, input.hints);
  return { outcome: outcomeOf(remaining), reading, done, remaining };
}

const readList = async (input: SyncInput, before: PodReading): Promise<PodReading> =>
  input.readDestinations === undefined ? input.read() : { ...before, destinations: await input.readDestinations() };

/** Until something goes or is reloaded. */
function leadingAdditions(actions: readonly ReloadAction[]): readonly ReloadAction[] {
  const end = actions.findIndex(({ kind }) => kind !== "addDestination" && kind !== "setState");
  return end < 0 ? actions : actions.slice(0, end);
}

function split(actions: readonly ReloadAction[]): Record<"first" | "tables" | "last", readonly ReloadAction[]> {
  const begin = actions.findIndex(isTable);
  const end = actions.findLastIndex(isTable) + 1;
  if (begin < 0) return { first: actions, tables: [], last: [] };
  return { first: actions.slice(0, begin), tables: actions.slice(begin, end), last: actions.slice(end) };
}

function outcomeOf(remaining: readonly ReloadAction[]): SyncResult["outcome"] {
  if (remaining.length === 0) return "inSync";
  return split(remaining).first.length === 0 ? "stale" : "wrong";
}
