/** The operator's chart as one release in the suite's namespace, serving this namespace only. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { run } from "./command.ts";
import { imageOf } from "./environment.ts";

const root = join(import.meta.dirname, "../../..");
export const RELEASE = "sip-router-operator";

let folder: string | undefined;
/** helm, of the version that the repository fixes. */
export const helm = (namespace: string, args: readonly string[]): Promise<string> => {
  folder ??= execFileSync(join(root, "hack/tools/install"), { encoding: "utf8" }).trim();
  return run(join(folder, "helm"), ["-n", namespace, ...args]);
};

export interface Release {
  readonly image: string;
  /** folder of another chart than this tree's */
  readonly chart?: string;
  /** false: the custom resource definitions are there already and not this release's */
  readonly crds: boolean;
}

/** Installs or upgrades, and waits until the operator is ready. */
export const applyRelease = async (
  namespace: string,
  { image, crds, chart = join(root, "charts/sip-router-operator") }: Release,
): Promise<void> => {
  const at = image.lastIndexOf(":");
  const values = {
    "image.repository": image.slice(0, at),
    "image.tag": image.slice(at + 1),
    "kamailio.image": imageOf("kamailio"),
    "crds.enabled": String(crds),
    "watchNamespaces[0]": namespace,
  };
  const set = Object.entries(values).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
  await helm(namespace, ["upgrade", RELEASE, chart, "--install", ...set, "--wait", "--timeout", "120s"]);
};
