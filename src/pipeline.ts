/**
 * The pure stages in a row: a snapshot becomes, for each router, what would run and what is wrong. One router's fault
 * never stops another.
 */
import { keyOf, type Key } from "./api/index.ts";
import { OperatorError } from "./errors.ts";
import { buildPlan, type RouterPlan } from "./ir/index.ts";
import { resolveBackend, resolveRouter, type Issue, type Resolution, type Snapshot } from "./model/index.ts";
import { renderRouter, type RenderedRouter } from "./render/index.ts";

export interface RouterOutcome {
  readonly resolution: Resolution;
  /** of the resolution, and of rendering */
  readonly issues: readonly Issue[];
  readonly plan?: RouterPlan;
  readonly rendered?: RenderedRouter;
}

export interface Outcome {
  /** by key, sorted */
  readonly routers: ReadonlyMap<Key, RouterOutcome>;
  /** issues of each PbxBackend, by key, sorted */
  readonly backends: ReadonlyMap<Key, readonly Issue[]>;
}

export function runPipeline(snapshot: Snapshot, defaults: { readonly image: string }): Outcome {
  return {
    routers: new Map(keysOf(snapshot.routers).map((key) => [key, runRouter(snapshot, key, defaults)])),
    backends: new Map(keysOf(snapshot.backends).map((key) => [key, resolveBackend(snapshot, key).issues])),
  };
}

export function runRouter(snapshot: Snapshot, key: Key, defaults: { readonly image: string }): RouterOutcome {
  const resolution = resolveRouter(snapshot, key);
  if (resolution.router === undefined) return { resolution, issues: resolution.issues };
  const plan = buildPlan(resolution.router, defaults);
  const result = render(plan);
  if ("message" in result) {
    const object = { kind: "SipRouter", namespace: plan.namespace, name: plan.name };
    const issue: Issue = { object, path: "spec", reason: "Invalid", message: result.message, transient: false };
    return { resolution, plan, issues: [...resolution.issues, issue] };
  }
  return { resolution, plan, rendered: result, issues: resolution.issues };
}

/** What was rendered, or why it cannot be used. */
function render(plan: RouterPlan): RenderedRouter | { readonly message: string } {
  try {
    return renderRouter(plan);
  } catch (error) {
    if (error instanceof OperatorError && error.code === "SIPR_RENDER_REFUSED")
      return { message: `${error.message} ${error.remedy}` };
    throw error;
  }
}

const keysOf = (objects: Snapshot["routers"]): readonly Key[] =>
  [...new Set(objects.map((object) => keyOf(object)))].toSorted();
