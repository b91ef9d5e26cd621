/** Alerts, dashboard and runbooks speak of metrics and sections that exist. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { load } from "js-yaml";
import { beforeAll, describe, expect, test } from "vitest";
import { createMetrics } from "../../../src/server/metrics.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const files = "charts/sip-router-operator/files";

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: string;
  readonly summary: string;
  readonly description: string;
}
const alerts = load(read(`${files}/alerts.yaml`)) as readonly Alert[];
interface Panel {
  readonly title: string;
  readonly description: string;
  readonly targets: readonly { readonly expr: string }[];
}
const dashboard = JSON.parse(read(`${files}/dashboard.json`)) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly query?: string | { readonly query: string } }[] };
};

/** name -> labels, as the operator registers them */
const metrics = new Map<string, readonly string[]>();
beforeAll(() => {
  for (const name of createMetrics("0.0.0").registry.getMetricsAsArray() as unknown as {
    name: string;
    labelNames?: string[];
  }[])
    metrics.set(name.name, name.labelNames ?? []);
  // what Prometheus adds to all that it reads from a pod
  metrics.set("leader_election_master_status", ["name", "namespace", "pod"]);
  metrics.set("siprouter_build_info", ["version", "pod", "instance"]);
});

const functions = new Set([
  "absent",
  "sum",
  "max",
  "min",
  "count",
  "rate",
  "increase",
  "by",
  "le",
  "or",
  "and",
  "on",
  "unless",
  "offset",
  "time",
]);
/** What a PromQL expression names: metrics (without a histogram's suffix), and labels in selectors and `by`. */
const namesOf = (expr: string) => {
  const bare = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\[[^\]]*\]/g, "");
  const selectors = [...bare.matchAll(/([a-z_]+)\{([^}]*)\}/g)];
  const labels = selectors.flatMap(([, , inner = ""]) =>
    [...inner.matchAll(/([a-z_]+)\s*[=!]/g)].map(([, label]) => label),
  );
  const grouped = [...bare.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = ""]) => list.split(/,\s*/));
  const found = [...bare.replaceAll(/\{[^}]*\}|\b(?:by|on) \([^)]*\)/g, "").matchAll(/[a-z][a-z_]+/g)].map(
    ([name]) => name,
  );
  return {
    metrics: found
      .filter((name) => !functions.has(name) && name !== "histogram_quantile")
      .map((name) => name.replace(/_bucket$/, "")),
    labels: [...labels, ...grouped].filter((label) => label !== undefined && label !== "le") as string[],
  };
};
const expectKnown = (expr: string): void => {
  const { metrics: named, labels } = namesOf(expr);
  expect(named.length, expr).toBeGreaterThan(0);
  for (const name of named) expect([...metrics.keys()], expr).toContain(name);
  const known = named.flatMap((name) => metrics.get(name) ?? []);
  for (const label of labels) expect(known, expr).toContain(label);
};

test("the reader of expressions sees metrics and labels", () => {
  expect(namesOf('histogram_quantile(0.9, sum by (le, router) (rate(a_seconds_bucket{state=~"x"}[5m]))) > 1')).toEqual({
    metrics: ["a_seconds"],
    labels: ["state", "router"],
  });
});

describe("alerts", () => {
  test.each(alerts)(
    "$alert: what it counts exists, its runbook too",
    ({ alert, expr, severity, summary, description }) => {
      expectKnown(expr);
      const { labels } = namesOf(expr);
      for (const [, label = ""] of `${summary} ${description}`.matchAll(/\$labels\.([a-z_]+)/g))
        // a plain counter keeps all its labels, an aggregation only those it names
        expect(
          /\bby \(/.test(expr) ? labels : namesOf(expr).metrics.flatMap((name) => metrics.get(name) ?? []),
        ).toContain(label);
      expect(["warning", "critical"]).toContain(severity);
      expect(read("docs/runbooks.md")).toContain(`\n## ${alert}\n`);
    },
  );

  test("every runbook has its alert", () => {
    const sections = [...read("docs/runbooks.md").matchAll(/^## (\S+)$/gm)].map(([, name]) => name);
    expect(sections.toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
  });
});

describe("dashboard", () => {
  test.each(dashboard.panels)("$title: what it shows exists", ({ description, targets }) => {
    expect(description).not.toBe("");
    for (const { expr } of targets) expectKnown(expr);
  });

  test("its variables are filled from metrics that exist", () => {
    const queries = dashboard.templating.list.flatMap(({ query }) => (typeof query === "object" ? [query.query] : []));
    expect(queries.length).toBeGreaterThan(1);
    for (const query of queries) {
      const [, metric = "", label = ""] = /^label_values\(([a-z_]+).*, ([a-z]+)\)$/.exec(query) ?? [];
      expect(metrics.get(metric), query).toContain(label);
    }
  });
});
