/** A resolved router to its plan. */
import { CONTROL_PORT, type SipRouterSpec, type Transport } from "../api/index.ts";
import type { ResolvedRouter } from "../model/index.ts";
import { buildCaps, hasCaps } from "./maxCalls.ts";
import { buildSet } from "./destinations.ts";
import { deepFreeze } from "./freeze.ts";
import { hashOf } from "./hash.ts";
import { buildRegistrants, hasRegistrants, registrationRealm } from "./registrants.ts";
import { buildRoutes } from "./routes.ts";
import { buildTrunks, hasTrunks } from "./trunks.ts";
import type { AuthenticationPlan, DataPlan, RouterPlan, StructurePlan, WorkloadPlan } from "./types.ts";

type Authentication = NonNullable<SipRouterSpec["authentication"]>;

export interface Defaults {
  /** image of the Kamailio pods where the spec names none */
  readonly image: string;
}

/** Sorted and deep-frozen: whatever the order of the input, the same plan. */
export function buildPlan(resolved: ResolvedRouter, defaults: Defaults): RouterPlan {
  const { metadata } = resolved.object;
  const { sets, ...data } = buildData(resolved);
  // A copy: nothing of the input is frozen or shared. Destinations are made anew in any case.
  const copy = structuredClone({
    structure: buildStructure(resolved),
    data,
    workload: buildWorkload(resolved, defaults),
  });
  return deepFreeze<RouterPlan>({
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid ?? "",
    ...copy,
    data: { ...copy.data, sets },
  });
}

const transports: readonly Transport[] = ["UDP", "TCP", "TLS"];

function buildStructure({ object: { spec }, tls, sets }: ResolvedRouter): StructurePlan {
  const { failover, healthCheck, registration, authentication, rateLimit, mediaProxy, kamailio } = spec;
  return {
    listeners: sortedListeners(spec).map(({ name, transport, port }) => ({
      name,
      transport,
      port,
      tls: transport === "TLS",
    })),
    controlPort: CONTROL_PORT,
    ...(spec.advertise === undefined ? {} : { advertise: spec.advertise.address }),
    ...(spec.advertise !== undefined && spec.replicas > 1 ? { sharedAddress: true } : {}),
    failover: { ...failover, replies: sorted(failover.replies) },
    healthCheck,
    registration,
    ...(authentication === undefined ? {} : { authentication: buildAuthentication(authentication) }),
    accessControl: spec.accessControl !== undefined,
    ...(rateLimit === undefined ? {} : { rateLimit: true }),
    topologyHiding: spec.topologyHiding?.enabled ?? false,
    ...(spec.dispatcherSets.some((set) => set.algorithm === "CallLoad") ? { callLoad: true } : {}),
    ...(hasCaps(sets) ? { maxCalls: true } : {}),
    ...(hasTrunks(sets) ? { trunks: true } : {}),
    ...(hasRegistrants(sets) ? { registrants: { realm: registrationRealm(spec) } } : {}),
    ...(tls === undefined ? {} : { tls: buildTls(tls) }),
    ...(mediaProxy === undefined ? {} : { rtpengine: sorted(mediaProxy.rtpengine.addresses) }),
    workers: kamailio.workers,
    shmMemoryMiB: kamailio.shmMemoryMiB,
  };
}

const buildTls = ({ listener, authorities }: NonNullable<ResolvedRouter["tls"]>): StructurePlan["tls"] => ({
  listener,
  ...(authorities === undefined ? {} : { ca: hashOf(authorities) }),
});

function buildData({ object, sets, tls, credentials }: ResolvedRouter): DataPlan {
  const { routes, external, accessControl, rateLimit } = object.spec;
  return {
    sets: sets.map((set) => buildSet(set)).toSorted((a, b) => a.id - b.id),
    ...buildRoutes(routes, external),
    ...(tls === undefined ? {} : { certificate: { port: tls.port, generation: hashOf(tls.chain) } }),
    access: { allow: sorted(accessControl?.allow ?? []), deny: sorted(accessControl?.deny ?? []) },
    ...(rateLimit === undefined ? {} : { limits: rateLimit }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(hasCaps(sets) ? { caps: buildCaps(sets, object.spec.replicas) } : {}),
    ...(hasTrunks(sets) ? { trunks: buildTrunks(sets) } : {}),
    ...(hasRegistrants(sets) ? { registrants: buildRegistrants(sets, registrationRealm(object.spec)) } : {}),
  };
}

function buildWorkload({ object: { spec }, tls: used }: ResolvedRouter, defaults: Defaults): WorkloadPlan {
  const { kamailio } = spec;
  return {
    replicas: spec.replicas,
    image: kamailio.image === "" ? defaults.image : kamailio.image,
    ...(kamailio.resources === undefined ? {} : { resources: kamailio.resources }),
    ...(kamailio.podTemplate === undefined ? {} : { podTemplate: kamailio.podTemplate }),
    service: spec.service,
    drainTimeoutSeconds: spec.drain.timeoutSeconds,
    tlsSecrets: sortedListeners(spec).flatMap(({ name, tls }) =>
      tls === undefined
        ? []
        : [{ listener: name, secretName: tls.secretName, authorities: used?.authorities !== undefined }],
    ),
  };
}

/** The domains themselves come and go without a restart. */
const buildAuthentication = ({ realm = "", domains }: Authentication): AuthenticationPlan =>
  domains === undefined ? { realm } : { domains: true };

const sortedListeners = (spec: SipRouterSpec): SipRouterSpec["listeners"] =>
  spec.listeners.toSorted(
    (a, b) => transports.indexOf(a.transport) - transports.indexOf(b.transport) || a.port - b.port,
  );

const sorted = (texts: readonly string[]): string[] => [...new Set(texts)].toSorted();
