/** Where the SIP traffic of a backend goes at this moment: its address, its name's addresses, or its Service's pods. */
import { quote } from "../api/quote.ts";
import { isIP } from "node:net";
import {
  backendPort,
  refOf,
  compare,
  type PbxBackend,
  type PbxBackendSpec,
  type RawObject,
  type Transport,
} from "../api/index.ts";
import { canonicalIp, isHostAddress } from "./addresses.ts";
import { unresolved, wrong } from "./issue.ts";
import { indexOf } from "./lookup.ts";
import { parseBackend } from "./parse.ts";
import { resolveContacts } from "./registrants.ts";
import { readService, readSlice, type ServicePort, type Slice } from "./services.ts";
import type { Endpoint, Issue, Snapshot } from "./types.ts";
import { NOT_LOOKED_UP } from "./types.ts";

export interface EndpointResolution {
  /** sorted by host, port, transport */
  readonly endpoints: readonly Endpoint[];
  readonly issues: readonly Issue[];
}

/** DNS names of all backends, lower case, sorted: what `Snapshot.names` should hold. */
export function namesToResolve(backends: readonly RawObject[]): readonly string[] {
  const names = backends.flatMap((raw) => {
    const parsed = parseBackend(raw);
    const address = "object" in parsed ? parsed.object.spec.address : undefined;
    return address !== undefined && isIP(address) === 0 ? [address.toLowerCase()] : [];
  });
  return [...new Set(names)].toSorted(compare);
}

export function resolveEndpoints(snapshot: Snapshot, backend: PbxBackend): EndpointResolution {
  const { spec } = backend;
  if (spec.address !== undefined) return resolveAddress(snapshot, backend, spec.address);
  if (spec.service !== undefined) return resolveService(snapshot, backend, spec.service);
  const { endpoints, issues } = resolveContacts(snapshot, backend);
  return { endpoints: sortEndpoints(endpoints), issues };
}

function resolveAddress(snapshot: Snapshot, backend: PbxBackend, address: string): EndpointResolution {
  const ref = refOf(backend);
  const path = "spec.address";
  const { transport } = backend.spec;
  const port = backendPort(backend.spec);
  const sendTo = (ips: readonly string[]): readonly Endpoint[] =>
    sortEndpoints(ips.map((ip) => ({ host: canonicalIp(ip), port, transport, ready: true })));
  if (isIP(address) !== 0) {
    if (isHostAddress(address)) return { endpoints: sendTo([address]), issues: [] };
    const message = `${address} is the address of no single host: give the PBX's own address.`;
    return { endpoints: [], issues: [wrong(ref, path, "Invalid", message)] };
  }
  const found = snapshot.names.get(address.toLowerCase());
  const ips = found !== undefined && "addresses" in found ? found.addresses.filter(isHostAddress) : [];
  if (ips.length > 0) return { endpoints: sendTo(ips), issues: [] };
  const why =
    found === undefined
      ? `${NOT_LOOKED_UP}: wait, or give an IP address`
      : `does not resolve (${"error" in found ? quote(found.error) : "no usable address"}): correct the name or its DNS record, or give an IP address`;
  return { endpoints: [], issues: [unresolved(ref, path, "NameNotResolved", `the name ${quote(address)} ${why}.`)] };
}

const protocolOf = (transport: Transport): string => (transport === "UDP" ? "UDP" : "TCP");

function resolveService(
  snapshot: Snapshot,
  backend: PbxBackend,
  wanted: NonNullable<PbxBackendSpec["service"]>,
): EndpointResolution {
  const ref = refOf(backend);
  const { namespace } = backend.metadata;
  const index = indexOf(snapshot);
  const key = `${namespace}/${wanted.name}`;
  const service = index.services.get(key);
  if (service === undefined) {
    const message = `Service ${key} does not exist: create it, or correct the name (it must be in the namespace of the PbxBackend).`;
    return { endpoints: [], issues: [unresolved(ref, "spec.service.name", "ServiceNotFound", message)] };
  }
  const read = readService(service);
  if (typeof read === "string")
    return { endpoints: [], issues: [unresolved(ref, "spec.service", "ServiceInvalid", read)] };
  const spec = read.spec ?? {};
  const { transport } = backend.spec;
  const port = choosePort(spec.ports ?? [], wanted.port, transport, key);
  if (typeof port === "string")
    return { endpoints: [], issues: [unresolved(ref, "spec.service.port", "NoEndpoints", port)] };
  const slices = (index.slices.get(key) ?? []).map((slice) => readSlice(slice));
  const faults = slices.filter((slice) => typeof slice === "string");
  const issues = faults.map((fault) => unresolved(ref, "spec.service", "ServiceInvalid", fault));
  const endpoints = slices
    .filter((slice) => typeof slice !== "string")
    .filter((slice) => slice.addressType === (spec.ipFamilies?.[0] ?? "IPv4"))
    .flatMap((slice) => endpointsOf(slice, port, transport));
  // A pod that moves between slices is in both for a moment: the ready one counts.
  const unique = new Map<string, Endpoint>();
  for (const endpoint of endpoints.toSorted((a, b) => Number(a.ready) - Number(b.ready)))
    unique.set(`${endpoint.host} ${endpoint.port}`, endpoint);
  const sorted = sortEndpoints([...unique.values()]);
  if (sorted.some((endpoint) => endpoint.ready)) return { endpoints: sorted, issues };
  const message = `Service ${key} has no ready endpoint for port ${port.name || port.port} (${protocolOf(transport)}): start its pods, and look at their readiness.`;
  return { endpoints: sorted, issues: [...issues, unresolved(ref, "spec.service", "NoEndpoints", message)] };
}

/** The Service port meant, or why there is none. */
function choosePort(
  ports: readonly ServicePort[],
  wanted: string | number | undefined,
  transport: Transport,
  service: string,
): ServicePort | string {
  const protocol = protocolOf(transport);
  const usable = ports.filter((port) => (port.protocol ?? "TCP") === protocol);
  const known = ports.map(
    (port) =>
      `${port.name === undefined || port.name === null ? "" : `${port.name} `}${port.port}/${port.protocol ?? "TCP"}`,
  );
  const has = `it has ${known.length === 0 ? "none" : known.join(", ")}`;
  if (wanted === undefined) {
    const [only, ...others] = usable;
    if (only !== undefined && others.length === 0) return only;
    if (only === undefined)
      return `Service ${service} has no ${protocol} port (${has}): add one, or correct spec.transport.`;
    return `Service ${service} has several ${protocol} ports (${has}): say which one in spec.service.port.`;
  }
  const found = usable.find((port) => (typeof wanted === "number" ? port.port === wanted : port.name === wanted));
  return (
    found ??
    `Service ${service} has no ${protocol} port ${wanted} (${has}): correct spec.service.port or spec.transport.`
  );
}

/** `serving` is what `ready` would be if the pod did not end. */
function stateOf({ conditions }: NonNullable<Slice["endpoints"]>[number]): Pick<Endpoint, "ready" | "serving"> {
  const { ready, serving, terminating } = conditions ?? {};
  const ends = terminating ?? false;
  return { ready: (ready ?? true) && !ends, ...(ends && serving === true ? { serving } : {}) };
}

function endpointsOf(slice: Slice, port: ServicePort, transport: Transport): readonly Endpoint[] {
  const numbers = (slice.ports ?? [])
    .filter((one) => (one.name ?? "") === (port.name ?? "") && (one.protocol ?? "TCP") === protocolOf(transport))
    .flatMap((one) => (typeof one.port === "number" ? [one.port] : []));
  return (slice.endpoints ?? []).flatMap((endpoint) =>
    (endpoint.addresses ?? [])
      .filter((ip) => isIP(ip) !== 0)
      .flatMap((ip) =>
        numbers.map((number) => ({ host: canonicalIp(ip), port: number, transport, ...stateOf(endpoint) })),
      ),
  );
}

function sortEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const unique = new Map(endpoints.map((endpoint) => [`${endpoint.host} ${endpoint.port}`, endpoint]));
  return [...unique.values()].toSorted((a, b) => compare(a.host, b.host) || a.port - b.port);
}
