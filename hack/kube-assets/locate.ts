/**
 * Where the Kubernetes programs that the integration tests need already are: $KUBEBUILDER_ASSETS, the cache of
 * setup-envtest, or this project's own cache. Looks at folders only; `main.ts` beside it downloads or builds.
 */
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

export const KUBERNETES_VERSION = "1.36.3";
/**
 * What the charts and docs/install.md promise. A definition is checked against the functions of the version before the API
 * server's own, and the rules of ours use comprehensions of two variables, which came with 1.32.
 */
export const MINIMUM_KUBERNETES_VERSION = "1.33";
export const ETCD_VERSION = "3.6.16";
export const assetPrograms = ["kube-apiserver", "etcd", "kube-controller-manager", "kubectl"] as const;
export type AssetProgram = (typeof assetPrograms)[number];

type Env = Readonly<Record<string, string | undefined>>;

/** The cache of this project: outside the tree, so that a fresh clone finds what an earlier one built. */
export const cacheFolder = (env: Env): string =>
  path.join(
    env["XDG_CACHE_HOME"] || path.join(homedir(), ".cache"),
    "sip-router-operator",
    `kubernetes-${KUBERNETES_VERSION}-etcd-${ETCD_VERSION}-${process.platform}-${process.arch}`,
  );

export function missingPrograms(folder: string): AssetProgram[] {
  return assetPrograms.filter((program) => {
    try {
      accessSync(path.join(folder, program), constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
}

/** setup-envtest names its folders `<version>-<os>-<arch>`; the newest version comes first. */
function envtestFolders(env: Env): string[] {
  const data = env["XDG_DATA_HOME"] || path.join(homedir(), ".local", "share");
  const roots = [path.join(data, "kubebuilder-envtest", "k8s"), path.join(data, "io.kubebuilder.envtest", "k8s")];
  const collator = new Intl.Collator("en", { numeric: true });
  return roots.flatMap((root) => {
    try {
      return readdirSync(root)
        .toSorted((a, b) => collator.compare(b, a))
        .map((entry) => path.join(root, entry));
    } catch {
      return [];
    }
  });
}

/** The first folder that has every program, or undefined. A KUBEBUILDER_ASSETS that lacks one is an error: it was meant. */
export function locateAssets(env: Env): string | undefined {
  const named = env["KUBEBUILDER_ASSETS"];
  if (named) {
    const missing = missingPrograms(named);
    if (missing.length === 0) return named;
    throw new Error(
      `KUBEBUILDER_ASSETS names ${named}, which lacks ${missing.join(", ")}: unset it, or add what is missing`,
    );
  }
  return [...envtestFolders(env), "/usr/local/kubebuilder/bin", cacheFolder(env)].find(
    (folder) => missingPrograms(folder).length === 0,
  );
}
