/** Every expression of the alerts and the dashboard is one that Prometheus' own parser takes. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { helmTemplate, root, tool } from "../../support/package/tools.ts";

const problemsOf = async (expressions: readonly string[]): Promise<(string | null)[]> => {
  const input = JSON.stringify(expressions.map((expression) => ({ expression })));
  const results = JSON.parse((await tool("promql", [], { input })).stdout) as { problem: string | null }[];
  return results.map(({ problem }) => problem);
};

test("what is no PromQL is refused", async () => {
  const [right, wrong] = await problemsOf(["up == 0 unless on (pod) b == 1", "sum by (a (b)"]);
  expect(right).toBeNull();
  expect(wrong).toContain("parse error");
});

test("alerts, as the chart has them for a release", async () => {
  const values = { metrics: { prometheusRule: { enabled: true } } };
  const objects = await helmTemplate("sip-router-operator", values, { release: "west", namespace: "telephony" });
  const rule = objects.find(({ kind }) => kind === "PrometheusRule") as unknown as {
    spec: { groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[] };
  };
  const rules = rule.spec.groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(10);
  const problems = await problemsOf(rules.map(({ expr }) => expr));
  expect(Object.fromEntries(rules.map(({ alert }, at) => [alert, problems[at]]))).toEqual(
    Object.fromEntries(rules.map(({ alert }) => [alert, null])),
  );
  const down = rules.find(({ alert }) => alert === "SipOperatorDown");
  expect(down?.expr).toContain('namespace="telephony",pod=~"west-sip-router-operator-');
  expect(down?.annotations.summary).toBe("No operator of telephony/west-sip-router-operator leads.");
});

test("the dashboard, with its variables filled", async () => {
  const dashboard = JSON.parse(
    readFileSync(path.join(root, "charts/sip-router-operator/files/dashboard.json"), "utf8"),
  ) as { panels: { title: string; targets: { expr: string }[] }[] };
  const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(expressions.length).toBeGreaterThan(5);
  const filled = expressions.map((expr) => expr.replaceAll("$__rate_interval", "5m").replaceAll("$__range", "1h"));
  expect(await problemsOf(filled)).toEqual(filled.map(() => null));
});
