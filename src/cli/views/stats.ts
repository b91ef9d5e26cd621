/** `stats`: counters of each pod and their sum. Pure. */
import { keyOf, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { answered, notAnswering, podCount, type Answer } from "../print/output.ts";
import { renderTable, type Cell, type Column, type Style } from "../print/table.ts";

/** Of one Kamailio since its start, but for what is "now". */
export interface PodStats {
  /** seconds since its start */
  readonly uptime: number;
  /** calls now: all dialogs that are not over, and those answered among them */
  readonly calls: number;
  readonly answeredCalls: number;
  /** calls placed since the start */
  readonly placed: number;
  readonly failed: number;
  /** final replies of backends to INVITE, by class 2 to 6 */
  readonly replies: Readonly<Record<"2xx" | "3xx" | "4xx" | "5xx" | "6xx", number>>;
  /** requests that the router did not allow: 403. (Its 404 and 503 are not told from answers of the control port.) */
  readonly denied: number;
  /** INVITE requests received, retransmissions and those within calls included */
  readonly invites: number;
  /** shared memory, bytes */
  readonly memory: { readonly used: number; readonly max: number; readonly total: number };
}

/** What a pod is asked: name of the answer, method, parameters. */
export const statQuestions = [
  ["core", "cnt.grp_get_all", ["core"]],
  ["dialog", "cnt.grp_get_all", ["dialog"]],
  ["sl", "cnt.grp_get_all", ["sl"]],
  ["shmem", "core.shmmem", []],
  ["uptime", "core.uptime", []],
] as const;
export type StatAnswers = Readonly<Record<(typeof statQuestions)[number][0], unknown>>;

/** A counter that a module does not give is taken as 0. */
export function parseStats(answers: StatAnswers): PodStats {
  const fields = new Map<string, unknown>();
  for (const [group, method] of statQuestions) {
    const answer = answers[group];
    if (typeof answer !== "object" || answer === null || Array.isArray(answer))
      throw new OperatorError(
        "SIPR_RPC_MALFORMED",
        `${method}: not understood: ${JSON.stringify(answer)?.slice(0, 120)}`,
        {
          remedy: "Check the version of Kamailio: 5.6 to 6.1 are supported.",
        },
      );
    for (const [name, one] of Object.entries(answer)) fields.set(`${group}.${name}`, one);
  }
  const value = (name: string): number => {
    const number = Number(fields.get(name) ?? 0);
    return Number.isFinite(number) ? number : 0;
  };
  return {
    uptime: value("uptime.uptime"),
    calls: value("dialog.active_dialogs") + value("dialog.early_dialogs"),
    answeredCalls: value("dialog.active_dialogs"),
    placed: value("dialog.processed_dialogs"),
    failed: value("dialog.failed_dialogs"),
    replies: {
      "2xx": value("core.rcv_replies_2xx_invite"),
      "3xx": value("core.rcv_replies_3xx_invite"),
      "4xx": value("core.rcv_replies_4xx_invite"),
      "5xx": value("core.rcv_replies_5xx_invite"),
      "6xx": value("core.rcv_replies_6xx_invite"),
    },
    denied: value("sl.403_replies"),
    invites: value("core.rcv_requests_invite"),
    memory: {
      used: value("shmem.real_used"),
      max: value("shmem.max_used"),
      total: value("shmem.total"),
    },
  };
}

export interface StatsData {
  readonly router: SipRouter;
  readonly answers: readonly Answer<PodStats>[];
  /** an earlier reading of the same pods, and how many seconds before: gives rates */
  readonly before?: { readonly answers: readonly Answer<PodStats>[]; readonly seconds: number } | undefined;
}

const sumOf = (all: readonly PodStats[], pick: (one: PodStats) => number): number =>
  all.reduce((sum, one) => sum + pick(one), 0);

export const sumStats = (all: readonly PodStats[]): PodStats => ({
  uptime: all.length === 0 ? 0 : Math.min(...all.map((one) => one.uptime)),
  calls: sumOf(all, (one) => one.calls),
  answeredCalls: sumOf(all, (one) => one.answeredCalls),
  placed: sumOf(all, (one) => one.placed),
  failed: sumOf(all, (one) => one.failed),
  replies: {
    "2xx": sumOf(all, (one) => one.replies["2xx"]),
    "3xx": sumOf(all, (one) => one.replies["3xx"]),
    "4xx": sumOf(all, (one) => one.replies["4xx"]),
    "5xx": sumOf(all, (one) => one.replies["5xx"]),
    "6xx": sumOf(all, (one) => one.replies["6xx"]),
  },
  denied: sumOf(all, (one) => one.denied),
  invites: sumOf(all, (one) => one.invites),
  memory: {
    used: sumOf(all, (one) => one.memory.used),
    max: sumOf(all, (one) => one.memory.max),
    total: sumOf(all, (one) => one.memory.total),
  },
});

/** Calls per second since the reading before; undefined when there was none, or the pod was restarted in between. */
function rateOf(now: PodStats, before: PodStats | undefined, seconds: number): number | undefined {
  if (before === undefined || seconds <= 0 || now.placed < before.placed) return undefined;
  return Math.round(((now.placed - before.placed) / seconds) * 10) / 10;
}

export function statsRows(
  data: StatsData,
): readonly { readonly pod: string; readonly callsPerSecond?: number; readonly stats: PodStats }[] {
  const earlier = new Map(answered(data.before?.answers ?? []).map(({ pod, value }) => [pod.name, value]));
  return answered(data.answers).map(({ pod, value }) => {
    const rate = rateOf(value, earlier.get(pod.name), data.before?.seconds ?? 0);
    return { pod: pod.name, ...(rate === undefined ? {} : { callsPerSecond: rate }), stats: value };
  });
}

const columns: readonly Column[] = [
  { header: "POD", shrink: true, keepEnd: true },
  { header: "CALLS", right: true },
  { header: "CALLS/S", right: true },
  { header: "PLACED", right: true },
  { header: "FAILED", right: true, wide: true },
  { header: "2XX", right: true },
  { header: "3XX", right: true, wide: true },
  { header: "4XX", right: true },
  { header: "5XX", right: true },
  { header: "6XX", right: true, wide: true },
  { header: "DENIED", right: true },
  { header: "INVITES", right: true, wide: true },
  { header: "MEMORY", right: true },
  { header: "UP", right: true, wide: true },
];

const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)}M`;

export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days}d${hours}h`;
  if (hours > 0) return `${hours}h${minutes}m`;
  return minutes > 0 ? `${minutes}m${whole % 60}s` : `${whole}s`;
}

const row = (name: string, stats: PodStats, rate: number | undefined): Cell[] => [
  name,
  String(stats.calls),
  rate === undefined ? "-" : rate.toFixed(1),
  String(stats.placed),
  String(stats.failed),
  ...(["2xx", "3xx", "4xx", "5xx", "6xx"] as const).map((kind) => String(stats.replies[kind])),
  String(stats.denied),
  String(stats.invites),
  `${mebibytes(stats.memory.used)}/${mebibytes(stats.memory.total)}`,
  duration(stats.uptime),
];

const sumRate = (rows: readonly { readonly callsPerSecond?: number }[]): number | undefined => {
  const rates = rows.flatMap(({ callsPerSecond }) => (callsPerSecond === undefined ? [] : [callsPerSecond]));
  return rates.length === 0 ? undefined : Math.round(rates.reduce((sum, rate) => sum + rate, 0) * 10) / 10;
};

export function renderStats(data: StatsData, style: Style): string[] {
  const rows = statsRows(data);
  const sum = row("all", sumStats(rows.map(({ stats }) => stats)), sumRate(rows));
  return [
    `SipRouter ${keyOf(data.router)}  ${podCount(data.answers)}`,
    ...renderTable(
      columns,
      [...rows.map(({ pod, stats, callsPerSecond }) => row(pod, stats, callsPerSecond)), sum],
      style,
    ),
  ];
}

export function statsJson(data: StatsData): object {
  const rows = statsRows(data);
  const rate = sumRate(rows);
  return {
    namespace: data.router.metadata.namespace,
    router: data.router.metadata.name,
    notAnswering: notAnswering(data.answers),
    pods: rows,
    sum: { ...(rate === undefined ? {} : { callsPerSecond: rate }), stats: sumStats(rows.map(({ stats }) => stats)) },
  };
}
