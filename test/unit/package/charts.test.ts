/** What the charts and the pages say of versions and images is what the code has. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { load } from "js-yaml";
import { expect, test } from "vitest";
import { MINIMUM_KUBERNETES_VERSION } from "../../../hack/kube-assets/locate.ts";
import { DEFAULT_IMAGE } from "../../../src/render/index.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

test("charts and pages name the oldest Kubernetes that is tested", () => {
  for (const chart of ["sip-router-operator", "sip-router"])
    expect(load(read(`charts/${chart}/Chart.yaml`))).toMatchObject({
      kubeVersion: `>=${MINIMUM_KUBERNETES_VERSION}.0-0`,
    });
  expect(read("docs/install.md")).toContain(`Kubernetes ${MINIMUM_KUBERNETES_VERSION} or later`);
});

test("the page on installing names the images that are run when nobody names others", () => {
  const page = read("docs/install.md");
  expect(page).toContain(`\`${DEFAULT_IMAGE}\``);
  expect(read("images/kamailio/Dockerfile")).toContain(`KAMAILIO_IMAGE=${DEFAULT_IMAGE}\n`);
  const { annotations } = load(read("charts/sip-router-operator/Chart.yaml")) as {
    annotations: Record<string, string>;
  };
  expect(load(annotations["artifacthub.io/images"] ?? "")).toEqual([{ name: "kamailio", image: DEFAULT_IMAGE }]);
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const tags = [...page.matchAll(/sip-router-operator:(\d+\.\d+\.\d+\S*?)(?=[`\s]|$)/gm)].map(([, tag]) => tag);
  expect(tags.length).toBeGreaterThan(3);
  expect([...new Set(tags)]).toEqual([version]);
});
