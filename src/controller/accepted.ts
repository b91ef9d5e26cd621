/**
 * The spec that was accepted last. While a newer one is refused, or a Secret of the router is of no use, this one is followed:
 * backends that come, go or drain count as ever. The Secrets that it was accepted with are kept in memory; the spec alone, in
 * which no secret is, outlives the operator: in an annotation of the data ConfigMap.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { keyOf, type Key, type RawObject } from "../api/index.ts";
import { findIn } from "../model/lookup.ts";
import { referencedSecrets } from "../model/references.ts";
import type { Resolution, ResolvedRouter, Snapshot } from "../model/types.ts";
import { annotations } from "../render/layout.ts";
import type { Context } from "./context.ts";
import { storedConfig } from "./dataConfig.ts";
import type { Accepted, RouterState } from "./state.ts";
import { isStandIn, standIns } from "./storedUsers.ts";

/** All annotations of an object together have 256 KiB. A longer spec is not followed by an operator that starts. */
const LONGEST = 128 * 1024;

export function acceptedOf(object: RawObject, snapshot: Snapshot, before: Accepted | undefined): Accepted {
  const { namespace } = object.metadata;
  const secrets = referencedSecrets(object)
    .flatMap((name) => findIn(snapshot.secrets, `${namespace}/${name}`) ?? [])
    .filter((secret) => !isStandIn(secret));
  if (before !== undefined && before.spec === object.spec) return { ...before, secrets };
  const packed = deflateRawSync(JSON.stringify(object.spec)).toString("base64");
  return { spec: object.spec, secrets, stored: packed.length > LONGEST ? undefined : packed };
}

/**
 * The router by its spec. A Secret of one tenant that is gone or of no use keeps neither the other tenants nor the rest of the
 * spec waiting: the tenant has the users that it had. `view`: the snapshot with that Secret as it was then.
 */
export function resolveNewest(
  context: Context,
  state: RouterState,
  object: RawObject,
  snapshot: Snapshot,
): Pick<Resolution, "router" | "issues"> & { readonly view: Snapshot } {
  const { router, issues, unusable = [] } = context.pipeline.resolveRouter(snapshot, state.key);
  const keys = new Set(unusable.map((name): Key => `${state.namespace}/${name}`));
  const found = { ...(router === undefined ? {} : { router }), issues, view: snapshot };
  if (router !== undefined || keys.size === 0) return found;
  const kept = keptSecrets(context, state, object.spec).filter((secret) => keys.has(keyOf(secret)));
  if (kept.length < keys.size) return found;
  const view = withSecrets(snapshot, kept);
  const again = context.pipeline.resolveRouter(view, state.key);
  return { ...(again.router === undefined ? {} : { router: again.router }), issues, view };
}

/** Those that the spec was accepted with, and what is stored of those that an earlier operator accepted it with. */
function keptSecrets(context: Context, state: RouterState, spec: RawObject["spec"]): readonly RawObject[] {
  const accepted = state.accepted ?? storedSpec(context, state, annotations.acceptedSpec);
  if (accepted === undefined) return [];
  const known = new Set(accepted.secrets.map(keyOf));
  const others = standIns(context, state, spec, accepted.spec).filter((secret) => !known.has(keyOf(secret)));
  return [...accepted.secrets, ...others];
}

function withSecrets(snapshot: Snapshot, secrets: readonly RawObject[]): Snapshot {
  const own = new Map(secrets.map((secret) => [keyOf(secret), secret]));
  const there = new Set(snapshot.secrets.map(keyOf));
  return {
    ...snapshot,
    secrets: [
      ...snapshot.secrets.map((secret) => own.get(keyOf(secret)) ?? secret),
      ...secrets.filter((secret) => !there.has(keyOf(secret))),
    ],
  };
}

/** The router by the spec that was accepted last, and everything else as it is now. */
export function resolveAccepted(
  context: Context,
  state: RouterState,
  object: RawObject,
  snapshot: Snapshot,
): ResolvedRouter | undefined {
  state.accepted ??= storedSpec(context, state, annotations.acceptedSpec);
  if (state.accepted === undefined) return undefined;
  const { accepted } = state;
  context.mapper.serve(object, { ...object, spec: accepted.spec });
  const router = resolveSpec(context, state, object, snapshot, accepted);
  if (router !== undefined) return router;
  const secrets = keptSecrets(context, state, accepted.spec);
  if (secrets.length === accepted.secrets.length) return undefined;
  return resolveSpec(context, state, object, snapshot, { ...accepted, secrets });
}

/** The router by this spec and, where they are known, the Secrets of then. */
export function resolveSpec(
  context: Context,
  state: RouterState,
  object: RawObject,
  snapshot: Snapshot,
  { spec, secrets }: Accepted,
): ResolvedRouter | undefined {
  const served = { ...object, spec };
  const view = {
    ...withSecrets(snapshot, secrets),
    routers: snapshot.routers.map((one) => (keyOf(one) === state.key ? served : one)),
  };
  return context.pipeline.resolveRouter(view, state.key).router;
}

/** A spec as the data ConfigMap has it in one of its annotations. */
export function storedSpec(context: Context, state: RouterState, annotation: string): Accepted | undefined {
  const stored = storedConfig(context, state)?.metadata.annotations?.[annotation];
  if (stored === undefined) return undefined;
  try {
    const spec = JSON.parse(inflateRawSync(Buffer.from(stored, "base64")).toString("utf8")) as RawObject["spec"];
    return { spec, secrets: [], stored };
  } catch (error) {
    context.log.warn({ router: state.key, annotation, err: error }, "a stored spec is of no use");
    return undefined;
  }
}
