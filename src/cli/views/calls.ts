/**
 * `calls`: live calls of all pods. All are counted (`dlg.briefing`, about 200 bytes each); what costs more to ask (the
 * backend, the route) is asked only for the page that is shown (`dlg.dlg_list`). Pure.
 */
import { OperatorError } from "../../errors.ts";
import { keyOf, type SipRouter } from "../../api/index.ts";
import { callVariable } from "../../kamailio/callPeers.ts";
import type { FleetPod } from "../fleet/index.ts";
import { userOf, type Naming } from "./naming.ts";
import { answered, notAnswering, podCount, type Answer } from "../print/output.ts";
import { duration } from "./stats.ts";
import { pageLines } from "../print/page.ts";
import { renderTable, type Cell, type Column, type Style } from "../print/table.ts";

/** Of Kamailio's module dialog (dlg_hash.h): 1 unconfirmed, 2 early, 3 confirmed without ACK, 4 confirmed, 5 deleted. */
const states = ["", "Calling", "Ringing", "Answered", "Answered", "Ended"] as const;

export interface Call {
  readonly pod: string;
  /** "<h_entry>:<h_id>@<pod>", with -A "@<namespace>/<pod>": what `end` takes */
  readonly id: string;
  readonly callId: string;
  readonly fromTag: string;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  /** seconds since it was answered, else since it was placed */
  readonly seconds: number;
  readonly backend?: string;
  readonly set?: string;
  readonly route?: string;
}

/** `dlg.briefing ftcFISs` */
export const BRIEFING = "ftcFISs";

type Fields = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === "string" ? value : value === undefined ? "" : String(value));

/** @param now seconds since the epoch */
export function parseBriefing(result: unknown, pod: FleetPod, now: number): readonly Call[] {
  if (!Array.isArray(result))
    throw new OperatorError(
      "SIPR_RPC_MALFORMED",
      `dlg.briefing: not understood: ${JSON.stringify(result)?.slice(0, 120)}`,
      {
        remedy: "Check the version of Kamailio: 5.6 to 6.1 are supported.",
      },
    );
  return (result as Fields[])
    .map((one): Call => {
      const started = Number(one["start_ts"] ?? 0) || Number(one["init_ts"] ?? 0);
      return {
        pod: pod.name,
        id: `${text(one["h_entry"])}:${text(one["h_id"])}@${pod.name}`,
        callId: text(one["call-id"]),
        fromTag: text(one["from_tag"]),
        from: text(one["from_uri"]),
        to: text(one["to_uri"]),
        state: states[Number(one["state"])] ?? "Unknown",
        seconds: started === 0 ? 0 : Math.max(0, Math.round(now - started)),
      };
    })
    .filter((call) => call.state !== "Ended");
}

/** What `dlg.dlg_list` adds: where the call went, by the destination and the route that the router noted, else by the callee's contact. */
export function addDetail(call: Call, result: unknown, naming: Naming): Call {
  const dialog = (Array.isArray(result) ? result[0] : result) as Fields | undefined;
  if (typeof dialog !== "object" || dialog === null) return call;
  const callee = dialog["callee"] as Fields | undefined;
  const backend = naming.backend(callVariable(dialog, "target")) || naming.backend(text(callee?.["contact"]));
  const taken = callVariable(dialog, "route");
  const [set, route] = taken.includes("/") ? taken.split("/", 2) : ["", taken];
  return { ...call, ...(backend ? { backend } : {}), ...(set ? { set } : {}), ...(route ? { route } : {}) };
}

export interface Filter {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly callId?: string | undefined;
}

/** A part of the URI decides; oldest first. */
export function selectCalls(answers: readonly Answer<readonly Call[]>[], filter: Filter): readonly Call[] {
  const has = (value: string, wanted: string | undefined): boolean => wanted === undefined || value.includes(wanted);
  return answered(answers)
    .flatMap(({ value }) => value)
    .filter((call) => has(call.from, filter.from) && has(call.to, filter.to) && has(call.callId, filter.callId))
    .toSorted((a, b) => b.seconds - a.seconds || (a.id < b.id ? -1 : 1));
}

export interface CallsData {
  readonly router: SipRouter;
  readonly answers: readonly Answer<readonly Call[]>[];
  /** all that were asked for */
  readonly matched: readonly Call[];
  /** with details */
  readonly page: readonly Call[];
  readonly offset: number;
}

const columns: readonly Column[] = [
  { header: "FROM", shrink: true },
  { header: "TO", shrink: true },
  { header: "STATE" },
  { header: "FOR", right: true },
  { header: "BACKEND", shrink: true },
  { header: "ROUTE", wide: true },
  { header: "ID" },
  { header: "CALL-ID", wide: true },
];

const countBy = (calls: readonly Call[], pick: (call: Call) => string): [string, number][] => {
  const counts = new Map<string, number>();
  for (const call of calls) counts.set(pick(call), (counts.get(pick(call)) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
};

export function renderCalls(data: CallsData, style: Style): string[] {
  const { matched, page, offset, answers } = data;
  const all = answered(answers).reduce((sum, { value }) => sum + value.length, 0);
  const byState = countBy(matched, (call) => call.state).map(([state, count]) => `${state} ${count}`);
  const filtered = matched.length === all ? "" : ` of ${all}`;
  const rows = page.map((call): Cell[] => [
    style.wide ? call.from : userOf(call.from),
    style.wide ? call.to : userOf(call.to),
    call.state === "Answered" ? { text: call.state, tone: "good" } : call.state,
    duration(call.seconds),
    call.backend ?? "-",
    call.route ?? "-",
    call.id,
    call.callId,
  ]);
  const whole = page.length === matched.length;
  const byBackend = whole
    ? countBy(page, (call) => call.backend ?? "unknown").map(([name, count]) => `${name} ${count}`)
    : [];
  return [
    `SipRouter ${keyOf(data.router)}  ${podCount(answers)}  ${matched.length}${filtered} calls  ${byState.join(", ")}`.trimEnd(),
    ...(page.length === 0 ? [] : renderTable(columns, rows, style)),
    ...(byBackend.length === 0 ? [] : [`by backend: ${byBackend.join(", ")}`]),
    ...pageLines(offset, page.length, matched.length),
    ...(whole ? [] : [`by backend: counted when all are shown: --limit ${matched.length}`]),
  ];
}

export const callsJson = (data: CallsData): object => ({
  namespace: data.router.metadata.namespace,
  router: data.router.metadata.name,
  notAnswering: notAnswering(data.answers),
  total: data.matched.length,
  offset: data.offset,
  pods: answered(data.answers).map(({ pod, value }) => ({ pod: pod.name, calls: value.length })),
  calls: data.page,
});

/** Of another namespace than the one that `end` looks in: the ID says which. */
export const withNamespace = (call: Call, namespace: string): Call => ({
  ...call,
  id: call.id.replace("@", `@${namespace}/`),
});

/** The parts of an ID of `calls`; undefined when it is none. */
export function parseCallId(
  id: string,
): { readonly entry: number; readonly id: number; readonly pod: string } | undefined {
  const match = /^([0-9]+):([0-9]+)@(.+)$/.exec(id);
  return match === null ? undefined : { entry: Number(match[1]), id: Number(match[2]), pod: match[3] ?? "" };
}
