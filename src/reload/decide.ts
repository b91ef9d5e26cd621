/**
 * What one pod needs to run exactly the desired data. Pure: the same function says what to do and, on a reading taken
 * afterwards, whether it is done.
 *
 * Order: new destinations first, then what may leave while its tier still has another destination, then tables
 * (tls, htable, address, mtree: what lookups refer to before the lookups), then removals that empty a tier.
 */
import { byDestination, destinationId } from "../ir/setId.ts";
import { byReloadOrder } from "../kamailio/tableKinds.ts";
import type { ObservedDestination, PodReading } from "../kamailio/types.ts";
import { DISABLED_FLAG } from "../render/layout.ts";
import type { DesiredData, DispatcherEntry } from "../render/types.ts";
import type { PodDecision, ReloadAction } from "./types.ts";

export interface Hints {
  /** destination URIs that do not answer, as other pods know: they are not added as active, nor are they in a fresh pod */
  readonly inactive?: ReadonlySet<string>;
}

export function decidePod(desired: DesiredData, reading: PodReading, hints: Hints = {}): PodDecision {
  const wanted = byDestination(desired.dispatcher);
  const present = byDestination(reading.destinations);
  let silent: ReadonlySet<string> | undefined;
  let moved: ReadonlySet<string> | undefined;
  const added: ReloadAction[] = [];
  const corrected: ReloadAction[] = [];
  for (const [id, [entry]] of wanted) {
    const found = present.get(id);
    if (entry === undefined) continue;
    if (found === undefined) {
      silent ??= silentUris(reading, hints);
      added.push(...addition(entry, silent.has(entry.uri)));
      continue;
    }
    const corrections = correction(entry, found, present);
    corrected.push(...corrections);
    if (corrections.length > 0) continue;
    if (reading.fresh === true) corrected.push(...seed(entry, found, hints.inactive));
    // it was added, and the answer was lost before it was given its state
    else if (found.some(isUnasked)) {
      moved ??= movedFrom(wanted, present).union(hints.inactive ?? new Set());
      corrected.push(...seed(entry, found, moved));
    }
  }
  const tables = tableActions(desired, reading);
  const { early, late } = removals(wanted, present);
  const seeded: readonly ReloadAction[] =
    reading.fresh === true
      ? [{ kind: "markSeeded", reason: "the pod is right for the first time since its start" }]
      : [];
  const actions = [...added, ...corrected, ...early, ...tables, ...late, ...seeded];
  return { inSync: actions.length === 0, actions };
}

type Wanted = ReadonlyMap<string, readonly DispatcherEntry[]>;
type Present = ReadonlyMap<string, readonly ObservedDestination[]>;

const silentUris = ({ destinations }: PodReading, { inactive = new Set() }: Hints): ReadonlySet<string> =>
  inactive.union(new Set(destinations.filter((one) => one.state === "Inactive").map(({ uri }) => usualSpelling(uri))));

/** Inactive where they go: the same URI in another set may have been one of these. */
const movedFrom = (wanted: Wanted, present: Present): ReadonlySet<string> =>
  new Set(
    [...present]
      .filter(([id, found]) => !wanted.has(id) && found.some(({ state }) => state === "Inactive"))
      .flatMap(([, found]) => found.map(({ uri }) => uri)),
  );

function addition(entry: DispatcherEntry, inactive: boolean): readonly ReloadAction[] {
  const add: ReloadAction = { kind: "addDestination", entry, reason: "the destination is missing" };
  if (!inactive || isDisabled(entry)) return [add];
  return [add, stateOf(entry, "ip", "the destination is known not to answer")];
}

/** Kamailio takes every destination for active when it starts: what the other pods know counts until it has asked itself. */
function seed(
  entry: DispatcherEntry,
  found: readonly ObservedDestination[],
  inactive: ReadonlySet<string> | undefined,
): readonly ReloadAction[] {
  const active = found.some((one) => one.state === "Active");
  if (!active || inactive?.has(entry.uri) !== true) return [];
  return [stateOf(entry, "ip", "the destination is known not to answer")];
}

/** Kamailio shows "AX" until it has asked. */
const isUnasked = ({ state, flags }: ObservedDestination): boolean => state === "Active" && flags === "AX";

const isDisabled = (entry: DispatcherEntry): boolean => (entry.flags & DISABLED_FLAG) !== 0;

const stateOf = (entry: DispatcherEntry, state: string, reason: string): ReloadAction => ({
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
 * `dispatcher.remove` takes all entries of a set and URI, and an entry cannot be changed: remove, add, give it its state
 * back. The same destination in another spelling stands in for it meanwhile: its calls find a destination, and its own
 * are a backend's. Where that one is there already, it goes as everything that is not wanted.
 */
function correction(
  entry: DispatcherEntry,
  found: readonly ObservedDestination[],
  present: Present,
): readonly ReloadAction[] {
  const [first] = found;
  if (first === undefined) return [];
  const why =
    found.length > 1
      ? "the destination is listed twice"
      : first.attrs !== entry.attrs
        ? "the attributes of the destination changed"
        : first.priority !== entry.priority
          ? "the priority of the destination changed"
          : undefined;
  if (why !== undefined) {
    const kept = found.find((one) => one.state === "Inactive") ?? first;
    const spelled = { ...entry, uri: otherSpelling(entry.uri) };
    const standsIn = present.has(destinationId(spelled));
    const standing = "it stands in for the destination that is changed";
    const [before, after]: ReloadAction[][] = standsIn
      ? [[], []]
      : [
          [{ kind: "addDestination", entry: spelled, reason: standing }, ...keepState(spelled, kept)],
          [{ kind: "removeDestination", setId: entry.setId, uri: spelled.uri, reason: "the destination is changed" }],
        ];
    return [
      ...(before ?? []),
      { kind: "removeDestination", setId: entry.setId, uri: entry.uri, reason: why },
      { kind: "addDestination", entry, reason: why },
      ...keepState(entry, kept),
      ...(after ?? []),
    ];
  }
  const disabled = first.state === "Disabled";
  if (isDisabled(entry) && !disabled) return [stateOf(entry, "d", "the backend is disabled")];
  if (!isDisabled(entry) && disabled) return [stateOf(entry, "ap", "the backend is not disabled")];
  return [];
}

function keepState(entry: DispatcherEntry, observed: ObservedDestination): readonly ReloadAction[] {
  if (isDisabled(entry)) return [];
  const letters = { Inactive: "ip", Probing: "tp", Active: undefined, Disabled: undefined }[observed.state];
  return letters === undefined ? [] : [stateOf(entry, letters, "the destination keeps its state")];
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

/** An empty list is never what is wanted: nothing is removed then. */
function removals(wanted: Wanted, present: Present): { early: ReloadAction[]; late: ReloadAction[] } {
  const early: ReloadAction[] = [];
  const late: ReloadAction[] = [];
  const gone = wanted.size === 0 ? [] : [...present].filter(([id]) => !wanted.has(id));
  if (gone.length === 0) return { early, late };
  const staying = new Set(
    [...wanted].filter(([id]) => present.has(id)).flatMap(([, found]) => found.map(({ setId }) => setId)),
  );
  for (const [, [first]] of gone) {
    if (first === undefined) continue;
    const { setId, uri } = first;
    const action: ReloadAction = { kind: "removeDestination", setId, uri, reason: "the destination is not wanted" };
    (staying.has(setId) ? early : late).push(action);
  }
  return { early, late };
}
