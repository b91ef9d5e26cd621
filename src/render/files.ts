/** All files of one router: `kamailio.cfg` and the drain script (structure), and the data files (reloadable). Pure. */
import { canonicalJson, hashOf } from "../ir/index.ts";
import type { RouterPlan, StructurePlan } from "../ir/types.ts";
import { renderConfig } from "./kamailio/config.ts";
import { certificateTable } from "./kamailio/certificate.ts";
import { buildEntries, DISPATCHER_FILE, parseDispatcherList, renderDispatcherList } from "./kamailio/dispatcherList.ts";
import { capsTable } from "./kamailio/maxCalls.ts";
import type { DataTableFile } from "./kamailio/dataTable.ts";
import { registrantAor } from "./kamailio/domains.ts";
import { DRAIN_FILE, renderDrainScript } from "./kamailio/drain.ts";
import { mediaSockets, parseMediaFile, renderMediaFile } from "./kamailio/media.ts";
import { refuse } from "./kamailio/quote.ts";
import { registrantTables } from "./kamailio/registrants.ts";
import { domainTable, routeTable } from "./kamailio/routeTables.ts";
import { accessTable, credentialsTable, limitsTable, tenantsTable } from "./kamailio/securityTables.ts";
import { renderTlsConfig } from "./kamailio/tls.ts";
import { trunkTable } from "./kamailio/trunks.ts";
import type { DataTable, DesiredData, DispatcherEntry, RenderedFiles } from "./types.ts";

export const CONFIG_FILE = "kamailio.cfg";

/** Every table of data, in the order of the revision. */
const dataTables: readonly DataTableFile[] = [
  routeTable,
  domainTable,
  accessTable,
  limitsTable,
  credentialsTable,
  tenantsTable,
  trunkTable,
  ...registrantTables,
  capsTable,
  certificateTable,
];
/** Every router has these. */
const basic: readonly DataTableFile[] = [routeTable, domainTable];

type Structure = Pick<RenderedFiles, "structure" | "structureHash">;
/** Routers of one structure have one text, which is rendered and held once; of so many structures, the latest. */
const STRUCTURES = 100;
const structures = new Map<string, Structure>();

function renderStructure(plan: StructurePlan): Structure {
  const key = canonicalJson(plan);
  const found = structures.get(key) ?? renderStructureAnew(plan);
  structures.delete(key);
  structures.set(key, found);
  const [oldest] = structures.keys();
  if (structures.size > STRUCTURES && oldest !== undefined) structures.delete(oldest);
  return found;
}

function renderStructureAnew(plan: StructurePlan): Structure {
  const structure = {
    [CONFIG_FILE]: renderConfig(plan),
    [DRAIN_FILE]: renderDrainScript(),
    ...renderTlsConfig(plan),
  };
  // the command line of the container is the Deployment's own, yet it goes with the file
  return { structure, structureHash: hashOf(structure) };
}

/** @throws OperatorError SIPR_RENDER_REFUSED when a string of the plan cannot be written safely */
export const renderFiles = (plan: RouterPlan): RenderedFiles => {
  const { structure, structureHash } = renderStructure(plan.structure);
  const entries = buildEntries(plan);
  const tables = dataTables.flatMap((file) => file.render(plan) ?? []);
  return {
    structure,
    structureHash,
    data: {
      [DISPATCHER_FILE]: renderDispatcherList(entries),
      ...Object.fromEntries(tables.map(({ table, text }) => [table.file, text])),
      ...renderMediaFile(plan.structure),
    },
    secret: Object.fromEntries(
      tables.flatMap(({ secret }) => (secret === undefined ? [] : [[secret.file, secret.text]])),
    ),
    desired: desiredOf(
      entries,
      tables.map(({ table }) => table),
      mediaSockets(plan.structure),
      plan.data.registrants?.users.map(({ user }) => registrantAor(plan.structure, user)),
    ),
  };
};

/**
 * The inverse of the data half of {@link renderFiles}: what the files of a data ConfigMap say. Other keys are ignored.
 * @throws OperatorError SIPR_RENDER_REFUSED when a file is missing or does not parse
 */
export const parseDataFiles = (data: Readonly<Record<string, string>>): DesiredData => {
  const list = data[DISPATCHER_FILE];
  if (list === undefined) return refuse("the data files", Object.keys(data), `a file ${DISPATCHER_FILE}`);
  return desiredOf(
    parseDispatcherList(list),
    dataTables.flatMap((table) => parseTable(table, data)),
    parseMediaFile(data),
  );
};

function parseTable(table: DataTableFile, data: Readonly<Record<string, string>>): readonly DataTable[] {
  const { name, kind, file } = table;
  const text = data[file];
  if (text === undefined && !basic.includes(table)) return [];
  const found = table.parse(text ?? "");
  if (found === undefined)
    return refuse("the data files", Object.keys(data), `a file ${file} with the generation of the table`);
  return [{ name, kind, file, ...found }];
}

const desiredOf = (
  dispatcher: readonly DispatcherEntry[],
  tables: readonly DataTable[],
  mediaProxies: readonly string[],
  registrants: readonly string[] = [],
): DesiredData => ({
  revision: hashOf({ dispatcher, tables }),
  dispatcher,
  tables,
  ...(mediaProxies.length === 0 ? {} : { mediaProxies }),
  ...(registrants.length === 0 ? {} : { registrants }),
});
