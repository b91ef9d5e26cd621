/** Backends to dispatcher destinations. */
import { compare, keyOf } from "../api/index.ts";
import type { Endpoint, ResolvedMember, ResolvedSet } from "../model/index.ts";
import { destinationId, DRAIN_TIER, kamailioSetId } from "./setId.ts";
import type { Destination, DispatcherSetPlan } from "./types.ts";

export function buildSet(set: ResolvedSet): DispatcherSetPlan {
  const unique = new Map<string, Destination>();
  const members = set.members.toSorted((a, b) => compare(a.backend.ref.name, b.backend.ref.name));
  // As kube-proxy has it: where nobody is ready, who ends but still serves is better than nobody.
  const lastOnes = !members.some(
    ({ backend }) => backend.adminState === "Enabled" && backend.endpoints.some(({ ready }) => ready),
  );
  for (const member of members)
    for (const endpoint of member.backend.endpoints) {
      const destination = destinationOf(set, member, endpoint, lastOnes);
      const key = destinationId(destination);
      if (!unique.has(key)) unique.set(key, destination);
    }
  const destinations = [...unique.values()].toSorted((a, b) => a.setId - b.setId || compare(a.uri, b.uri));
  const inUse = destinations.filter((one) => one.priority !== DRAIN_TIER).map((one) => one.priority);
  return { name: set.name, id: set.id, algorithm: set.algorithm, tiers: [...new Set(inUse)], destinations };
}

function destinationOf(
  set: ResolvedSet,
  { backend, priority, weight }: ResolvedMember,
  endpoint: Endpoint,
  lastOnes: boolean,
): Destination {
  const serves = endpoint.ready || (lastOnes && endpoint.serving === true);
  const tier = backend.adminState === "Draining" || !serves ? DRAIN_TIER : priority;
  return {
    setId: kamailioSetId(set.id, tier),
    uri: uriOf(endpoint),
    host: endpoint.host,
    port: endpoint.port,
    transport: endpoint.transport,
    priority: tier,
    ...(weight === undefined ? {} : { weight }),
    backend: keyOf(backend.object),
    disabled: backend.adminState === "Disabled",
  };
}

/** RFC 3261 19.1: an IPv6 host is in brackets. */
const uriOf = ({ host, port, transport }: Endpoint): string =>
  `sip:${host.includes(":") ? `[${host}]` : host}:${port};transport=${transport.toLowerCase()}`;
