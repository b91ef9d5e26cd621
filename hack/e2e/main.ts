/**
 * The samples on a real cluster: the one that KUBECONFIG names (kind, or any other whose pods this machine reaches).
 * The operator runs here, outside the cluster; Kamailio runs in pods, the PBXes are SIPp on this machine.
 *
 *   E2E_KAMAILIO_IMAGE  image of the Kamailio pods (with bash, for the call from a pod)
 *   E2E_HOST            this machine's address as pods reach it; default: the local address of the way to the node
 *
 * Everything happens in a namespace of its own, which is deleted at the end. Exit code 0 only if every row is right.
 */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAll } from "js-yaml";
import type { PbxBackend, RawObject, SipRouter, SipRouterStatus } from "../../src/api/index.ts";
import { startCalls, startPbx } from "../../test/integration/kube/calls.ts";
import { stop, stopAll } from "../demo/processes.ts";
import { Kubectl, until } from "./kubectl.ts";

const root = join(import.meta.dirname, "../..");
const image = process.env["E2E_KAMAILIO_IMAGE"];
const folder = mkdtempSync(join(tmpdir(), "e2e-"));
const kube = new Kubectl(`sip-e2e-${process.pid}`);
const began = performance.now();
const say = (line: string): void =>
  console.log(`[${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s] ${line}`);

interface Row {
  readonly what: string;
  readonly wanted: string;
  readonly got: string;
}
const rows: Row[] = [];
const check = (what: string, wanted: string, got: string): void => {
  rows.push({ what, wanted, got });
  say(`${got === wanted ? "ok   " : "WRONG"} ${what}: ${got}${got === wanted ? "" : ` (wanted: ${wanted})`}`);
};

/** This machine's address on the way to the node. */
const ownAddress = async (): Promise<string> => {
  if (process.env["E2E_HOST"]) return process.env["E2E_HOST"];
  const [node] = await kube.list("nodes");
  const addresses = (node?.status as { addresses?: { type: string; address: string }[] } | undefined)?.addresses ?? [];
  const target = addresses.find(({ type }) => type === "InternalIP")?.address ?? "127.0.0.1";
  const socket = createSocket("udp4");
  socket.connect(9, target);
  await once(socket, "connect");
  const { address } = socket.address();
  socket.close();
  return address;
};

const samples = (file: string): RawObject[] =>
  loadAll(readFileSync(join(root, `config/samples/${file}.yaml`), "utf8")) as RawObject[];
const backendAt = (name: string, address: string, port: number): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "PbxBackend",
  metadata: { name },
  spec: { address, port },
});

const condition = (object: RawObject, type: string) =>
  (object.status as SipRouterStatus | undefined)?.conditions?.find((one) => one.type === type);
const routerStatus = async (): Promise<SipRouterStatus> =>
  ((await kube.get("siprouter", "edge")).status ?? {}) as SipRouterStatus;
const kamailios = async (): Promise<RawObject[]> =>
  (await kube.list("pods", "siprouter.dev/router=edge")).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
const ipOf = (pod: RawObject): string => (pod.status as { podIP?: string }).podIP ?? "";
const identities = async (): Promise<string> =>
  (await kamailios())
    .map(
      ({ metadata, status }) =>
        `${metadata.uid} ${(status as { containerStatuses: { restartCount: number }[] }).containerStatuses[0]?.restartCount}`,
    )
    .toSorted()
    .join(", ");
const inSync = (count: number) =>
  until(`${count} pods in sync`, async () => {
    const { readyReplicas, pods = [], revision } = await routerStatus();
    return (
      readyReplicas === count &&
      pods.length === count &&
      pods.every((pod) => pod.state === "InSync" && pod.revision === revision)
    );
  });
/** Makes a change and waits until another revision runs in every pod; milliseconds. */
const effectOf = async (change: () => Promise<unknown>): Promise<number> => {
  const before = (await routerStatus()).revision;
  const start = performance.now();
  await change();
  await until("the change has reached every pod", async () => {
    const { revision, pods = [] } = await routerStatus();
    return revision !== before && pods.every((pod) => pod.state === "InSync" && pod.revision === revision);
  });
  return performance.now() - start;
};

let port = 26_000;
const call = async (host: string, number: string, to: string): Promise<string> =>
  (await startCalls({ from: { ip: host, port: (port += 1) }, to: { ip: to, port: 5060 }, number }, folder).done).join();
const throughAll = async (host: string, number: string): Promise<string> => {
  const answers = [];
  for (const pod of await kamailios()) answers.push(await call(host, number, ipOf(pod)));
  return answers.join(", ");
};
const fromPod = async (number: string): Promise<string> =>
  (
    await kube.run(
      ["exec", "-i", "caller", "--", "bash", "-s", "--", "edge", "5060", number],
      readFileSync(join(import.meta.dirname, "call-from-pod.sh"), "utf8"),
    )
  ).trim();

const startOperator = async () => {
  const args = [
    join(root, "src/main.ts"),
    "run",
    "--namespace",
    kube.namespace,
    "--metrics-address",
    "127.0.0.1",
    "--metrics-port",
    "0",
  ];
  const child = spawn(process.execPath, [...args, ...(image ? ["--kamailio-image", image] : [])], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  const log = createWriteStream(join(folder, "operator.log"));
  child.stderr.pipe(log);
  return child;
};

const startPbxes = async (host: string): Promise<{ readonly backends: readonly object[]; readonly spare: object }> => {
  const found = samples("backends") as PbxBackend[];
  const ports = new Map(
    [...found.map(({ metadata }) => metadata.name), "freepbx-3"].map((name, index) => [name, 25_061 + index * 2]),
  );
  for (const [name, at] of ports) await startPbx(name, { ip: host, port: at }, folder);
  const backends = found.map(({ metadata }) => backendAt(metadata.name, host, ports.get(metadata.name) ?? 0));
  return { backends, spare: backendAt("freepbx-3", host, ports.get("freepbx-3") ?? 0) };
};

const callerPod = (): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "caller" },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: "caller", image: image ?? "debian:12-slim", command: ["sleep", "3600"] }],
  },
});

const story = async (host: string): Promise<void> => {
  const { backends, spare } = await startPbxes(host);
  const [router] = samples("router") as SipRouter[];
  if (!router) throw new Error("config/samples has no SipRouter");
  const quick = { ...router, spec: { ...router.spec, drain: { timeoutSeconds: 5 } } };
  await kube.apply(callerPod(), quick, ...backends);
  await until(
    "the router is Ready",
    async () => condition(await kube.get("siprouter", "edge"), "Ready")?.status === "True",
  );
  await inSync(2);
  await kube.run(["wait", "--for=condition=Ready", "pod/caller", "--timeout=60s"]);
  say(`ready: ${(await kube.run(["get", "siprouter", "edge", "--no-headers"])).trim()}`);

  check("1001 through each pod", "200 freepbx-1, 200 freepbx-1", await throughAll(host, "1001"));
  check("2002 through each pod", "200 asterisk-1, 200 asterisk-1", await throughAll(host, "2002"));
  check("3003 from a pod, through the Service", "200 special", await fromPod("3003"));
  check("0044... from a pod: a stranger to the trunks", "403", (await fromPod("00442071234567")).split(" ")[0] ?? "");

  const pods = await identities();
  await kube.apply(spare);
  const added = await effectOf(() =>
    kube.patch("siprouter", "edge", [
      { op: "replace", path: "/spec/dispatcherSets/0/backends/0", value: { name: "freepbx-3" } },
    ]),
  );
  check("1001 after its PBX was exchanged", "200 freepbx-3, 200 freepbx-3", await throughAll(host, "1001"));
  const routed = await effectOf(() =>
    kube.patch("siprouter", "edge", [{ op: "add", path: "/spec/routes/2/match/extensions/-", value: "1500" }]),
  );
  check("1500 after its route was changed", "200 special, 200 special", await throughAll(host, "1500"));
  check("no pod was replaced or restarted", pods, await identities());
  say(
    `until every pod was read back, kubectl and its start included: exchange ${added.toFixed(0)} ms, route ${routed.toFixed(0)} ms`,
  );

  const [victim] = await kamailios();
  await kube.run(["delete", "pod", victim?.metadata.name ?? "", "--wait=false"]);
  await until(
    "another pod",
    async () =>
      (await kamailios()).length === 2 &&
      (await kamailios()).every(({ metadata }) => metadata.uid !== victim?.metadata.uid),
  );
  await inSync(2);
  check("1500 after a pod was deleted", "200 special, 200 special", await throughAll(host, "1500"));
  const [crashed] = await kamailios();
  await kube.run(["exec", crashed?.metadata.name ?? "", "--", "bash", "-c", "kill 1"]);
  await until("it was restarted", async () => !(await identities()).split(", ").every((one) => one.endsWith(" 0")));
  await inSync(2);
  check("1500 after a Kamailio ended", "200 special, 200 special", await throughAll(host, "1500"));

  await kube.run(["delete", "siprouter", "edge"]);
  await kube.run(["delete", "pbxbackends", "--all"]);
  const left = (): Promise<string> =>
    kube.run(["get", "deploy,rs,pods,svc,cm,sa,pdb,secrets", "-l", "siprouter.dev/router", "-o", "name"]);
  await until("everything of the router is gone", async () => (await left()) === "" || undefined);
  check("left after the router was deleted", "", await left());
};

const showTrouble = async (): Promise<void> => {
  const shown = await kube.run(["get", "siprouters,pbxbackends,pods,events", "-o", "wide"]).catch(String);
  const status = JSON.stringify(await routerStatus().catch(String), undefined, 2);
  console.error(
    `${shown}\n${status}\n${readFileSync(join(folder, "operator.log"), "utf8").split("\n").slice(-40).join("\n")}`,
  );
};

await kube.run(["apply", "--server-side", "-f", join(root, "crds")]);
await kube.run(["wait", "--for=condition=Established", "--timeout=60s", "-f", join(root, "crds")]);
await kube.run(["create", "namespace", kube.namespace]);
const operator = await startOperator();
const interrupted = new Promise<never>((_, reject) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => reject(new Error(`interrupted by ${signal}`)));
});
try {
  const host = await ownAddress();
  say(`namespace ${kube.namespace}, PBXes at ${host}, logs in ${folder}`);
  await Promise.race([story(host), interrupted]);
} catch (error) {
  rows.push({ what: String(error), wanted: "", got: "failed" });
  console.error(error);
  await showTrouble();
} finally {
  await stopAll();
  await kube.run(["delete", "namespace", kube.namespace, "--wait=false"]).catch(console.error);
  await stop(operator, 20_000);
}
const wrong = rows.filter(({ wanted, got }) => wanted !== got);
say(`${rows.length - wrong.length} of ${rows.length} right`);
process.exitCode = wrong.length === 0 ? 0 : 1;
