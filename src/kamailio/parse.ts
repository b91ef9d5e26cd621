/** Parsers of what Kamailio 5.6 to 6.1 answers. Pure. */
import { OperatorError } from "../errors.ts";
import type { DestinationState, ObservedDestination } from "./types.ts";

type Fields = Readonly<Record<string, unknown>>;

function malformed(method: string, value: unknown): never {
  throw new OperatorError("SIPR_RPC_MALFORMED", `${method}: not understood: ${JSON.stringify(value)?.slice(0, 120)}`, {
    remedy: "Check the version of Kamailio: 5.6 to 6.1 are supported.",
  });
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fieldsOf = (method: string, value: unknown): Fields => (isFields(value) ? value : malformed(method, value));
const listOf = (method: string, value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : malformed(method, value);

const states: Readonly<Record<string, DestinationState>> = { A: "Active", I: "Inactive", D: "Disabled", T: "Probing" };

/** `dispatcher.list`: in the order of set id and URI. 6.x adds IDX and IUID; ATTRS is there only when there are attributes. */
export function parseDispatcherAnswer(result: unknown): readonly ObservedDestination[] {
  const method = "dispatcher.list";
  const records = listOf(method, fieldsOf(method, result)["RECORDS"]);
  return records
    .flatMap((record) => {
      const set = fieldsOf(method, fieldsOf(method, record)["SET"]);
      const setId = Number.isInteger(set["ID"]) ? (set["ID"] as number) : malformed(method, set);
      return listOf(method, set["TARGETS"]).map((target) =>
        destinationOf(setId, fieldsOf(method, fieldsOf(method, target)["DEST"])),
      );
    })
    .toSorted((a, b) => a.setId - b.setId || (a.uri < b.uri ? -1 : 1));
}

/** `dispatcher.list`: how many there are; what is not understood counts nothing. */
export function countDestinations(result: unknown): number {
  const records = isFields(result) && Array.isArray(result["RECORDS"]) ? (result["RECORDS"] as readonly unknown[]) : [];
  const targetsIn = (record: unknown): unknown => {
    const set = isFields(record) ? record["SET"] : undefined;
    return isFields(set) ? set["TARGETS"] : undefined;
  };
  return records
    .map(targetsIn)
    .reduce<number>((sum, targets) => sum + (Array.isArray(targets) ? targets.length : 0), 0);
}

function destinationOf(setId: number, dest: Fields): ObservedDestination {
  const { URI: uri, FLAGS: flags, PRIORITY: priority, ATTRS: attrs, LATENCY: latency } = dest;
  const state = typeof flags === "string" ? states[flags.slice(0, 1)] : undefined;
  if (typeof uri !== "string" || typeof flags !== "string" || state === undefined)
    return malformed("dispatcher.list", dest);
  const body = isFields(attrs) ? attrs["BODY"] : undefined;
  return {
    setId,
    uri,
    state,
    flags,
    priority: typeof priority === "number" ? priority : 0,
    attrs: typeof body === "string" ? body : "",
    ...(isFields(latency) ? latencyOf(latency) : {}),
  };
}

/** No OPTIONS waits for its answer so long, milliseconds. */
const TOO_LONG_MS = 10 * 60_000;

/**
 * Zero in all fields: no answer yet. LATENCY has no last value: EST, the moving estimate, stands for it. Kamailio 5.6 counts an
 * answer that comes right after a change of the list from 1970 on (dispatch.c, ds_update_latency): nothing is known then.
 */
function latencyOf({ AVG: average, EST: last, MAX: max }: Fields): Pick<ObservedDestination, "latencyMs"> {
  if (typeof average !== "number" || typeof last !== "number" || typeof max !== "number" || max === 0) return {};
  if (Math.abs(max) > TOO_LONG_MS) return {};
  return { latencyMs: { average, max, last } };
}

/** `mtree.match`: 6.x and 5.6 answer one object for mode 0, a list for mode 2. */
export function parseMtreeAnswer(result: unknown): string | undefined {
  const first: unknown = Array.isArray(result) ? result[0] : result;
  const value = isFields(first) ? first["TVALUE"] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** `htable.get` */
export function parseHtableAnswer(result: unknown): string | number | undefined {
  const item = isFields(result) ? result["item"] : undefined;
  const value = isFields(item) ? item["value"] : undefined;
  return typeof value === "string" || typeof value === "number" ? value : undefined;
}

/** `dlg.stats_active`: dialogs that are not over yet. */
export function parseDialogAnswer(result: unknown): number {
  const all = fieldsOf("dlg.stats_active", result)["all"];
  return typeof all === "number" ? all : malformed("dlg.stats_active", result);
}

/** `core.shmmem`: part of the shared memory that is in use, 0 to 1; undefined where the memory manager does not say. */
export function parseMemoryAnswer(result: unknown): number | undefined {
  const [used, total] = ["real_used", "total"].map((field) => (isFields(result) ? Number(result[field]) : Number.NaN));
  const ratio = (used ?? Number.NaN) / (total ?? Number.NaN);
  return Number.isFinite(ratio) ? ratio : undefined;
}

/** `core.version`: "kamailio 5.6.3 (x86_64/linux) " -> "5.6.3" */
export const parseVersionAnswer = (result: unknown): string | undefined =>
  typeof result === "string" ? /([0-9]+\.[0-9]+\.[0-9a-z-]+)/.exec(result)?.[1] : undefined;

/**
 * `permissions.domainDump`: names of the address table. Its generation is the tag of the one name that it has; with any
 * other name a row was not understood as an address, and there is no generation to speak of.
 */
export function parseDomainDump(result: unknown): string | undefined {
  const [row, ...more] = Array.isArray(result) ? (result as readonly unknown[]) : [result];
  const item = isFields(row) ? row["item"] : undefined;
  if (more.length > 0 || !isFields(item) || item["domain_name"] !== "generation") return undefined;
  return typeof item["tag"] === "string" ? item["tag"] : undefined;
}

/** `rtpengine.ping` with one socket: what came of it. */
export function parsePingAnswer(result: unknown): string | undefined {
  const status = isFields(result) ? result["status"] : undefined;
  return typeof status === "string" ? status : undefined;
}
