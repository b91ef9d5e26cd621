/** The data ConfigMap of a router as it is stored, and as it is to be stored: its files, and what an operator that starts must know. */
import type { RawObject } from "../api/index.ts";
import { annotations } from "../render/layout.ts";
import { dataName } from "../render/index.ts";
import type { RenderedRouter } from "../render/types.ts";
import type { Context } from "./context.ts";
import { servedObjects } from "./restore.ts";
import { sameSpec, type RouterState } from "./state.ts";

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

/** The objects to be stored now; the data ConfigMap among them says which spec was accepted last, and which one was proven. */
export const objectsToStore = (state: RouterState, rendered: RenderedRouter): readonly RawObject[] =>
  servedObjects(state, rendered).map((object) => (isDataConfig(state, object) ? withSpecs(state, object) : object));

export const isDataConfig = (state: RouterState, object: RawObject): boolean =>
  object.kind === "ConfigMap" && object.metadata.name === dataName(state.name);

/** All annotations of an object together have 256 KiB: the proven spec is left out when there is no room. */
const ROOM = 250 * 1024;

/** An operator that starts knows by it what to go back to; undefined: the accepted spec is the proven one, or none is known. */
function provenToStore({ accepted, good }: RouterState): string | undefined {
  const proven = sameSpec(good?.accepted, accepted) ? undefined : good?.accepted?.stored;
  return (proven?.length ?? 0) + (accepted?.stored?.length ?? 0) > ROOM ? undefined : proven;
}

/** What is stored says something else of the proven spec than is known now. */
export const isProofUnsaid = (context: Context, state: RouterState): boolean => {
  const config = storedConfig(context, state);
  return config !== undefined && config.metadata.annotations?.[annotations.provenSpec] !== provenToStore(state);
};

const marked = new WeakMap<RawObject, RawObject>();

/** The same object for the same input: what is unchanged is seen at a glance. */
function withSpecs(state: RouterState, config: RawObject): RawObject {
  const [accepted, proven] = [state.accepted?.stored, provenToStore(state)];
  if (accepted === undefined && proven === undefined) return config;
  const known = marked.get(config);
  const said = known?.metadata.annotations;
  if (known !== undefined && said?.[annotations.acceptedSpec] === accepted && said?.[annotations.provenSpec] === proven)
    return known;
  const { metadata } = config;
  const specs = {
    ...(accepted === undefined ? {} : { [annotations.acceptedSpec]: accepted }),
    ...(proven === undefined ? {} : { [annotations.provenSpec]: proven }),
  };
  const made = { ...config, metadata: { ...metadata, annotations: { ...metadata.annotations, ...specs } } };
  marked.set(config, made);
  return made;
}

/** The same data as another file: a pod that missed the last one gets a newer one. */
export const withNonce = (config: RawObject, nonce: string | undefined): RawObject =>
  nonce === undefined ? config : { ...config, data: { ...filesOf(config), nonce } };
