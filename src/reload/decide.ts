/**
 * What one pod needs to run exactly the desired data. Pure: the same function says what to do and, on a reading taken
 * afterwards, whether it is done.
 *
 * Order: new destinations first, then what may leave while its tier still has another destination, then tables
 * (tls, htable, address, mtree: what lookups refer to before the lookups), then removals that empty a tier.
 */
import { byDestination, destinationId } from "../ir/setId.ts";
import { byReloadOrder } from "../kamailio/tableKinds.ts";
import type { DestinationState, ObservedDestination, PodReading } from "../kamailio/types.ts";
import { DISABLED_FLAG, INACTIVE_FLAGS, TRYING_FLAGS } from "../render/layout.ts";
import type { DesiredData, DispatcherEntry } from "../render/types.ts";
import type { PodDecision, ReloadAction } from "./types.ts";

export interface Hints {
  /** destination URIs that do not answer, as other pods know: they are not added as active, nor are they in a fresh pod */
  readonly inactive?: ReadonlySet<string>;
}

export function decidePod(desired: DesiredData, reading: PodReading, hints: Hints = {}): PodDecision {
  const wanted = byDestination(desired.dispatcher);
  const present = byDestination(reading.destinations);
  const silent = lazily(() => silentUris(reading, hints));
  const leaving = lazily(() =>
    silentUris({ destinations: reading.destinations.filter((one) => !wanted.has(destinationId(one))) }),
  );
  const added: ReloadAction[] = [];
  const corrected: ReloadAction[] = [];
  const states: StateAction[] = [];
  for (const [id, [entry]] of wanted) {
    const found = present.get(id);
    if (entry === undefined) continue;
    if (found === undefined) {
      added.push(addition(entry, silent().has(entry.uri)));
      continue;
    }
    const corrections = correction(entry, found, present, silent);
    if (corrections.length > 0) corrected.push(...corrections);
    else states.push(...stateChange(entry, found, silent), ...seed(entry, found, reading, hints, leaving));
  }
  const others = states.length === 0 ? [] : otherSpellings(states, wanted, reading);
  const tables = tableActions(desired, reading);
  const { early, late } = removals(wanted, present, others);
  const seeded: readonly ReloadAction[] =
    reading.fresh === true
      ? [{ kind: "markSeeded", reason: "the pod is right for the first time since its start" }]
      : [];
  const actions = [
    ...added,
    ...others.map((one) => removal(one)),
    ...states,
    ...corrected,
    ...early,
    ...tables,
    ...late,
    ...seeded,
  ];
  return { inSync: actions.length === 0, actions };
}

type Wanted = ReadonlyMap<string, readonly DispatcherEntry[]>;
type Present = ReadonlyMap<string, readonly ObservedDestination[]>;

type StateAction = Extract<ReloadAction, { kind: "setState" }>;

const silentUris = (
  { destinations }: Pick<PodReading, "destinations">,
  { inactive = new Set() }: Hints = {},
): ReadonlySet<string> =>
  inactive.union(new Set(destinations.filter((one) => one.state === "Inactive").map(({ uri }) => usualSpelling(uri))));

/** It is added with its state: there is no moment at which it takes calls, and no second request that may get lost. */
const addition = (entry: DispatcherEntry, inactive: boolean): ReloadAction => ({
  kind: "addDestination",
  entry: withState(entry, inactive ? "Inactive" : "Active"),
  reason: inactive ? "the destination is missing, and known not to answer" : "the destination is missing",
});

function withState(entry: DispatcherEntry, state: DestinationState): DispatcherEntry {
  const flags = { Inactive: INACTIVE_FLAGS, Probing: TRYING_FLAGS, Active: 0, Disabled: 0 }[state];
  return flags === 0 || isDisabled(entry) ? entry : { ...entry, flags: entry.flags | flags };
}

/**
 * Kamailio takes every destination for active when it starts: what the other pods know counts until it has asked itself. So it
 * does with one that was added, which may have fallen silent since, where it still is in the tier or set that it leaves.
 */
function seed(
  entry: DispatcherEntry,
  found: readonly ObservedDestination[],
  { fresh }: PodReading,
  { inactive }: Hints,
  leaving: () => ReadonlySet<string>,
): readonly StateAction[] {
  if (isDisabled(entry) || !found.some((one) => (fresh === true ? one.state === "Active" : isUnasked(one)))) return [];
  if (inactive?.has(entry.uri) !== true && (fresh === true || !leaving().has(entry.uri))) return [];
  return [stateOf(entry, "ip", "the destination is known not to answer")];
}

/** Kamailio shows "AX" until it has asked. */
const isUnasked = ({ state, flags }: ObservedDestination): boolean => state === "Active" && flags === "AX";

const isDisabled = (entry: DispatcherEntry): boolean => (entry.flags & DISABLED_FLAG) !== 0;

const stateOf = (entry: DispatcherEntry, state: string, reason: string): StateAction => ({
  kind: "setState",
  setId: entry.setId,
  uri: entry.uri,
  state,
  reason,
});

/** The same URI to a SIP stack (RFC 3261 19.1.4), another one to `dispatcher.remove`. */
const otherSpelling = (uri: string): string => uri.replace(/[a-z]+$/, (transport) => transport.toUpperCase());
const usualSpelling = (uri: string): string => uri.replace(/[A-Z]+$/, (transport) => transport.toLowerCase());

/**
 * `dispatcher.remove` takes all entries of a set and URI, and an entry cannot be changed: remove, and add with the state
 * that it had. The same destination in another spelling stands in for it meanwhile: its calls find a destination, and its
 * own are a backend's. Where that one is there already, it goes as everything that is not wanted.
 */
function correction(
  entry: DispatcherEntry,
  found: readonly ObservedDestination[],
  present: Present,
  silent: () => ReadonlySet<string>,
): readonly ReloadAction[] {
  const [first] = found;
  const reason = first === undefined ? undefined : whatDiffers(entry, first, found.length);
  if (first === undefined || reason === undefined) return [];
  const { state } = found.find((one) => one.state === "Inactive") ?? first;
  // what was disabled has not been asked: it is enabled with what is known of it
  const replaced = withState(entry, state === "Disabled" && silent().has(entry.uri) ? "Inactive" : state);
  const change: readonly ReloadAction[] = [removal(entry, reason), { kind: "addDestination", entry: replaced, reason }];
  const standIn = { ...replaced, uri: otherSpelling(entry.uri) };
  if (present.has(destinationId(standIn))) return change;
  return [
    { kind: "addDestination", entry: standIn, reason: "it stands in for the destination that is changed" },
    ...change,
    removal(standIn, "the destination is changed"),
  ];
}

function whatDiffers(entry: DispatcherEntry, first: ObservedDestination, times: number): string | undefined {
  if (times > 1) return "the destination is listed twice";
  if (first.attrs !== entry.attrs) return "the attributes of the destination changed";
  if (first.priority !== entry.priority) return "the priority of the destination changed";
  return undefined;
}

function stateChange(
  entry: DispatcherEntry,
  found: readonly ObservedDestination[],
  silent: () => ReadonlySet<string>,
): readonly StateAction[] {
  const disabled = found.some(({ state }) => state === "Disabled");
  if (isDisabled(entry)) return disabled ? [] : [stateOf(entry, "d", "the backend is disabled")];
  if (!disabled) return [];
  return silent().has(entry.uri)
    ? [stateOf(entry, "ip", "the backend is not disabled, and is known not to answer")]
    : [stateOf(entry, "ap", "the backend is not disabled")];
}

/**
 * `dispatcher.set_state` reaches the first entry of its set whose URI is the same without regard to case, and no other:
 * what was left standing in for a destination goes before the destination is given a state.
 */
function otherSpellings(
  states: readonly StateAction[],
  wanted: Wanted,
  { destinations }: PodReading,
): readonly ObservedDestination[] {
  const meant = new Set(states.map((one) => destinationId(one).toLowerCase()));
  return destinations.filter((one) => {
    const id = destinationId(one);
    return !wanted.has(id) && meant.has(id.toLowerCase());
  });
}

function tableActions(desired: DesiredData, reading: PodReading): readonly ReloadAction[] {
  return desired.tables
    .filter((table) => reading.tables[table.name] !== table.generation)
    .toSorted(byReloadOrder)
    .flatMap((table): readonly ReloadAction[] => {
      const runs = reading.tables[table.name];
      const reason = `the table ${table.name} has generation ${runs ?? "none"}, ${table.generation} is wanted`;
      return [
        { kind: "awaitFile", table: table.name, reason },
        { kind: "reloadTable", table: table.name, reason },
      ];
    });
}

const removal = (
  { setId, uri }: Pick<ObservedDestination, "setId" | "uri">,
  reason = "the destination is not wanted",
): ReloadAction => ({ kind: "removeDestination", setId, uri, reason });

/** An empty list is never what is wanted: nothing is removed then. */
function removals(
  wanted: Wanted,
  present: Present,
  done: readonly ObservedDestination[],
): { early: ReloadAction[]; late: ReloadAction[] } {
  const early: ReloadAction[] = [];
  const late: ReloadAction[] = [];
  if (wanted.size === 0) return { early, late };
  const staying = new Set<number>();
  const gone: ObservedDestination[] = [];
  for (const [id, [first]] of present)
    if (first !== undefined) void (wanted.has(id) ? staying.add(first.setId) : gone.push(first));
  for (const one of gone) if (!done.includes(one)) (staying.has(one.setId) ? early : late).push(removal(one));
  return { early, late };
}

function lazily<Made>(make: () => Made): () => Made {
  let made: Made | undefined;
  return () => (made ??= make());
}
