/**
 * Each alert on series as the operator gives them, by Prometheus' own engine: when it fires, with which text, and when it does not.
 * A value for each minute, as in Prometheus' unit tests of rules (`1x3` is 1 four times, `_x3` nothing three times).
 */
import { expect, test } from "vitest";
import { createMetrics } from "../../../src/server/metrics.ts";
import { helmTemplate, tool } from "../../support/package/tools.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly annotations: { readonly summary: string; readonly description: string };
}
interface Minute {
  readonly labels: Readonly<Record<string, string>>;
  readonly texts: readonly string[];
}
interface Case {
  readonly what: string;
  readonly series: readonly string[];
  readonly minutes: number;
  /** before this minute nothing is looked at */
  readonly from?: number;
  /** summary -> minutes at which it fires, "5-12" */
  readonly fires?: Readonly<Record<string, string>>;
}

const one = 'namespace="telephony",pod="west-sip-router-operator-5d9c-aaaaa"';
const other = 'namespace="telephony",pod="west-sip-router-operator-5d9c-bbbbb"';
const leads = (values: string, pod = one): string =>
  `leader_election_master_status{name="sip-router-operator",${pod}} ${values}`;
const router = 'namespace="voice",router="edge"';
const operator = 'pod="west-sip-router-operator-5d9c-aaaaa"';
const successor = 'pod="west-sip-router-operator-5d9c-bbbbb"';
const condition = (type: string, reason: string, values: string, pod = operator, kind = "SipRouter"): string =>
  `siprouter_condition{kind="${kind}",namespace="voice",name="edge",type="${type}",reason="${reason}",${pod}} ${values}`;
const destinations = (state: string, values: string): string =>
  `siprouter_destinations{${router},state="${state}",${operator}} ${values}`;
/** what is there as long as Prometheus looks at the operator, whose process began at this second */
const scraped = (values: string, began = -3600): readonly string[] => [
  `siprouter_build_info{version="1.0.0",${operator}} ${values}`,
  `process_start_time_seconds{${operator}} ${values.replaceAll(/\b1x/g, `${began}x`)}`,
];
const reloads = (result: string, values: string): string =>
  `siprouter_reloads_total{${router},result="${result}",${operator}} ${values}`;

const cases: Readonly<Record<string, readonly Case[]>> = {
  SipOperatorDown: [
    { what: "one of two leads", series: [leads("1x20"), leads("0x20", other)], minutes: 20 },
    {
      what: "the other takes over within minutes",
      series: [leads("1x4 stale"), leads("0x7 1x12", other)],
      minutes: 20,
    },
    {
      what: "none leads",
      series: [leads("1x3 0x16"), leads("0x20", other)],
      minutes: 20,
      fires: { "No operator of telephony/west-sip-router-operator leads.": "9-20" },
    },
    {
      what: "none is there, but that of another release",
      series: [leads("1x3 stale"), leads("1x20", 'namespace="telephony",pod="east-sip-router-operator-5d9c-aaaaa"')],
      minutes: 20,
      fires: { "No operator of telephony/west-sip-router-operator leads.": "9-20" },
    },
  ],
  SipOperatorWatchFailing: [
    {
      what: "a watch that is begun anew",
      series: [`siprouter_watches_failing{kind="Secret",${operator}} 0x3 1x3 0x10`],
      minutes: 16,
    },
    {
      what: "one that stays down, seen by two operators",
      series: [operator, successor].map((pod) => `siprouter_watches_failing{kind="Secret",${pod}} 0x3 1x16`),
      minutes: 12,
      fires: { "The operator cannot watch Secret.": "9-12" },
    },
  ],
  SipOperatorReconcileFailing: [
    {
      what: "a conflict now and then",
      series: [`controller_runtime_reconcile_total{controller="reconcile",result="error",${operator}} 1x9 2x19 3x20`],
      minutes: 40,
    },
    {
      what: "one router that fails at the longest interval",
      series: [`controller_runtime_reconcile_total{controller="reconcile",result="error",${operator}} 10+1x40`],
      minutes: 30,
      fires: { "Runs of the queue reconcile fail again and again.": "21-30" },
    },
  ],
  SipRouterReloadFailed: [
    {
      what: "changes that come out right",
      series: [reloads("inSync", "0+1x20"), reloads("failed", "3x20")],
      minutes: 12,
      from: 10,
    },
    {
      what: "the first that does not",
      series: [...scraped("1x40"), reloads("inSync", "1x40"), reloads("failed", "_x24 1x20")],
      minutes: 40,
      fires: { "A change did not come out right in SipRouter voice/edge.": "24-33" },
    },
    {
      what: "the first of an operator that has just started",
      series: [...scraped("_x4 1x40", 240), reloads("failed", "_x6 1x40")],
      minutes: 30,
      fires: { "A change did not come out right in SipRouter voice/edge.": "6-15" },
    },
    {
      what: "long ago, and Prometheus has not looked for a while",
      series: [...scraped("1x9 _x20 1x30"), reloads("failed", "1x9 _x20 1x30")],
      from: 10,
      minutes: 60,
    },
    {
      what: "long ago, and Prometheus begins to look",
      series: [...scraped("_x20 1x30"), reloads("wrong", "_x20 1x30")],
      minutes: 50,
    },
    {
      what: "one more",
      series: [reloads("wrong", "3x19 4x30")],
      minutes: 40,
      from: 10,
      fires: { "A change did not come out right in SipRouter voice/edge.": "20-28" },
    },
  ],
  SipRouterPodUnreachable: [
    { what: "a pod that is replaced", series: [reloads("unreachable", "2x4 4x30")], minutes: 30 },
    {
      what: "one that stays away, while another operator takes over",
      series: [
        `siprouter_reloads_total{${router},result="unreachable",${operator}} 0+6x9 stale`,
        `siprouter_reloads_total{${router},result="unreachable",${successor}} _x9 0+6x20`,
      ],
      minutes: 20,
      fires: { "A pod of SipRouter voice/edge does not answer the operator.": "11-20" },
    },
  ],
  SipDestinationsDown: [
    {
      what: "half of them",
      series: [destinations("Active", "4x3 2x9"), destinations("Inactive", "0x3 2x9")],
      minutes: 12,
    },
    {
      what: "most of them",
      series: [destinations("Active", "4x3 1x9"), destinations("Inactive", "0x3 3x9")],
      minutes: 12,
      fires: { "Most destinations of SipRouter voice/edge do not answer.": "6-12" },
    },
  ],
  SipRouterNoDestination: [
    {
      what: "a router without pods",
      series: ["Active", "Inactive"].map((state) => destinations(state, "0x9")),
      minutes: 9,
    },
    {
      what: "one that is left",
      series: [destinations("Active", "2x3 1x9"), destinations("Inactive", "0x3 1x9")],
      minutes: 9,
    },
    {
      what: "none",
      series: [destinations("Active", "2x3 0x9"), destinations("Inactive", "0x3 2x9")],
      minutes: 9,
      fires: { "SipRouter voice/edge has no active destination.": "5-9" },
    },
  ],
  SipRouterNotAvailable: [
    { what: "one that serves", series: [condition("Available", "Available", "1x9")], minutes: 9 },
    {
      what: "one that is not wanted to have pods",
      series: [condition("Available", "NoPods", "0x9"), condition("Programmed", "Programmed", "1x9")],
      minutes: 9,
    },
    {
      what: "a media proxy that is down has its own",
      series: [condition("Available", "MediaProxyDown", "0x9")],
      minutes: 9,
    },
    {
      what: "pods that come, find no PBX, and go",
      series: [
        condition("Available", "NoPods", "0 stale 0 stale 0 stale 0"),
        condition("Available", "SetDown", "_ 0 stale 0 stale 0 stale"),
        condition("Programmed", "NoPods", "0x9"),
      ],
      minutes: 6,
      fires: {
        "SipRouter voice/edge does not serve all calls (NoPods).": "2 4 6",
        "SipRouter voice/edge does not serve all calls (SetDown).": "3 5",
      },
    },
  ],
  SipRouterMediaProxyDown: [
    { what: "another cause", series: [condition("Available", "NoPods", "0x9")], minutes: 9 },
    {
      what: "none answers",
      series: [condition("Available", "Available", "1x2 stale"), condition("Available", "MediaProxyDown", "_x2 0x9")],
      minutes: 9,
      fires: { "No media proxy of SipRouter voice/edge answers one of its pods.": "3-9" },
    },
  ],
  SipSpecNotAccepted: [
    {
      what: "an edit that is mended",
      series: [condition("Accepted", "Invalid", "0x7 stale"), condition("Accepted", "Accepted", "_x7 1x9")],
      minutes: 16,
    },
    {
      what: "a backend that stays refused, of two causes",
      series: [
        condition("Accepted", "Invalid", "0x7 stale", operator, "PbxBackend"),
        condition("Accepted", "NotSupported", "_x7 0x9", operator, "PbxBackend"),
      ],
      minutes: 14,
      fires: { "PbxBackend voice/edge is refused (NotSupported).": "10-14" },
    },
  ],
  SipRouterNotReady: [
    {
      what: "a rollout",
      series: [condition("Ready", "RolloutProgressing", "0x9 stale"), condition("Ready", "Ready", "_x9 1x20")],
      minutes: 28,
    },
    {
      what: "one whose spec is refused has its own",
      series: [condition("Ready", "Invalid", "0x30"), condition("Accepted", "Invalid", "0x30")],
      minutes: 28,
    },
    {
      what: "a rollout that fails, while another operator takes over",
      series: [
        condition("Ready", "RolloutProgressing", "0x9 stale"),
        condition("Ready", "RolloutFailed", "_x9 0x3 stale"),
        condition("Ready", "RolloutFailed", "_x13 0x20", successor),
      ],
      minutes: 20,
      fires: { "SipRouter voice/edge does not become ready (RolloutFailed).": "15-20" },
    },
  ],
  SipRouterSharedMemory: [
    {
      what: "a peak",
      series: [`siprouter_shared_memory_used_ratio{${router},pod="edge-1"} 0.5x3 0.95x3 0.6x9`],
      minutes: 16,
    },
    {
      what: "nearly full, while another operator takes over",
      series: [
        `siprouter_shared_memory_used_ratio{${router},pod="edge-1",instance="10.1.1.1:8080"} 0.95x4 stale`,
        `siprouter_shared_memory_used_ratio{${router},pod="edge-1",instance="10.1.1.2:8080"} _x4 0.95x9`,
      ],
      minutes: 9,
      fires: { "The shared memory of a pod of SipRouter voice/edge is nearly full.": "5-9" },
    },
  ],
  SipRouterPodBehind: [
    {
      what: "a change on its way",
      series: [`siprouter_pod_revision_age_seconds{${router},pod="edge-1"} 0x3 60 120 0x9`],
      minutes: 14,
    },
    {
      what: "a pod that does not get it",
      series: [`siprouter_pod_revision_age_seconds{${router},pod="edge-1"} 0x3 60+60x9`],
      minutes: 10,
      fires: { "A pod of SipRouter voice/edge does not run the current revision.": "7-10" },
    },
  ],
  SipAsteriskManagerDown: [
    {
      what: "an Asterisk that restarts",
      series: [`siprouter_asterisk_up{namespace="voice",backend="pbx",address="10.0.0.1",${operator}} 1x3 0x3 1x9`],
      minutes: 16,
    },
    {
      what: "one of two addresses",
      series: [
        `siprouter_asterisk_up{namespace="voice",backend="pbx",address="10.0.0.1",${operator}} 1x20`,
        `siprouter_asterisk_up{namespace="voice",backend="pbx",address="10.0.0.2",${operator}} 0x20`,
      ],
      minutes: 8,
      fires: { "The Asterisk Manager of PbxBackend voice/pbx lets the operator read nothing.": "5-8" },
    },
  ],
};

const values = { metrics: { prometheusRule: { enabled: true } } };
const objects = await helmTemplate("sip-router-operator", values, { release: "west", namespace: "telephony" });
const { spec } = objects.find(({ kind }) => kind === "PrometheusRule") as unknown as {
  spec: { groups: { rules: Rule[] }[] };
};
const rules = spec.groups.flatMap((group) => group.rules);

/** "5-9 12" */
function ranges(minutes: readonly number[]): string {
  const starts = minutes.filter((minute) => !minutes.includes(minute - 1));
  const ends = minutes.filter((minute) => !minutes.includes(minute + 1));
  return starts.map((start, at) => (start === ends[at] ? `${start}` : `${start}-${ends[at]}`)).join(" ");
}

/** Summaries, with the minutes at which they fire: when what the expression gives has been there for as long as is waited for. */
function firing(rule: Rule, minutes: readonly (readonly Minute[])[], from = 0): Record<string, string> {
  const wait = Number(/^(\d+)m$/.exec(rule.for)?.[1]);
  let since = new Map<string, number>();
  const fired = new Map<string, number[]>();
  for (const [minute, found] of minutes.entries()) {
    since = new Map(found.map(({ labels }) => [JSON.stringify(labels), since.get(JSON.stringify(labels)) ?? minute]));
    for (const {
      labels,
      texts: [summary = ""],
    } of found) {
      if (minute < from || minute - (since.get(JSON.stringify(labels)) ?? minute) < wait) continue;
      fired.set(summary, [...(fired.get(summary) ?? []), minute]);
    }
  }
  return Object.fromEntries([...fired].map(([summary, at]) => [summary, ranges(at)]));
}

test("each alert has series at which it fires, and such at which it does not", () => {
  expect(Object.keys(cases)).toEqual(rules.map(({ alert }) => alert));
  for (const [alert, all] of Object.entries(cases)) {
    expect([alert, all.some(({ fires }) => fires === undefined)]).toEqual([alert, true]);
    expect([alert, all.some(({ fires }) => fires !== undefined)]).toEqual([alert, true]);
  }
});

test("the series are those of the operator", async () => {
  const known = new Map(
    createMetrics("1")
      .registry.getMetricsAsArray()
      .map((metric) => [metric.name, (metric as unknown as { labelNames: string[] }).labelNames]),
  );
  for (const series of Object.values(cases).flatMap((all) => all.flatMap((each) => each.series))) {
    const [, name = "", labels = ""] = /^(\w+)\{(.*)\} /.exec(series) ?? [];
    const names = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label);
    // beside its own the labels of whom Prometheus has asked
    expect([...(known.get(name) ?? []), "namespace", "pod", "instance"]).toEqual(expect.arrayContaining(names));
    expect(names).toEqual(expect.arrayContaining(known.get(name) ?? ["a metric of the operator"]));
  }
});

test.each(rules.map((rule) => [rule.alert, rule] as const))("%s", async (alert, rule) => {
  const input = (cases[alert] ?? []).map(({ series, minutes }) => ({
    ...{ expression: rule.expr, series, minutes },
    texts: [rule.annotations.summary, rule.annotations.description],
  }));
  const results = JSON.parse((await tool("promql", [], { input: JSON.stringify(input) })).stdout) as {
    problem: string | null;
    minutes: Minute[][];
  }[];
  expect(results.map(({ problem }) => problem)).toEqual(results.map(() => null));
  const seen = results.map(({ minutes }, at) => [
    cases[alert]?.[at]?.what,
    firing(rule, minutes, cases[alert]?.[at]?.from),
  ]);
  expect(seen).toEqual((cases[alert] ?? []).map(({ what, fires = {} }) => [what, fires]));
});
