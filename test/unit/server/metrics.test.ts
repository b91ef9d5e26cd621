import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createMetrics } from "../../../src/server/metrics.ts";

const page = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
const rows = (page.match(/^\| `(?!kamailio_)[a-z_]+` \|.*$/gm) ?? []).map((line) => {
  const [, name = "", type = "", labels = ""] = line.split("|").map((cell) => cell.trim());
  return { name: name.replaceAll("`", ""), type, labels: labels.replaceAll("`", "").split(", ").toSorted() };
});
const scrape = (metrics: ReturnType<typeof createMetrics>): Promise<string> => metrics.registry.metrics();

describe("the table of metrics", () => {
  test("names every metric with its type and labels, and no other", async () => {
    const { registry } = createMetrics("1.2.3");
    const own = registry
      .getMetricsAsArray()
      .filter(({ name }) => !/^(process|nodejs)_/.test(name))
      .map((metric) => ({
        name: metric.name,
        type: String(metric.type),
        labels: [...(metric as unknown as { labelNames: string[] }).labelNames].toSorted(),
      }));
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    expect(rows.toSorted(byName)).toEqual(own.toSorted(byName));
  });

  test("has the names and units that Prometheus' conventions ask for", async () => {
    const { registry } = createMetrics("1.2.3");
    for (const { name, type } of registry.getMetricsAsArray().filter((one) => one.name.startsWith("siprouter_"))) {
      expect(name, name).toMatch(/^[a-z][a-z_]+$/);
      expect(name.endsWith("_total"), name).toBe(String(type) === "counter");
      if (String(type) === "histogram") expect(name).toMatch(/_seconds$/);
    }
  });
});

test("alarms, dashboards and pages name only metrics that are there", () => {
  const root = new URL("../../../", import.meta.url).pathname;
  const there = new Set(rows.map(({ name }) => name));
  const named = globSync(["charts/**/*.{yaml,json,tpl}", "config/**/*.yaml", "docs/**/*.md"], { cwd: root })
    .flatMap((file) => readFileSync(`${root}${file}`, "utf8").match(/\bsiprouter_[a-z_]+/g) ?? [])
    .map((name) => (there.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "")));
  expect(named.length).toBeGreaterThan(20);
  expect([...new Set(named)].filter((name) => !there.has(name))).toEqual([]);
});

describe("what is gone is not shown any more", () => {
  test("a router, its pods and its destinations", async () => {
    const metrics = createMetrics("1");
    const { controller } = metrics;
    const destination = {
      setId: 100,
      uri: "sip:192.0.2.1:5060",
      state: "Active" as const,
      flags: "AP",
      priority: 0,
      attrs: "",
      latencyMs: { average: 1, max: 2, last: 3 },
    };
    controller.destinations("ns/edge", { Active: 2, Inactive: 1, Probing: 0, Disabled: 0 });
    controller.pod("ns/edge", "edge-1", { destinations: [destination], tables: {}, draining: false, calls: 7 });
    controller.registrations("ns/edge", "edge-1", 12);
    controller.revisions("ns/edge", [{ name: "edge-1", inSync: false }]);
    const shown = await scrape(metrics);
    for (const line of [
      'siprouter_destinations{namespace="ns",router="edge",state="Inactive"} 1',
      'siprouter_active_calls{namespace="ns",router="edge",pod="edge-1"} 7',
      'siprouter_registrations{namespace="ns",router="edge",pod="edge-1"} 12',
      'set="100",destination="sip:192.0.2.1:5060"} 0.003',
      'siprouter_pod_revision_age_seconds{namespace="ns",router="edge",pod="edge-1"}',
    ])
      expect(shown).toContain(line);
    controller.pod("ns/edge", "edge-1", undefined);
    controller.destinations("ns/edge", undefined);
    expect(await scrape(metrics)).not.toContain('router="edge"');
  });

  test("a condition has one reason at a time, and goes with its object", async () => {
    const metrics = createMetrics("1");
    const { conditions } = metrics.controller;
    const ready = { type: "Ready", lastTransitionTime: "2026-01-01T00:00:00Z", message: "" } as const;
    const unknown = { ...ready, type: "Available", status: "Unknown", reason: "Unobserved" } as const;
    const line = (reason: string, value: number): string =>
      `siprouter_condition{kind="SipRouter",namespace="ns",name="edge",type="Ready",reason="${reason}"} ${value}`;
    conditions("SipRouter", "ns/edge", [{ ...ready, status: "False", reason: "NoPods" }, unknown]);
    expect(await scrape(metrics)).toContain(line("NoPods", 0));
    conditions("SipRouter", "ns/edge", [{ ...ready, status: "True", reason: "Ready" }, unknown]);
    const shown = await scrape(metrics);
    expect(shown).toContain(line("Ready", 1));
    expect(shown.match(/^siprouter_condition\{/gm)).toHaveLength(1);
    conditions("SipRouter", "ns/edge", []);
    expect(await scrape(metrics)).not.toContain('name="edge"');
  });

  test("an Asterisk whose manager is not asked any more; one that does not answer has no channels", async () => {
    const metrics = createMetrics("1");
    const view = { host: "192.0.2.1", port: 5038 };
    metrics.controller.managers("ns/pbx", [{ ...view, state: "Connected", version: "22", channels: 4 }]);
    expect(await scrape(metrics)).toContain(
      'siprouter_asterisk_channels{namespace="ns",backend="pbx",address="192.0.2.1"} 4',
    );
    metrics.controller.managers("ns/pbx", [{ ...view, state: "Unreachable", message: "econnrefused." }]);
    const away = await scrape(metrics);
    expect(away).toContain('siprouter_asterisk_up{namespace="ns",backend="pbx",address="192.0.2.1"} 0');
    expect(away).not.toContain("siprouter_asterisk_channels{");
    metrics.controller.managers("ns/pbx", undefined);
    expect(await scrape(metrics)).not.toContain('backend="pbx"');
  });
});

test("the age of a revision grows while a pod is behind and is 0 when it is not", async () => {
  const metrics = createMetrics("1");
  const age = async (): Promise<number> =>
    Number(/siprouter_pod_revision_age_seconds\{[^}]*\} (\S+)/.exec(await scrape(metrics))?.[1]);
  metrics.controller.revisions("ns/edge", [{ name: "edge-1", inSync: true }]);
  expect(await age()).toBe(0);
  metrics.controller.revisions("ns/edge", [{ name: "edge-1", inSync: false }]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  metrics.controller.revisions("ns/edge", [{ name: "edge-1", inSync: false }]);
  expect(await age()).toBeGreaterThan(0.015);
});
