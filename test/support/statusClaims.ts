/** What a router's status claims, held against what was asked for. */
import { keyOf } from "../../src/api/index.ts";
import { defaultPipeline } from "../../src/controller/index.ts";
import { conditionOf } from "../../src/status/index.ts";
import type { Bench } from "./controllerBench.ts";

export const wantedRevision = ({ cluster }: Bench, router = "default/edge"): string | undefined => {
  const { router: resolved } = defaultPipeline.resolveRouter(cluster.snapshot(), router);
  if (resolved === undefined) return undefined;
  return defaultPipeline.renderRouter(defaultPipeline.buildPlan(resolved, { image: "kamailio:test" })).files.desired
    .revision;
};

/**
 * Every status that says Ready for a generation of a router names a revision that this very spec, with the backends that
 * were there since it was written, has asked for. Violations are added to what is returned.
 */
export function watchClaims(bench: Bench): readonly string[] {
  const violations: string[] = [];
  const asked = new Map<string, Set<string | undefined>>();
  const { cluster } = bench;
  const note = (): void => {
    for (const object of cluster.objects("SipRouter")) {
      const id = `${keyOf(object)} ${object.metadata.generation}`;
      asked.set(id, (asked.get(id) ?? new Set()).add(wantedRevision(bench, keyOf(object))));
    }
  };
  const { put, remove } = cluster;
  cluster.put = (object) => {
    put(object);
    note();
  };
  cluster.remove = (kind, namespace, name) => {
    remove(kind, namespace, name);
    note();
  };
  note();
  cluster.onStatus = (object, status) => {
    if (object.kind !== "SipRouter") return;
    const ready = conditionOf(status, "Ready");
    const { revision } = status as { revision?: string };
    const generation = ready?.observedGeneration;
    if (ready?.status !== "True" || asked.get(`${keyOf(object)} ${generation}`)?.has(revision) === true) return;
    violations.push(`Ready at generation ${generation} with revision ${revision}, which it never asked for`);
  };
  return violations;
}
