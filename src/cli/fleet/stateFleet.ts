/**
 * The fleet of a standalone, read from its state folder (laid out by `src/standalone/localCluster.ts` and `podFolder.ts` of its
 * runner) with the rights of the folder's owner.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { CORE_SCHEMA, load } from "js-yaml";
import { CONTROL_PORT, keyOf, type PbxBackend, type RawObject, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { createControl } from "../../kamailio/control.ts";
import { labels } from "../../render/layout.ts";
import { controlName, dataName } from "../../render/objects/names.ts";
import { maskText, objectEvidence } from "../views/evidence.ts";
import type { Evidence, Fleet, FleetPod } from "./index.ts";
import { parseSelector } from "./labelSelector.ts";

export interface StateFleetOptions {
  readonly state: string;
  /** undefined: all */
  readonly namespace: string | undefined;
  readonly selector: string | undefined;
  /** of one control request, milliseconds */
  readonly timeoutMs: number;
  /** what the user has to know of all answers */
  warn(text: string): void;
}

/** What `pods/<namespace>/<name>/pod.json` holds, as far as it matters here. */
interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
}

const isCode = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && "code" in error && codes.includes(String(error.code));

/** undefined when it is not there; throws OperatorError when it may not be read. */
async function ifThere<Value>(path: string, reading: Promise<Value>): Promise<Value | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return undefined;
    if (isCode(error, "EACCES", "EPERM"))
      throw new OperatorError("SIPR_USAGE", `${path} may not be read.`, {
        remedy: "Run this as the user of the standalone.",
        cause: error,
      });
    throw error;
  }
}
const readIfThere = (file: string): Promise<string | undefined> => ifThere(file, readFile(file, "utf8"));
const namesIn = async (folder: string): Promise<string[]> => (await ifThere(folder, readdir(folder))) ?? [];

/** By its lock, which names its process. */
async function isRun(state: string): Promise<boolean> {
  const holder = /"pid":\s*([0-9]+)/.exec((await readIfThere(join(state, "lock"))) ?? "");
  return holder !== null && (await ifThere("", stat(`/proc/${holder[1]}`))) !== undefined;
}

/** HTTP status of GET on the control port; 0 without an answer. */
const probe = (ip: string, path: string, timeoutMs: number): Promise<number> =>
  new Promise((resolve) => {
    const sent = request({ host: ip, port: CONTROL_PORT, path, timeout: timeoutMs, agent: false }, (reply) => {
      reply.resume();
      resolve(reply.statusCode ?? 0);
    });
    sent.once("timeout", () => sent.destroy());
    sent.once("error", () => resolve(0));
    sent.end();
  });

export async function createStateFleet(options: StateFleetOptions): Promise<Fleet> {
  const { state } = options;
  const there = await ifThere(state, stat(join(state, "status")));
  if (there === undefined)
    throw new OperatorError("SIPR_USAGE", `${state} is not the state folder of a standalone.`, {
      remedy: "Give the folder that sip-router-operator standalone was started with: --state DIR.",
    });
  if (!(await isRun(state)))
    options.warn(`no standalone runs with ${state}: its resources and their status are those of its last run`);
  const control = createControl({ timeoutMs: options.timeoutMs });
  const wanted = options.selector === undefined ? () => true : parseSelector(options.selector);

  const read = async (kind: string): Promise<RawObject[]> => {
    const namespaces = options.namespace === undefined ? await namesIn(join(state, "status")) : [options.namespace];
    const objects: RawObject[] = [];
    for (const namespace of namespaces.toSorted()) {
      const folder = join(state, "status", namespace, kind);
      for (const file of (await namesIn(folder)).filter((name) => name.endsWith(".yaml")).toSorted()) {
        const text = await readIfThere(join(folder, file));
        if (text !== undefined) objects.push(load(text, { schema: CORE_SCHEMA }) as RawObject);
      }
    }
    return objects;
  };

  const owned = async (kind: string, namespace: string, name: string): Promise<RawObject | undefined> => {
    const text = await readIfThere(join(state, "objects", namespace, kind, `${name}.json`));
    return text === undefined ? undefined : (JSON.parse(text) as RawObject);
  };

  const podFolders = async (router: SipRouter): Promise<{ record: PodRecord; folder: string }[]> => {
    const base = join(state, "pods", router.metadata.namespace);
    const pods: { record: PodRecord; folder: string }[] = [];
    for (const name of (await namesIn(base)).toSorted()) {
      const text = await readIfThere(join(base, name, "pod.json"));
      const record = text === undefined ? undefined : (JSON.parse(text) as PodRecord);
      if (record?.labels[labels.router] === router.metadata.name) pods.push({ record, folder: join(base, name) });
    }
    return pods;
  };

  const describe = async (router: SipRouter, record: PodRecord, folder: string): Promise<FleetPod> => {
    const { namespace, name, ip } = record;
    const running = (await readIfThere(join(folder, "process.json"))) !== undefined;
    const terminating = (await readIfThere(join(folder, "terminating"))) !== undefined;
    const answer = running ? await probe(ip, "/readyz", 1000) : 0;
    const silent = "its control port does not answer";
    const message = !running
      ? "its process does not run"
      : answer === 0
        ? silent
        : answer === 200
          ? ""
          : `not ready: HTTP ${answer}`;
    return { namespace, router: router.metadata.name, name, ip, ready: answer === 200, running, terminating, message };
  };

  const cannotWrite = (what: string, remedy: string): OperatorError =>
    new OperatorError(
      "SIPR_USAGE",
      `${what}: a standalone takes its resources from your files, and nothing else changes them.`,
      { remedy },
    );

  return {
    source: `standalone ${state}`,
    routers: async () =>
      (await read("SipRouter")).filter((object) => wanted(object.metadata.labels ?? {})) as SipRouter[],
    backends: async () => (await read("PbxBackend")) as PbxBackend[],
    pods: async (router) =>
      Promise.all((await podFolders(router)).map(({ record, folder }) => describe(router, record, folder))),
    async rpc(pod, method, params = [], workMs = 0) {
      const secret = await owned("Secret", pod.namespace, controlName(pod.router));
      const token = (secret?.["data"] as Record<string, string> | undefined)?.["token"];
      if (token === undefined)
        throw new OperatorError(
          "SIPR_RPC_UNREACHABLE",
          `The token of SipRouter ${pod.namespace}/${pod.router} is not in ${state}.`,
          {
            remedy: "Wait until the standalone has started, or name its state folder.",
          },
        );
      const address = { host: pod.ip, port: CONTROL_PORT, token: Buffer.from(token, "base64").toString("utf8") };
      return control.call(address, method, params, workMs);
    },
    async desired(router) {
      const map = await owned("ConfigMap", router.metadata.namespace, dataName(router.metadata.name));
      return map?.["data"] as Record<string, string> | undefined;
    },
    async setAdminState(backend, adminState) {
      const remedy = `Set spec.adminState: ${adminState} in the file that defines PbxBackend ${keyOf(backend)}; it takes effect as soon as the file is saved.`;
      throw cannotWrite(`PbxBackend ${keyOf(backend)} was not changed`, remedy);
    },
    // a standalone reads back every pod all the time: there is nothing to ask for
    requestReload: async () => undefined,
    async evidence(router) {
      const { namespace, name } = router.metadata;
      const folder = join(state, "objects", namespace);
      const objects: Evidence[] = [];
      for (const kind of (await namesIn(folder)).filter((one) => one !== "Secret").toSorted())
        for (const file of (await namesIn(join(folder, kind))).toSorted()) {
          const object = await owned(kind, namespace, file.replace(/\.json$/, ""));
          if (object?.metadata.labels?.[labels.router] === name) objects.push(objectEvidence(object));
        }
      const logs = (await podFolders(router)).map(async ({ record, folder: pod }): Promise<Evidence> => {
        const text = (await readIfThere(join(pod, "log"))) ?? "";
        return { name: `logs/${record.name}.log`, content: maskText(text.split("\n").slice(-500).join("\n")) };
      });
      return [...objects, ...(await Promise.all(logs))];
    },
    // a standalone writes to its own standard output
    operatorEvidence: async () => [],
    close: () => control.close(),
  };
}
