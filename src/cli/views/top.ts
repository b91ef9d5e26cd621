/** `top`: who has the most calls now. Pure. */
import { keyOf, type SipRouter } from "../../api/index.ts";
import { notAnswering, podCount, type Answer } from "../print/output.ts";
import type { Call } from "./calls.ts";
import { renderTable, type Column, type Style } from "../print/table.ts";

/** Calls whose backend is asked for one by one at most. */
export const DETAILED = 500;

export interface TopData {
  readonly router: SipRouter;
  readonly answers: readonly Answer<unknown>[];
  readonly calls: readonly Call[];
  /** the backend of each call is known */
  readonly detailed: boolean;
  readonly limit: number;
}

interface Count {
  readonly name: string;
  readonly calls: number;
}

export function countCalls(calls: readonly Call[], pick: (call: Call) => string | undefined): readonly Count[] {
  const counts = new Map<string, number>();
  for (const call of calls) {
    const name = pick(call);
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .map(([name, number]) => ({ name, calls: number }))
    .toSorted((a, b) => b.calls - a.calls || (a.name < b.name ? -1 : 1));
}

const bare = (uri: string): string => uri.replace(/^sips?:/, "").replace(/;.*$/, "");

const lists = (data: TopData): { readonly title: string; readonly counts: readonly Count[] }[] => [
  ...(data.detailed
    ? [
        { title: "BACKEND", counts: countCalls(data.calls, (call) => call.backend ?? "unknown") },
        { title: "ROUTE", counts: countCalls(data.calls, (call) => call.route) },
      ]
    : []),
  { title: "CALLER", counts: countCalls(data.calls, (call) => bare(call.from)) },
  { title: "CALLED", counts: countCalls(data.calls, (call) => bare(call.to)) },
  { title: "POD", counts: countCalls(data.calls, (call) => call.pod) },
];

export function renderTop(data: TopData, style: Style): string[] {
  const total = data.calls.length;
  const share = (calls: number): string => `${Math.round((calls / Math.max(1, total)) * 100)}%`;
  return [
    `SipRouter ${keyOf(data.router)}  ${podCount(data.answers)}  ${total} calls`,
    ...(data.detailed
      ? []
      : [`backends and routes are not counted: each of more than ${DETAILED} calls would be asked for`]),
    ...lists(data)
      .filter(({ counts }) => counts.length > 0)
      .flatMap(({ title, counts }) => {
        const columns: readonly Column[] = [
          { header: title, shrink: true },
          { header: "CALLS", right: true },
          { header: "", right: true },
        ];
        const rows = counts.slice(0, data.limit).map(({ name, calls }) => [name, String(calls), share(calls)]);
        const more = counts.length > data.limit ? [`and ${counts.length - data.limit} more`] : [];
        return ["", ...renderTable(columns, rows, style), ...more];
      }),
  ];
}

export const topJson = (data: TopData): object => ({
  namespace: data.router.metadata.namespace,
  router: data.router.metadata.name,
  notAnswering: notAnswering(data.answers),
  calls: data.calls.length,
  notCounted: data.detailed ? [] : ["backend", "route"],
  ...Object.fromEntries(lists(data).map(({ title, counts }) => [title.toLowerCase(), counts.slice(0, data.limit)])),
});
