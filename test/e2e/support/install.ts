/**
 * Installs the operator for the whole run: a namespace of its own, the CRDs, the operator as `config/` has it, with roles in
 * that namespace only. Everything that it made is removed at the end; CRDs that were there before stay.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import type { TestProject } from "vitest/node";
import type { RawObject } from "../../../src/api/index.ts";
import { until } from "../../support/until.ts";
import { imageOf, keeps } from "./environment.ts";
import { isReady, Kubectl } from "./kubectl.ts";

declare module "vitest" {
  export interface ProvidedContext {
    namespace: string;
  }
}

const root = join(import.meta.dirname, "../../..");
const objectsOf = (file: string): RawObject[] =>
  loadAll(readFileSync(join(root, "config", file), "utf8")) as RawObject[];

/** The objects of `config/` for one namespace: with this image, and serving this namespace only. */
export const operatorObjects = (namespace: string, image: string): object[] => {
  const files = [
    "rbac/namespaced/role.yaml",
    "rbac/namespaced/role-binding.yaml",
    "manager/service-account.yaml",
    "manager/leader-election.yaml",
    "manager/deployment.yaml",
  ];
  const text = JSON.stringify(files.flatMap(objectsOf)).replaceAll("sip-router-system", namespace);
  return (JSON.parse(text) as RawObject[]).map((object) => {
    if (object.kind !== "Deployment") return object;
    const changed = structuredClone(object) as unknown as {
      spec: { template: { spec: { containers: { image: string; imagePullPolicy: string; args: string[] }[] } } };
    };
    const [container] = changed.spec.template.spec.containers;
    if (!container) throw new Error("config/manager/deployment.yaml has no container");
    container.image = image;
    container.imagePullPolicy = "IfNotPresent";
    container.args.push("--namespace", namespace, "--kamailio-image", imageOf("kamailio"));
    return changed;
  });
};

export default async function install(project: TestProject): Promise<() => Promise<void>> {
  const kube = new Kubectl(`sip-e2e-${Date.now().toString(36)}`);
  const crds = ["siprouters.siprouter.dev", "pbxbackends.siprouter.dev"];
  const before = (await kube.list("crds")).map(({ metadata }) => metadata.name);
  await kube.run(["apply", "--server-side", "--force-conflicts", "-f", join(root, "crds")]);
  await kube.run(["create", "namespace", kube.namespace]);
  const remove = async (): Promise<void> => {
    if (keeps()) return console.log(`E2E_KEEP is set: the namespace ${kube.namespace} is left`);
    await kube.run(["delete", "siprouters,pbxbackends", "--all", "--timeout=60s"]).catch(console.error);
    await kube.run(["delete", "namespace", kube.namespace, "--timeout=120s"]);
    const made = crds.filter((crd) => !before.includes(crd));
    if (made.length > 0) await kube.run(["delete", "crds", ...made, "--timeout=60s"]);
  };
  try {
    await kube.run(["wait", "--for=condition=Established", "--timeout=60s", "-f", join(root, "crds")]);
    await kube.apply(...operatorObjects(kube.namespace, imageOf("operator")));
    await until(
      "the operator is ready",
      async () => {
        const pods = await kube.pods("app.kubernetes.io/name=sip-router-operator");
        return pods.length === 2 && pods.every(isReady);
      },
      90_000,
    );
  } catch (error) {
    console.error(await kube.run(["describe", "pods"]).catch(String));
    await remove();
    throw error;
  }
  project.provide("namespace", kube.namespace);
  return remove;
}
