/** The examples of `config/examples/`, moved to loopback addresses: ports, transports, sets and routes stay as they are. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { PbxBackend, RawObject, SipRouter } from "../../src/api/index.ts";
import { describeError, isResourceFile, mergeResources, parseResources } from "../../src/standalone/resources.ts";
import type { Endpoint } from "./sip/peer.ts";

const folder = resolve(import.meta.dirname, "../../config/examples");

export const exampleNames: readonly string[] = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted();

/** As a reader of the folder has them. */
export function readExample(name: string): readonly RawObject[] {
  const files = readdirSync(join(folder, name)).filter(isResourceFile).toSorted();
  const { objects, errors } = mergeResources(
    files.map((file) => parseResources(readFileSync(join(folder, name, file), "utf8"), `${name}/${file}`)),
  );
  if (errors.length > 0) throw new Error(errors.map((error) => describeError(error)).join("\n"));
  return objects;
}

export interface LocalExample {
  readonly objects: readonly RawObject[];
  /** backend name -> where it has to answer */
  readonly backends: ReadonlyMap<string, Endpoint>;
  /** addresses of the rtpengines, control port 2223 */
  readonly mediaProxies: readonly string[];
}

/**
 * Backends at `network`.101 and on, in the order of the files; rtpengines at .201 and on. Health checks every second, and a drain that does not wait:
 * a test has to see what they bring about.
 */
export function moveExample(objects: readonly RawObject[], network: string): LocalExample {
  const backends = new Map<string, Endpoint>();
  const mediaProxies: string[] = [];
  const moved = objects.map((object): RawObject => {
    if (object.kind === "PbxBackend") {
      const { spec } = object as PbxBackend;
      const host = `${network}.${101 + backends.size}`;
      backends.set(object.metadata.name, { host, port: spec.port ?? 5060, transport: spec.transport ?? "UDP" });
      return { ...object, spec: { ...spec, address: host } };
    }
    if (object.kind !== "SipRouter") return object;
    const { spec } = object as SipRouter;
    const healthCheck = { ...spec.healthCheck, intervalSeconds: 1, timeoutSeconds: 1 };
    const addresses = (spec.mediaProxy?.rtpengine.addresses ?? []).map((_, at) => `${network}.${201 + at}`);
    mediaProxies.push(...addresses);
    const rtpengine = { addresses: addresses.map((address) => `udp:${address}:2223`) };
    // a name has to resolve where Kamailio runs
    const advertise = spec.advertise === undefined ? {} : { advertise: { address: "localhost" } };
    const mediaProxy = addresses.length === 0 ? {} : { mediaProxy: { rtpengine } };
    return { ...object, spec: { ...spec, ...advertise, ...mediaProxy, healthCheck, drain: { timeoutSeconds: 0 } } };
  });
  return { objects: moved, backends, mediaProxies };
}
