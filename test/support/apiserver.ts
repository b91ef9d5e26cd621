/**
 * A real etcd, kube-apiserver and kube-controller-manager on 127.0.0.1, with random free ports, RBAC on, and a folder of
 * its own under the system's temporary folder. There is no scheduler and no kubelet: who runs pods binds them itself.
 *
 *   const server = await startApiServer({ crds: true });        // in beforeAll
 *   await server.kubectl(["apply", "-f", "-"], { input: yaml });
 *   const api = server.kubeConfig.makeApiClient(CustomObjectsApi);
 *   await server.stop();                                          // in afterAll
 *
 * `stopApiServer()` is an outage (etcd and the controllers stay), `startApiServer()` its end on the same port and with the
 * same data, `restartApiServer()` both. All processes are gone after `stop()`, and also when the test process dies.
 * The programs come from `$KUBEBUILDER_ASSETS` or a cache (see hack/kube-assets).
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { KubeConfig } from "@kubernetes/client-node";
import { locateAssets } from "../../hack/kube-assets/locate.ts";
import { type Daemon, freePorts, startDaemon, startWatchdog, waitFor } from "./apiserver/daemon.ts";
import { makePki } from "./apiserver/pki.ts";

const CRDS = fileURLToPath(new URL("../../crds/", import.meta.url));

export interface ApiServerOptions {
  /** install crds/ and wait until they are established (default false) */
  readonly crds?: boolean;
  /** run kube-controller-manager (default true) */
  readonly controllers?: boolean;
  /** log every request (verb, user, resource, answer): `auditLog()` */
  readonly audit?: boolean;
  /** more arguments of kube-apiserver */
  readonly apiServerArgs?: readonly string[];
}

/** One request, as the API server's audit log has it. */
export interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly requestURI: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
}

export interface KubectlResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestApiServer {
  readonly url: string;
  /** system:masters */
  readonly kubeconfigPath: string;
  readonly kubeConfig: KubeConfig;
  /** folder with kubectl and the other programs */
  readonly assets: string;
  /** throws on a non-zero exit code unless `allowFailure` */
  kubectl(args: string[], options?: { input?: string; allowFailure?: boolean }): Promise<KubectlResult>;
  installCrds(): Promise<void>;
  /** a kubeconfig file with a token of this ServiceAccount (which must exist): what RBAC grants it, and no more */
  serviceAccountKubeconfig(namespace: string, name: string): Promise<string>;
  /** with the option `audit`: requests that were answered so far */
  auditLog(): AuditEvent[];
  stopApiServer(): Promise<void>;
  startApiServer(): Promise<void>;
  restartApiServer(): Promise<void>;
  stop(): Promise<void>;
}

/** What the operator's objects need: no scheduler, no node lifecycle, no cloud. */
const CONTROLLERS = [
  "deployment-controller",
  "replicaset-controller",
  "endpoints-controller",
  "endpointslice-controller",
  "garbage-collector-controller",
  "disruption-controller",
  "namespace-controller",
  "clusterrole-aggregation-controller",
  "serviceaccount-controller",
  "serviceaccount-token-controller",
  "root-ca-certificate-publisher-controller",
  "service-cidr-controller",
];

function writeKubeconfig(file: string, url: string, ca: string, token: string): void {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "test", cluster: { server: url, "certificate-authority-data": readFileSync(ca).toString("base64") } },
    ],
    users: [{ name: "user", user: { token } }],
    contexts: [{ name: "test", context: { cluster: "test", user: "user", namespace: "default" } }],
    "current-context": "test",
  };
  writeFileSync(file, JSON.stringify(config, null, 2), { mode: 0o600 });
}

/** One line for each answer, without bodies; a watch is answered when it begins. */
function auditArgs(folder: string): string[] {
  const policy = {
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived"],
    rules: [{ level: "Metadata" }],
  };
  writeFileSync(path.join(folder, "audit-policy.yaml"), JSON.stringify(policy));
  return [
    `--audit-policy-file=${path.join(folder, "audit-policy.yaml")}`,
    `--audit-log-path=${path.join(folder, "audit.log")}`,
  ];
}

function readAuditLog(folder: string): AuditEvent[] {
  const lines = readFileSync(path.join(folder, "audit.log"), "utf8").split("\n");
  // the last one may be half written
  return lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent);
}

function findAssets(): string {
  const assets = locateAssets(process.env);
  if (!assets)
    throw new Error(
      "kube-apiserver, etcd, kube-controller-manager and kubectl were not found: run `node hack/kube-assets/main.ts` once",
    );
  return assets;
}

export async function startApiServer(options: ApiServerOptions = {}): Promise<TestApiServer> {
  const assets = findAssets();
  const folder = mkdtempSync(path.join(tmpdir(), "apiserver-"));
  const watchdog = startWatchdog(folder);
  const at = (file: string): string => path.join(folder, file);
  const program = (name: string, args: string[]): Daemon =>
    startDaemon(path.join(assets, name), args, { logFolder: folder, watchdog });

  const [clientPort, peerPort, apiPort, controllerPort] = (await freePorts(4)) as [number, number, number, number];
  const pki = await makePki(folder);
  const url = `https://127.0.0.1:${apiPort}`;
  const tokens = { admin: randomBytes(24).toString("hex"), controllers: randomBytes(24).toString("hex") };
  writeFileSync(
    at("tokens.csv"),
    `${tokens.admin},admin,admin,"system:masters"\n${tokens.controllers},system:kube-controller-manager,kcm,""\n`,
    { mode: 0o600 },
  );
  const kubeconfigPath = at("kubeconfig");
  writeKubeconfig(kubeconfigPath, url, pki.ca, tokens.admin);
  writeKubeconfig(at("kcm.kubeconfig"), url, pki.ca, tokens.controllers);
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(kubeconfigPath);

  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const etcd = program("etcd", [
    "--name=test",
    `--data-dir=${at("etcd")}`,
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
    `--initial-cluster=test=http://127.0.0.1:${peerPort}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
  ]);
  let apiServer: Daemon | undefined;
  let controllers: Daemon | undefined;
  let stopping = false;

  const kubectl: TestApiServer["kubectl"] = async (args, { input, allowFailure } = {}) =>
    new Promise((resolve, reject) => {
      const child = execFile(
        path.join(assets, "kubectl"),
        [`--kubeconfig=${kubeconfigPath}`, ...args],
        { maxBuffer: 1 << 28, env: { ...process.env, HOME: folder } },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === "number" ? error.code : 1) : 0;
          if (code === 0 || allowFailure) resolve({ code, stdout, stderr });
          else reject(new Error(`kubectl ${args.join(" ")}: exit code ${code}\n${stderr || error?.message}`));
        },
      );
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(input ?? "");
    });

  const startControllers = (): void => {
    controllers = program("kube-controller-manager", [
      `--kubeconfig=${at("kcm.kubeconfig")}`,
      `--authentication-kubeconfig=${at("kcm.kubeconfig")}`,
      `--authorization-kubeconfig=${at("kcm.kubeconfig")}`,
      `--root-ca-file=${pki.ca}`,
      `--service-account-private-key-file=${pki.serviceAccountKey}`,
      "--use-service-account-credentials=true",
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--secure-port=${controllerPort}`,
      `--cert-dir=${at("kcm-certs")}`,
      `--controllers=${CONTROLLERS.join(",")}`,
      "--kube-api-qps=200",
      "--kube-api-burst=400",
      "--min-resync-period=1h",
      "--concurrent-gc-syncs=5",
      "--concurrent-deployment-syncs=2",
    ]);
    // it gives up when the API server is away for long: start it again, as an init system would
    const started = controllers;
    started.onExit(() => {
      if (!stopping && controllers === started) setTimeout(() => !stopping && startControllers(), 500).unref();
    });
  };

  const audit = options.audit ? auditArgs(folder) : [];
  const startApi = async (): Promise<void> => {
    apiServer = program("kube-apiserver", [
      `--etcd-servers=${etcdUrl}`,
      "--bind-address=127.0.0.1",
      "--advertise-address=127.0.0.1",
      `--secure-port=${apiPort}`,
      `--cert-dir=${at("api-certs")}`,
      `--tls-cert-file=${pki.servingCert}`,
      `--tls-private-key-file=${pki.servingKey}`,
      `--token-auth-file=${at("tokens.csv")}`,
      "--authorization-mode=RBAC",
      "--service-cluster-ip-range=10.96.0.0/16",
      `--service-account-key-file=${pki.serviceAccountPublicKey}`,
      `--service-account-signing-key-file=${pki.serviceAccountKey}`,
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      "--endpoint-reconciler-type=none",
      "--allow-privileged=true",
      "--enable-priority-and-fairness=false",
      "--watch-cache=true",
      "--profiling=false",
      ...audit,
      ...(options.apiServerArgs ?? []),
    ]);
    const running = [etcd, apiServer];
    const ready = async (): Promise<boolean> => (await kubectl(["get", "--raw=/readyz"])).stdout === "ok";
    await waitFor("kube-apiserver", running, ready);
  };
  const stopApi = async (): Promise<void> => {
    await apiServer?.kill();
    apiServer = undefined;
  };

  const installCrds = async (): Promise<void> => {
    await kubectl(["apply", "--server-side", "-f", CRDS]);
    await kubectl(["wait", "--for=condition=Established", "--timeout=60s", "-f", CRDS]);
    // established in the storage is not yet served by discovery: wait for that too
    await waitFor("custom resources served", [etcd], async () => {
      await kubectl(["get", "siprouters.siprouter.dev,pbxbackends.siprouter.dev", "-A"]);
      return true;
    });
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    await Promise.all([controllers?.kill(), apiServer?.kill(), etcd.kill()]);
    await watchdog.end();
  };

  const serviceAccountKubeconfig = async (namespace: string, name: string): Promise<string> => {
    const { stdout } = await kubectl(["-n", namespace, "create", "token", name, "--duration=24h"]);
    const file = at(`serviceaccount-${namespace}-${name}.kubeconfig`);
    writeKubeconfig(file, url, pki.ca, stdout.trim());
    return file;
  };

  try {
    await startApi();
    if (options.controllers ?? true) {
      startControllers();
      // pods need it: the admission of a pod fails without its namespace's service account
      await waitFor("service account default/default", [etcd], async () => {
        await kubectl(["-n", "default", "get", "serviceaccount", "default"]);
        return true;
      });
    }
    if (options.crds) await installCrds();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    kubeconfigPath,
    kubeConfig,
    assets,
    kubectl,
    installCrds,
    serviceAccountKubeconfig,
    auditLog: () => readAuditLog(folder),
    stopApiServer: stopApi,
    startApiServer: startApi,
    restartApiServer: async () => {
      await stopApi();
      await startApi();
    },
    stop,
  };
}
