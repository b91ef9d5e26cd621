/** `dump`: the destinations as every pod has them, merged, and where pods differ from each other or from what is wanted. Pure. */
import { keyOf, type PbxBackend, type SipRouter } from "../../api/index.ts";
import { destinationId, isDrainTier, setIdOf, tierOf } from "../../ir/setId.ts";
import type { ObservedDestination } from "../../kamailio/types.ts";
import type { DesiredData } from "../../render/types.ts";
import { podNameOf } from "../fleet/index.ts";
import { hostOf, nameResources } from "./naming.ts";
import { answered, notAnswering, podCount, type Answer } from "../print/output.ts";
import { renderTable, wrap, type Cell, type Column, type Style } from "../print/table.ts";
import { stateTone } from "./status.ts";

export interface DumpData {
  readonly router: SipRouter;
  readonly backends: readonly PbxBackend[];
  readonly answers: readonly Answer<readonly ObservedDestination[]>[];
  /** undefined: not known */
  readonly desired?: DesiredData | undefined;
  /** name of the only set to show */
  readonly set?: string | undefined;
}

export interface MergedDestination {
  readonly set: string;
  readonly setId: number;
  readonly priority: number;
  readonly backend: string;
  readonly uri: string;
  /** state on all pods, or Mixed */
  readonly state: string;
  readonly activePods: number;
  readonly totalPods: number;
  /** mean over the pods, and the worst */
  readonly latencyMs?: { readonly average: number; readonly max: number };
  readonly notes: readonly string[];
  readonly pods: readonly {
    readonly pod: string;
    readonly state: string;
    readonly flags: string;
    readonly latencyMs?: number;
  }[];
}

export function mergeDestinations(data: DumpData): readonly MergedDestination[] {
  const pods = answered(data.answers);
  const naming = nameResources(data.router, data.backends);
  const wanted = data.desired === undefined ? undefined : new Set(data.desired.dispatcher.map(destinationId));
  const keys = new Set([...(wanted ?? []), ...pods.flatMap(({ value }) => value.map(destinationId))]);
  return [...keys]
    .map((key): MergedDestination => {
      const [id = "", uri = ""] = key.split(" ");
      const setId = Number(id);
      const seen = pods.map(({ pod, value }) => ({
        pod,
        found: value.filter((one) => one.setId === setId && one.uri === uri),
      }));
      const here = seen.flatMap(({ pod, found }) => (found[0] === undefined ? [] : [{ pod, one: found[0] }]));
      const states = new Set(here.map(({ one }) => one.state));
      const missing = seen.filter(({ found }) => found.length === 0).map(({ pod }) => pod.name);
      const twice = seen.filter(({ found }) => found.length > 1).map(({ pod }) => pod.name);
      const latencies = here.flatMap(({ one }) => (one.latencyMs === undefined ? [] : [one.latencyMs]));
      const notes = [
        states.size > 1 ? "pods disagree" : "",
        missing.length > 0 ? `missing on ${missing.join(", ")}` : "",
        twice.length > 0 ? `listed twice on ${twice.join(", ")}` : "",
        wanted !== undefined && !wanted.has(key) ? "not wanted" : "",
        isDrainTier(setId) ? "draining" : "",
      ].filter((note) => note !== "");
      return {
        set: naming.set(setId) || String(setIdOf(setId)),
        setId,
        priority: tierOf(setId),
        backend: naming.backend(uri),
        uri,
        state: states.size > 1 ? "Mixed" : ([...states][0] ?? "Missing"),
        activePods: here.filter(({ one }) => one.state === "Active" || one.state === "Probing").length,
        totalPods: pods.length,
        ...(latencies.length === 0
          ? {}
          : {
              latencyMs: {
                average: round(mean(latencies.map((one) => one.average))),
                max: round(Math.max(...latencies.map((one) => one.max))),
              },
            }),
        notes,
        pods: here.map(({ pod, one }) => ({
          pod: pod.name,
          state: one.state,
          flags: one.flags,
          ...(one.latencyMs === undefined ? {} : { latencyMs: round(one.latencyMs.last) }),
        })),
      };
    })
    .filter((one) => data.set === undefined || one.set === data.set)
    .toSorted((a, b) => a.setId - b.setId || (a.uri < b.uri ? -1 : 1));
}

/** A destination is not as wanted, or not the same on all pods. */
export const disagrees = (one: MergedDestination): boolean => one.notes.some((note) => note !== "draining");

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const round = (value: number): number => Math.round(value * 100) / 100;

const mergedColumns: readonly Column[] = [
  { header: "SET" },
  { header: "PRIO", right: true },
  { header: "BACKEND", shrink: true },
  { header: "ADDRESS" },
  { header: "STATE" },
  { header: "PODS" },
  { header: "AVG MS", right: true },
  { header: "MAX MS", right: true, wide: true },
  { header: "URI", wide: true },
  { header: "NOTE", wide: true, shrink: true },
];
const podColumns: readonly Column[] = [
  { header: "POD", shrink: true, keepEnd: true },
  { header: "SET" },
  { header: "PRIO", right: true },
  { header: "BACKEND", shrink: true },
  { header: "ADDRESS" },
  { header: "STATE" },
  { header: "FLAGS" },
  { header: "LAST MS", right: true },
];

const stateCell = (state: string): Cell => {
  const tone = stateTone(state);
  return tone === undefined ? state : { text: state, tone };
};
const number = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(2));

export function renderDump(data: DumpData, style: Style, perPod: boolean): string[] {
  const merged = mergeDestinations(data);
  const { revision } = data.router.status ?? {};
  const title = `SipRouter ${keyOf(data.router)}  ${podCount(data.answers)}${revision === undefined ? "" : `  revision ${revision}`}`;
  if (perPod) {
    const rows = answered(data.answers).flatMap(({ pod }) =>
      merged.flatMap((one) =>
        one.pods
          .filter((seen) => seen.pod === pod.name)
          .map((seen): Cell[] => [
            pod.name,
            one.set,
            String(one.priority),
            one.backend || "-",
            hostOf(one.uri),
            stateCell(seen.state),
            seen.flags,
            number(seen.latencyMs),
          ]),
      ),
    );
    return [title, ...renderTable(podColumns, rows, style)];
  }
  const rows = merged.map((one): Cell[] => [
    one.set,
    isDrainTier(one.setId) ? "-" : String(one.priority),
    one.backend || "-",
    hostOf(one.uri),
    stateCell(one.state),
    `${one.activePods}/${one.totalPods}`,
    number(one.latencyMs?.average),
    number(one.latencyMs?.max),
    one.uri,
    disagrees(one) ? { text: one.notes.join("; "), tone: "warn" } : one.notes.join("; "),
  ]);
  const wrong = merged.filter(disagrees);
  const draining = merged.filter((one) => !disagrees(one) && one.notes.length > 0);
  const note = (one: MergedDestination): string[] =>
    wrap(`${one.set} ${one.backend || hostOf(one.uri)}: ${one.notes.join("; ")}`, "  ", style.width);
  return [
    title,
    ...renderTable(mergedColumns, rows, style),
    ...draining.flatMap(note),
    ...(wrong.length === 0 ? [] : [`${wrong.length} of ${merged.length} destinations are not as they should be:`]),
    ...wrong.flatMap(note),
  ];
}

export const dumpJson = (data: DumpData): object => ({
  namespace: data.router.metadata.namespace,
  router: data.router.metadata.name,
  pods: answered(data.answers).map(({ pod }) => podNameOf(pod)),
  notAnswering: notAnswering(data.answers),
  destinations: mergeDestinations(data),
});
