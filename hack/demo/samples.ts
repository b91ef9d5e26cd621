/** The samples of `config/samples`, moved to loopback addresses: ports, sets and routes stay as they are. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dump, loadAll } from "js-yaml";
import type { PbxBackend, RawObject, SipRouter } from "../../src/api/index.ts";
import type { Address } from "./endpoints.ts";

export const NETWORK = "127.50.0";

export interface Samples {
  /** the folder that the router watches */
  readonly folder: string;
  readonly router: SipRouter;
  /** where the router's replicas listen for SIP over UDP */
  readonly replicas: readonly Address[];
  /** backend name -> where it answers */
  readonly backends: ReadonlyMap<string, Address>;
  readonly changed: readonly string[];
}

const group = "siprouter.dev/v1alpha1";

function readSamples(source: string): RawObject[] {
  const files = readdirSync(source).filter((file) => /\.ya?ml$/.test(file) && !file.startsWith("kustomization"));
  return files.toSorted().flatMap((file) => loadAll(readFileSync(join(source, file), "utf8")) as RawObject[]);
}

/** Writes one object into the watched folder, all at once. */
export function writeObject(folder: string, object: RawObject): void {
  const file = join(folder, `${object.kind}-${object.metadata.name}.yaml`.toLowerCase());
  writeFileSync(`${file}.tmp`, dump(object));
  renameSync(`${file}.tmp`, file);
}

export const backendAt = (name: string, at: Address): RawObject => ({
  apiVersion: group,
  kind: "PbxBackend",
  metadata: { name } as RawObject["metadata"],
  spec: { address: at.ip, port: at.port },
});

/** A health check every second, instead of at the samples' own interval: the demo waits for what they find. */
const quickHealthCheck = (router: SipRouter): SipRouter => ({
  ...router,
  spec: { ...router.spec, healthCheck: { ...router.spec.healthCheck, intervalSeconds: 1, timeoutSeconds: 1 } },
});

export function prepareSamples(source: string, folder: string): Samples {
  mkdirSync(folder, { recursive: true });
  const objects = readSamples(source);
  const sample = objects.find((object) => object.kind === "SipRouter") as SipRouter | undefined;
  if (!sample) throw new Error(`${source}: no SipRouter in the samples`);
  const router = quickHealthCheck(sample);
  const backends = new Map<string, Address>();
  for (const object of objects) {
    if (object.kind === "PbxBackend") {
      const { spec, ...rest } = object as PbxBackend;
      const at = { ip: `${NETWORK}.${101 + backends.size}`, port: spec.port ?? 5060 };
      backends.set(object.metadata.name, at);
      writeObject(folder, { ...rest, spec: { ...spec, address: at.ip } });
    } else {
      writeObject(folder, object === sample ? router : object);
    }
  }
  const interval = sample.spec.healthCheck?.intervalSeconds ?? 30;
  const port = router.spec.listeners?.find((listener) => listener.transport === "UDP")?.port ?? 5060;
  const replicas = Array.from({ length: router.spec.replicas ?? 2 }, (_, index) => ({
    ip: `${NETWORK}.${10 + index}`,
    port,
  }));
  const changed = [
    `PBX addresses are ${NETWORK}.101 to .${100 + backends.size}, ports as in the samples`,
    `healthCheck: interval and timeout are 1 second (interval in the samples: ${interval}), so that nobody has to wait`,
  ];
  return { folder, router, replicas, backends, changed };
}

/** Backend names of a set, those of priority 0 first. */
export function membersOf(router: SipRouter, set: string): { first: string[]; backup: string[] } {
  const refs = router.spec.dispatcherSets.find(({ name }) => name === set)?.backends ?? [];
  const names = (wanted: (priority: number) => boolean) =>
    refs.filter(({ priority }) => wanted(priority ?? 0)).map(({ name }) => name);
  return { first: names((priority) => priority === 0), backup: names((priority) => priority > 0) };
}
