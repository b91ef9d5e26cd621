/** What a resolved router asks for: its plan, in which no set is without a destination, and what is rendered from it. */
import type { RouterPlan } from "../ir/types.ts";
import { findIn, type Context } from "./context.ts";
import { filesOf, storedConfig } from "./dataConfig.ts";
import { keepLastDestinations } from "./keepLast.ts";
import { shareUnchanged } from "./shareUnchanged.ts";
import type { Planned, RouterState } from "./state.ts";
import { lastPlanOf } from "./storedSets.ts";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** undefined: it cannot be written; the failure is in the state. */
export function planRouter(
  context: Context,
  state: RouterState,
  build: () => RouterPlan,
): Planned | "empty" | undefined {
  try {
    const built = build();
    const { plan: made, kept } = keepLastDestinations(built, state.plan ?? lastStored(context, state, built));
    // where PBXes register with the router it has to run before the first of them does
    const awaits = made.structure.registrants !== undefined;
    if (!awaits && made.data.sets.every((set) => set.destinations.length === 0)) return "empty";
    return { plan: made, kept, rendered: shareUnchanged(state.rendered, context.pipeline.renderRouter(made)) };
  } catch (error) {
    state.failure = { reason: "RenderFailed", message: messageOf(error) };
    context.log.error({ router: state.key, err: error }, "the configuration could not be rendered");
    return undefined;
  }
}

/** What the operator before this one stored. */
function lastStored(context: Context, state: RouterState, built: RouterPlan): RouterPlan | undefined {
  const data = filesOf(storedConfig(context, state));
  if (data === undefined || built.data.sets.every((set) => set.destinations.length > 0)) return undefined;
  return lastPlanOf(
    built,
    context.pipeline.parseDataFiles(data),
    findIn(context.snapshot().routers, state.key)?.status,
  );
}
