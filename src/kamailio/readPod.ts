/**
 * Reads back all that must be compared with the desired data of one pod. Facts of the RPC behind it, measured on 5.6.3
 * and 6.1.5:
 * - `dispatcher.list` gives URI and attributes byte for byte as they were loaded or added; with no destination it faults.
 * - `dispatcher.add` makes a set that is not there, and a second entry when the destination is there; `dispatcher.remove`
 *   takes all entries of a set and URI, and says Ok for unknown ones; both keep the state of the others.
 * - `dispatcher.set_state` takes "ap", "ip", "tp", "d", and reaches the first entry of the set whose URI is the same without
 *   regard to case, and no other; an unknown destination is a fault.
 * - `permissions.addressReload` keeps all of the old content when a row is wrong or the file is missing; a row whose
 *   address is no address becomes a name (`permissions.domainDump`): the generation is one, and the only one.
 * - `htable.get` faults for a key that is not there.
 */
import type { DataTable, DesiredData } from "../render/types.ts";
import { NOT_THERE, orWhen, readDestinations, type Call } from "./ask.ts";
import { parseDialogAnswer, parseHtableAnswer, parseMemoryAnswer, parseVersionAnswer } from "./parse.ts";
import { readMediaProxies } from "./readMedia.ts";
import { readContacts } from "./registrations.ts";
import { tableKinds } from "./tableKinds.ts";
import type { Control, ControlAddress, PodReading } from "./types.ts";

/** Which certificate a pod shows, for a table of kind tls: its generation; undefined when none is shown. */
export type ProveCertificate = (call: Call, host: string, table: DataTable) => Promise<string | undefined>;

/**
 * Writes nothing itself.
 * @param prove asked when the pod has no note that it shows the wanted certificate; without it, the table has no generation then
 * @throws OperatorError SIPR_RPC_UNREACHABLE, SIPR_RPC_FAULT, SIPR_RPC_MALFORMED
 */
export const readPod = async (
  control: Control,
  address: ControlAddress,
  desired: DesiredData,
  prove?: ProveCertificate,
): Promise<PodReading> => {
  const call = (method: string, ...params: (string | number)[]): Promise<unknown> =>
    control.call(address, method, params);
  const destinations = await readDestinations(call);
  const tables = await Promise.all(
    desired.tables.map(async (table) => [table.name, await generationOf(call, address.host, table, prove)] as const),
  );
  const drain = await orWhen(NOT_THERE, undefined, call("htable.get", "st", "drain"));
  // before it says whether it is fresh: contacts that are not there were not lost by a start meanwhile
  const contacts = await readContacts(control, address, desired.registrants ?? []);
  const seeded = await orWhen(NOT_THERE, undefined, call("htable.get", "st", "seeded"));
  const calls = parseDialogAnswer(await call("dlg.stats_active"));
  // nice to know: no reason not to read the rest
  const memoryUsed = parseMemoryAnswer(await orWhen(/(?:)/, undefined, call("core.shmmem")));
  const mediaProxies = await readMediaProxies(call, desired.mediaProxies ?? []);
  const version = parseVersionAnswer(await call("core.version"));
  return {
    destinations,
    tables: Object.fromEntries(tables.filter((table): table is [string, string] => table[1] !== undefined)),
    ...(version === undefined ? {} : { version }),
    draining: parseHtableAnswer(drain) === 1,
    ...(mediaProxies.length === 0 ? {} : { mediaProxies }),
    ...(contacts === undefined ? {} : { contacts }),
    ...(parseHtableAnswer(seeded) === 1 ? {} : { fresh: true }),
    calls,
    ...(memoryUsed === undefined ? {} : { memoryUsed }),
  };
};

/** Of a certificate: the proof that is noted in the pod, or a new one. */
async function generationOf(
  call: Call,
  host: string,
  table: DataTable,
  prove: ProveCertificate | undefined,
): Promise<string | undefined> {
  const runs = await tableKinds[table.kind].generation(call, table.name);
  return table.kind === "tls" && runs !== table.generation ? prove?.(call, host, table) : runs;
}
