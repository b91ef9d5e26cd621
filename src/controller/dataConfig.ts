/** The data ConfigMap of a router as it is stored, and as it is to be stored: its files, and what an operator that starts must know. */
import type { RawObject } from "../api/index.ts";
import { annotations } from "../render/layout.ts";
import { dataName } from "../render/index.ts";
import type { RenderedRouter } from "../render/types.ts";
import type { Context } from "./context.ts";
import { servedObjects } from "./restore.ts";
import type { RouterState } from "./state.ts";

type Files = Readonly<Record<string, string>>;

export const filesOf = (config: RawObject | undefined): Files | undefined => config?.["data"] as Files | undefined;

export const storedConfig = (context: Context, state: RouterState): RawObject | undefined =>
  context.cluster.owned("ConfigMap", state.namespace, dataName(state.name));

export function storedRevisionOf(context: Context, state: RouterState): string | undefined {
  const files = filesOf(storedConfig(context, state));
  if (files === undefined) return undefined;
  try {
    return context.pipeline.parseDataFiles(files).revision;
  } catch {
    return undefined;
  }
}

/** The objects to be stored now; the data ConfigMap among them says which spec was accepted last. */
export const objectsToStore = (state: RouterState, rendered: RenderedRouter): readonly RawObject[] =>
  servedObjects(state, rendered).map((object) => (isDataConfig(state, object) ? withAccepted(state, object) : object));

export const isDataConfig = (state: RouterState, object: RawObject): boolean =>
  object.kind === "ConfigMap" && object.metadata.name === dataName(state.name);

const marked = new WeakMap<RawObject, RawObject>();

/** The same object for the same input: what is unchanged is seen at a glance. */
function withAccepted(state: RouterState, config: RawObject): RawObject {
  const spec = state.accepted?.stored;
  if (spec === undefined) return config;
  const known = marked.get(config);
  if (known?.metadata.annotations?.[annotations.acceptedSpec] === spec) return known;
  const { metadata } = config;
  const made = {
    ...config,
    metadata: { ...metadata, annotations: { ...metadata.annotations, [annotations.acceptedSpec]: spec } },
  };
  marked.set(config, made);
  return made;
}

/** The same data as another file: a pod that missed the last one gets a newer one. */
export const withNonce = (config: RawObject, nonce: string | undefined): RawObject =>
  nonce === undefined ? config : { ...config, data: { ...filesOf(config), nonce } };
