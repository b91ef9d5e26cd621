/** What the chart of a release says of its changes: the changelog's section, in the form that Artifact Hub shows. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { load } from "js-yaml";
import { expect, test } from "vitest";
import { changesOf, releasedChart } from "../../../hack/release/chart.ts";

const changelog = readFileSync(resolve(import.meta.dirname, "../../../CHANGELOG.md"), "utf8");

test("entries of a section, without links, by what they are", () => {
  const text =
    "# Changelog\n\n## [2.0.0] - 2026-01-01\n\n### Added\n\n- One `thing`\n  more ([page](docs/a.md), [other](b.md#c)).\n- A [second](c.md).\n\n### Fixed\n\n- Third.\n\n## [1.0.0]\n\n### Removed\n\n- Old.\n";
  expect(changesOf(text, "2.0.0")).toEqual([
    { kind: "added", description: "One thing more." },
    { kind: "added", description: "A second." },
    { kind: "fixed", description: "Third." },
  ]);
  expect(changesOf(text, "3.0.0")).toEqual([]);
});

test("the changelog has kinds that Artifact Hub knows, and every entry is one", () => {
  const changes = changesOf(changelog, "Unreleased");
  const { annotations } = releasedChart({ name: "x", annotations: {} }, "1.2.3", "r", "https://x/y/z", changes) as {
    annotations: Record<string, string>;
  };
  const shown = load(annotations["artifacthub.io/changes"] ?? "") as typeof changes;
  expect(shown).toEqual(changes);
  const [section = ""] = changelog.split(/^## /m).filter((one) => one.startsWith("[Unreleased]"));
  expect(changes.length).toBe(section.match(/^- /gm)?.length ?? 0);
  for (const { kind, description } of changes) {
    expect(["added", "changed", "deprecated", "removed", "fixed", "security"]).toContain(kind);
    expect(description).toMatch(/^[^\n\]`]{5,}$/);
  }
});
