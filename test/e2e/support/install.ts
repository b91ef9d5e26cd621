/**
 * Installs the operator for the whole run by its chart, in a namespace of its own and for this namespace only. What was made is
 * removed at the end; custom resource definitions that were there before stay, brought to this version.
 */
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { imageOf, keeps } from "./environment.ts";
import { applyRelease } from "./helm.ts";
import { Kubectl } from "./kubectl.ts";

declare module "vitest" {
  export interface ProvidedContext {
    namespace: string;
    /** the release has the custom resource definitions */
    ownsCrds: boolean;
  }
}

const root = join(import.meta.dirname, "../../..");
const crds = ["siprouters.siprouter.dev", "pbxbackends.siprouter.dev"];

export default async function install(project: TestProject): Promise<() => Promise<void>> {
  const kube = new Kubectl(`sip-e2e-${Date.now().toString(36)}`);
  const there = (await kube.list("crds")).some(({ metadata }) => crds.includes(metadata.name));
  if (there) await kube.run(["apply", "--server-side", "--force-conflicts", "-f", join(root, "crds")]);
  await kube.run(["create", "namespace", kube.namespace]);
  const remove = async (): Promise<void> => {
    if (keeps()) return console.log(`E2E_KEEP is set: the namespace ${kube.namespace} is left`);
    await kube.run(["delete", "siprouters,pbxbackends", "--all", "--timeout=60s"]).catch(console.error);
    await kube.run(["delete", "namespace", kube.namespace, "--timeout=120s"]);
    if (!there) await kube.run(["delete", "crds", ...crds, "--ignore-not-found", "--timeout=60s"]);
  };
  try {
    await applyRelease(kube.namespace, { image: imageOf("operator"), crds: !there });
  } catch (error) {
    console.error(await kube.run(["describe", "pods"]).catch(String));
    await remove();
    throw error;
  }
  project.provide("namespace", kube.namespace);
  project.provide("ownsCrds", !there);
  return remove;
}
