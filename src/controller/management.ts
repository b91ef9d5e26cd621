/** What is known of a PBX beside SIP: its Asterisk Manager, and the calls that are left while it takes no new ones. */
import { createAmiWatch, type AmiView, type AmiWatch, type ConnectAmi } from "../ami/index.ts";
import type { Key, PbxBackendSpec, PbxBackendStatus, RawObject } from "../api/index.ts";
import { resolveManagers } from "../model/management.ts";
import type { BackendResolution } from "../model/index.ts";
import type { DrainView } from "../status/index.ts";
import { backendStatusKey, type Context } from "./context.ts";
import { createDrainWatch, type DrainWatch } from "./drain.ts";
import { createRegistrationCount } from "./registrationCount.ts";

export interface Management {
  /** The backend as it is resolved now, undefined when it is gone; what is known of it so far. */
  follow(backend: Key, now: Followed | undefined): Seen;
  /** a router has another plan, or its pods have come to it */
  recheck(): void;
  stop(): void;
}
export interface Followed {
  readonly object: RawObject;
  readonly resolution: BackendResolution;
  /** that use it */
  readonly routers: readonly Key[];
}
/** Parts of a status' input. */
export interface Seen {
  readonly managers?: readonly AmiView[];
  readonly drain?: DrainView;
}

export function createManagement(context: Context, connect: ConnectAmi): Management {
  const registrations = createRegistrationCount(context);
  const drains: DrainWatch = createDrainWatch(context);
  const managers: AmiWatch = createAmiWatch({
    clock: context.clock,
    random: context.random,
    connect,
    onChange: (backend, before, after) => tell(context, managers, backend, before, after, drains.view(backend)),
  });
  return {
    follow(backend, now) {
      const spec = now?.object.spec as Partial<PbxBackendSpec> | undefined;
      const resolved = now?.resolution.backend;
      const targets =
        resolved === undefined ? [] : resolveManagers(context.snapshot(), resolved.object, resolved.endpoints);
      managers.want(backend, targets);
      const drains_ = resolved !== undefined && resolved.adminState !== "Enabled";
      // those that the status has are of before this look, or of an operator before this one
      const { endpoints = [] } = (now?.object.status ?? {}) as Partial<PbxBackendStatus>;
      const hosts = new Set([
        ...(resolved?.endpoints ?? []).map(({ host }) => host),
        ...endpoints.map(({ address }) => address),
      ]);
      drains.want(backend, drains_ ? { hosts, routers: now?.routers ?? [] } : undefined);
      const asked = now !== undefined && spec?.management?.ami !== undefined;
      const views = asked ? managers.views(backend) : undefined;
      context.metrics.managers(backend, views);
      const drain = drains.view(backend);
      return { ...(views === undefined ? {} : { managers: views }), ...(drain === undefined ? {} : { drain }) };
    },
    recheck: drains.recheck,
    stop() {
      registrations.stop();
      managers.stop();
      drains.stop();
    },
  };
}

/** The number of channels is of the metrics only, unless somebody waits for it to be none. */
function tell(
  context: Context,
  managers: AmiWatch,
  backend: Key,
  before: AmiView,
  after: AmiView,
  drain: DrainView | undefined,
): void {
  context.metrics.managers(backend, managers.views(backend));
  const same = before.state === after.state && before.version === after.version && before.message === after.message;
  if (!same && before.state !== after.state) {
    const { host, port, state, version, message } = after;
    const fields = { backend, manager: `${host}:${port}`, state, version, reason: message };
    if (state === "Connected") context.log.info(fields, "the Asterisk Manager answers");
    else context.log.warn(fields, "the Asterisk Manager does not let the operator read");
  }
  if (!same || drain !== undefined) context.queues.status.add(backendStatusKey(backend));
}
