/**
 * What Artifact Hub shows of a released chart and a checkout does not know: who released it and from where, the images, what has changed.
 *
 *   node hack/release/chart.ts CHART VERSION REGISTRY SOURCE
 *
 * writes it into CHART/Chart.yaml. The account that SOURCE belongs to is the maintainer.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { dump, load } from "js-yaml";

export interface Change {
  readonly kind: string;
  readonly description: string;
}
interface Chart {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Entries of a version's section of the changelog, as text without links and code. */
export function changesOf(changelog: string, version: string): Change[] {
  const section = changelog.split(/^## /m).find((one) => one.startsWith(`[${version}]`)) ?? "";
  return section
    .split(/^### /m)
    .slice(1)
    .flatMap((part) => {
      const [heading = "", ...entries] = part.split(/\n+- /);
      return entries.map((entry) => ({
        kind: heading.trim().toLowerCase(),
        description: entry
          .replaceAll(/\s*\(\[[^)]*\)(?:, \[[^)]*\))*\)/g, "")
          .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
          .replaceAll("`", "")
          .replaceAll(/\s+/g, " ")
          .trim(),
      }));
    });
}

export function releasedChart(
  chart: Chart,
  version: string,
  registry: string,
  source: string,
  changes: readonly Change[],
): object {
  const owner = source.replace(/\/[^/]*$/, "");
  const images = ["sip-router-operator", "sip-router-kamailio"].map((name) => ({
    name,
    image: `${registry}/${name}:${version}`,
  }));
  return {
    ...chart,
    home: source,
    sources: [source],
    maintainers: [{ name: owner.replace(/^.*\//, ""), url: owner }],
    annotations: {
      ...chart.annotations,
      ...(chart.annotations["artifacthub.io/images"] === undefined ? {} : { "artifacthub.io/images": dump(images) }),
      ...(changes.length === 0 ? {} : { "artifacthub.io/changes": dump(changes) }),
      "artifacthub.io/links": dump([{ name: "documentation", url: `${source}/blob/v${version}/docs/README.md` }]),
    },
  };
}

if (import.meta.main) {
  const [folder = "", version = "", registry = "", source = ""] = process.argv.slice(2);
  const file = join(folder, "Chart.yaml");
  const changes = changesOf(readFileSync(resolve(import.meta.dirname, "../../CHANGELOG.md"), "utf8"), version);
  const chart = load(readFileSync(file, "utf8")) as Chart;
  writeFileSync(file, dump(releasedChart(chart, version, registry, source, changes)));
}
