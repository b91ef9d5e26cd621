/**
 * `dispatcher.list`: `setid uri flags priority attrs`. Kamailio loads an empty file as no destination at all and says
 * Ok: an empty list is refused, unless PBXes have yet to register.
 */
import { destinationId, hashOf } from "../../ir/index.ts";
import type { Destination, DispatcherSetPlan, RouterPlan } from "../../ir/types.ts";
import { DISABLED_FLAG } from "../layout.ts";
import type { DispatcherEntry } from "../types.ts";
import { dispatcherAttrs, dispatcherLine, dispatcherUri, integer, refuse } from "./quote.ts";

export const DISPATCHER_FILE = "dispatcher.list";

/** The list before the first PBX has registered; nothing takes the place of a longer one by it. */
const NONE_YET = "# no destination yet\n";

export function buildEntries({ structure, data }: Pick<RouterPlan, "structure" | "data">): readonly DispatcherEntry[] {
  const entries = data.sets.flatMap((set) => set.destinations.map((destination) => entryOf(set, destination)));
  if (entries.length === 0 && structure.registrants === undefined)
    refuse("dispatcherSets", [], "at least one backend: with an empty list Kamailio would forget every destination");
  const ids = new Set(entries.map(destinationId));
  if (ids.size !== entries.length)
    refuse("dispatcherSets", "a destination twice in one tier", "each address once in a tier");
  return entries.toSorted((a, b) => a.setId - b.setId || (a.uri < b.uri ? -1 : 1));
}

function entryOf(set: DispatcherSetPlan, destination: Destination): DispatcherEntry {
  const what = `set ${set.name}, backend ${destination.backend}`;
  const uri = dispatcherUri(what, destination.host, destination.port, destination.transport);
  if (uri !== destination.uri) refuse(what, destination.uri, `its address, ${uri}`);
  const attrs: [string, string][] =
    set.algorithm === "Weighted" ? [["rweight", integer(`${what}: weight`, destination.weight ?? 1, 1, 100)]] : [];
  return {
    attrs: dispatcherAttrs(what, attrs),
    flags: destination.disabled ? DISABLED_FLAG : 0,
    priority: rankOf(set, uri),
    setId: Number(integer(what, destination.setId, 100, 999_999)),
    uri,
  };
}

/** Latency counts in steps of so many milliseconds: destinations within one step share calls in turn. */
const LATENCY_STEP = 30;

/**
 * Kamailio's priority is the order within a tier, highest first. Equal ones turn round with every change of any set, and
 * with them what a hash stands for: so each address has a number of its own, the same in every pod. The algorithm of
 * latency takes the priority for its scale instead.
 */
const rankOf = (set: DispatcherSetPlan, uri: string): number =>
  set.algorithm === "Latency" ? LATENCY_STEP : numberOf(uri);

const MAX_RANK = 99_999_999;
/** Of so many addresses the number is known without a hash. */
const MOST_KNOWN = 50_000;
const numbers = new Map<string, number>();

function numberOf(uri: string): number {
  const known = numbers.get(uri);
  if (known !== undefined) return known;
  const number = (Number.parseInt(hashOf(uri).slice(0, 7), 16) % MAX_RANK) + 1;
  if (numbers.size >= MOST_KNOWN) numbers.clear();
  numbers.set(uri, number);
  return number;
}

export const renderDispatcherList = (entries: readonly DispatcherEntry[]): string =>
  entries.length === 0
    ? NONE_YET
    : entries
        .map(({ setId, uri, flags, priority, attrs }) =>
          dispatcherLine(`destination ${uri}`, [
            ...[setId, uri, flags, priority].map(String),
            ...(attrs === "" ? [] : [attrs]),
          ]),
        )
        .join("");

/** @throws OperatorError SIPR_RENDER_REFUSED for a line that {@link renderDispatcherList} does not write */
export function parseDispatcherList(text: string): readonly DispatcherEntry[] {
  if (text === NONE_YET) return [];
  const lines = text.split("\n");
  if (lines.pop() !== "" || lines.length === 0) refuse(DISPATCHER_FILE, text, "complete lines, at least one");
  return lines.map((line) => {
    const match = /^([0-9]{3,6}) (sip:[0-9A-Za-z.:[\]]+;transport=(?:udp|tcp|tls)) (0|4) ([0-9]{1,8})(?: (\S+))?$/.exec(
      line,
    );
    const [, setId, uri, flags, priority, attrs] = match ?? [];
    if (setId === undefined || uri === undefined)
      return refuse(`${DISPATCHER_FILE}: line`, line, "setid uri flags priority attrs");
    return { setId: Number(setId), uri, flags: Number(flags), priority: Number(priority), attrs: attrs ?? "" };
  });
}
