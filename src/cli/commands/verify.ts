/** Reading back every pod and comparing it with what it must run, by the operator's own rule. */
import { parseDataFiles } from "../../render/files.ts";
import type { DataTable, DesiredData } from "../../render/types.ts";
import type { Control, PodReading } from "../../kamailio/types.ts";
import { readPod } from "../../kamailio/readPod.ts";
import { decidePod } from "../../reload/decide.ts";
import type { ReloadAction } from "../../reload/types.ts";
import { keyOf, type SipRouter } from "../../api/index.ts";
import type { Fleet, FleetPod } from "../fleet/index.ts";
import { answered, notAnswering, type Answer } from "../print/output.ts";
import { renderTable, wrap, type Cell, type Column, type Style } from "../print/table.ts";

export interface PodVerification {
  readonly reading: PodReading;
  readonly inSync: boolean;
  /** what differs */
  readonly differences: readonly string[];
  /** what only the operator can read, and has not noted in the pod */
  readonly unknown: readonly string[];
}

/** The operator's reader takes a Control; here the address is the fleet's business. */
export const controlOf = (fleet: Fleet, pod: FleetPod): Control => ({
  call: (_address, method, params) => fleet.rpc(pod, method, params),
});

export const NO_ADDRESS = { host: "", port: 0, token: "" };

const describe = (action: ReloadAction): string => {
  const at =
    action.kind === "addDestination"
      ? ` ${action.entry.uri} in ${action.entry.setId}`
      : "uri" in action
        ? ` ${action.uri} in ${action.setId}`
        : "";
  return `${action.reason}${at}`;
};

/**
 * Reads only: which certificate a pod shows is known by the operator's note, or not at all. Not known is not in sync:
 * the note comes with the operator's next reading.
 */
export async function verifyPod(fleet: Fleet, pod: FleetPod, desired: DesiredData): Promise<PodVerification> {
  const reading = await readPod(controlOf(fleet, pod), NO_ADDRESS, desired);
  const isUnknown = (table: DataTable): boolean => table.kind === "tls" && reading.tables[table.name] === undefined;
  const tables = desired.tables.filter((table) => !isUnknown(table));
  const unknown = desired.tables
    .filter(isUnknown)
    .map(() => "the operator has not noted that the wanted certificate is shown");
  const decision = decidePod({ ...desired, tables }, reading);
  const differences = [...new Set(decision.actions.map(describe))];
  return { reading, inSync: decision.inSync && unknown.length === 0, differences, unknown };
}

const stateCell = ({ inSync, differences }: PodVerification): Cell =>
  inSync
    ? { text: "InSync", tone: "good" }
    : differences.length > 0
      ? { text: "Differs", tone: "bad" }
      : { text: "Unknown", tone: "bad" };

/** undefined: nothing has been written for this router yet */
export async function desiredOf(fleet: Fleet, router: SipRouter): Promise<DesiredData | undefined> {
  const files = await fleet.desired(router);
  return files === undefined ? undefined : parseDataFiles(files);
}

export interface ReloadData {
  readonly router: SipRouter;
  readonly revision: string;
  /** what the operator has yet to do */
  readonly waiting: readonly string[];
  readonly answers: readonly Answer<PodVerification>[];
}

const columns: readonly Column[] = [
  { header: "POD", shrink: true, keepEnd: true },
  { header: "STATE" },
  { header: "DESTINATIONS", right: true },
  { header: "CALLS", right: true },
  { header: "KAMAILIO", wide: true },
];

/** The operator has done its part, and every pod, at least one, was read back with what it must run. */
export const isDone = ({ answers, waiting }: ReloadData): boolean =>
  waiting.length === 0 && answers.length > 0 && answers.every((answer) => "value" in answer && answer.value.inSync);

export function renderReload(data: ReloadData, style: Style): string[] {
  const rows = data.answers.map((answer): Cell[] => {
    if ("error" in answer) return [answer.pod.name, { text: "NoAnswer", tone: "bad" }, "-", "-", "-"];
    const { reading } = answer.value;
    return [
      answer.pod.name,
      stateCell(answer.value),
      String(reading.destinations.length),
      String(reading.calls ?? "-"),
      reading.version ?? "-",
    ];
  });
  const good = answered(data.answers).filter(({ value }) => value.inSync).length;
  const summary = `SipRouter ${keyOf(data.router)}  ${good} of ${data.answers.length} pods read back with revision ${data.revision}`;
  const differing = answered(data.answers).flatMap(({ pod, value }) =>
    [...value.differences, ...value.unknown].flatMap((one) => wrap(`${pod.name}: ${one}`, "  ", style.width)),
  );
  const open = data.answers.length === 0 && data.waiting.length === 0 ? ["it has no pods"] : data.waiting;
  const waiting = open.flatMap((one) => wrap(one, "  ", style.width));
  return [...(rows.length === 0 ? [] : renderTable(columns, rows, style)), ...differing, summary, ...waiting];
}

export const reloadJson = (data: ReloadData): object => ({
  namespace: data.router.metadata.namespace,
  router: data.router.metadata.name,
  revision: data.revision,
  waiting: data.waiting,
  notAnswering: notAnswering(data.answers),
  pods: answered(data.answers).map(({ pod, value }) => ({
    pod: pod.name,
    inSync: value.inSync,
    differences: value.differences,
    unknown: value.unknown,
  })),
});
