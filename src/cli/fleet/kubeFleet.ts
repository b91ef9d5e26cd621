/** A fleet in a cluster, read with the rights of the kubeconfig's user. */
import type { KubeConfig } from "@kubernetes/client-node";
import { compare, CONTROL_PORT, type PbxBackend, type RawObject, type SipRouter } from "../../api/index.ts";
import { OperatorError } from "../../errors.ts";
import { createControl } from "../../kamailio/control.ts";
import type { ControlAddress } from "../../kamailio/types.ts";
import { createConnection, type Connection, type Query } from "../../kube/connection.ts";
import { ApiError, isStatus } from "../../kube/failure.ts";
import { kindInfo, pathOf } from "../../kube/kinds.ts";
import { podView } from "../../kube/views.ts";
import { reloadRequest, type Fleet, type FleetPod } from "./index.ts";
import { kubeEvidence } from "./kubeEvidence.ts";
import { notUnderstood } from "./labelSelector.ts";
import { openForward, type Forward } from "./portForward.ts";
import { controlName, dataName, podSelector } from "../../render/objects/names.ts";

export interface KubeFleetOptions {
  readonly kubeConfig: KubeConfig;
  /** undefined: all */
  readonly namespace: string | undefined;
  /** label selector for routers, as kubectl takes it */
  readonly selector: string | undefined;
  /** to the pods' own addresses instead of through the API server: only where nobody else can have these addresses */
  readonly direct: boolean;
  /** of one control request, milliseconds */
  readonly timeoutMs: number;
}

interface List {
  readonly metadata?: { readonly continue?: string };
  readonly items?: readonly RawObject[];
}

const PAGE = 500;

export function createKubeFleet(options: KubeFleetOptions): Fleet {
  const connection = createConnection(options.kubeConfig, { timeoutMs: 15_000, userAgent: "kubectl-sip" });
  const control = createControl({ timeoutMs: options.timeoutMs });
  /** by router, then by pod */
  const forwards = new Map<string, Map<string, Promise<Forward>>>();
  const tokens = new Map<string, Promise<string>>();

  const list = async (kind: string, namespace: string | undefined, query: Query): Promise<RawObject[]> => {
    const info = kindInfo(kind);
    const found: RawObject[] = [];
    let next: string | undefined;
    do {
      const page = (await request(connection, "GET", pathOf(info, namespace), {
        query: { limit: PAGE, continue: next, ...query },
      })) as List;
      const apiVersion = info.group === "" ? info.version : `${info.group}/${info.version}`;
      found.push(...(page.items ?? []).map((item) => ({ ...item, kind, apiVersion })));
      next = page.metadata?.continue;
    } while (next);
    return found.toSorted((a, b) =>
      compare(`${a.metadata.namespace}/${a.metadata.name}`, `${b.metadata.namespace}/${b.metadata.name}`),
    );
  };

  const token = (pod: FleetPod): Promise<string> => {
    const key = routerOf(pod);
    const known = tokens.get(key);
    if (known !== undefined) return known;
    const path = pathOf(kindInfo("Secret"), pod.namespace, controlName(pod.router));
    const reading = request(connection, "GET", path).then((secret) => {
      const value = (secret as { data?: Record<string, string> }).data?.["token"];
      if (value !== undefined) return Buffer.from(value, "base64").toString("utf8");
      throw new OperatorError("SIPR_API", `Secret ${pod.namespace}/${controlName(pod.router)} has no token.`, {
        remedy: "Delete it: the operator makes a new one, and the pods are restarted with it.",
      });
    });
    tokens.set(key, reading);
    reading.catch(() => tokens.delete(key));
    return reading;
  };

  const forwardTo = (pod: FleetPod): Promise<Forward> => {
    const key = routerOf(pod);
    const known = forwards.get(key) ?? new Map<string, Promise<Forward>>();
    forwards.set(key, known);
    const opening =
      known.get(pod.name) ??
      openForward(options.kubeConfig, { namespace: pod.namespace, name: pod.name, port: CONTROL_PORT });
    known.set(pod.name, opening);
    return opening;
  };
  const closeGone = (router: string, there: readonly string[]): void => {
    for (const [name, forward] of forwards.get(router) ?? []) {
      if (there.includes(name)) continue;
      forwards.get(router)?.delete(name);
      void forward.then((one) => one.close()).catch(() => undefined);
    }
  };

  const addressOf = async (pod: FleetPod): Promise<{ address: ControlAddress; forward?: Forward }> => {
    if (options.direct) return { address: { host: pod.ip, port: CONTROL_PORT, token: await token(pod) } };
    const forward = await forwardTo(pod);
    return { address: { host: forward.host, port: forward.port, token: await token(pod) }, forward };
  };

  const patch = (kind: string, object: RawObject, body: object): Promise<unknown> => {
    const path = pathOf(kindInfo(kind), object.metadata.namespace, object.metadata.name);
    return request(connection, "PATCH", path, { body, contentType: "application/merge-patch+json" });
  };

  return {
    source: `${options.namespace === undefined ? "all namespaces" : `namespace ${options.namespace}`} of ${connection.server}`,
    routers: () =>
      list("SipRouter", options.namespace, { labelSelector: options.selector }).catch((error: unknown) => {
        if (options.selector === undefined || !isStatus(error, 400)) throw error;
        throw notUnderstood(options.selector);
      }) as Promise<SipRouter[]>,
    backends: () => list("PbxBackend", options.namespace, {}) as Promise<PbxBackend[]>,
    async pods(router) {
      const labelSelector = Object.entries(podSelector(router.metadata.name))
        .map(([key, value]) => `${key}=${value}`)
        .join(",");
      const pods = await list("Pod", router.metadata.namespace, { labelSelector });
      // an evicted pod stays as an object; another one has its place
      const there = pods.filter((pod) => !ended.has(phaseOf(pod)));
      closeGone(
        `${router.metadata.namespace}/${router.metadata.name}`,
        there.map((pod) => pod.metadata.name),
      );
      return there.map((pod) => {
        const { namespace, name, ip, ready, running, terminating, message } = podView(pod);
        const pending = phaseOf(pod) === "Pending";
        return { namespace, router: router.metadata.name, name, ip, ready, running, pending, terminating, message };
      });
    },
    async rpc(pod, method, params = [], workMs = 0) {
      for (let attempt = 1; ; attempt += 1) {
        const { address, forward } = await addressOf(pod);
        try {
          return await control.call(address, method, params, workMs);
        } catch (error) {
          if (!isRefused(error) || attempt > 1) throw explain(error, pod, forward?.failure() ?? "", options.direct);
          // the token is another one since it was read
          tokens.delete(routerOf(pod));
        }
      }
    },
    async desired(router) {
      const path = pathOf(kindInfo("ConfigMap"), router.metadata.namespace, dataName(router.metadata.name));
      try {
        return ((await request(connection, "GET", path)) as { data?: Record<string, string> }).data;
      } catch (error) {
        if (isStatus(error, 404)) return undefined;
        throw error;
      }
    },
    setAdminState: (backend, adminState) =>
      patch("PbxBackend", backend, { spec: { adminState } }) as Promise<PbxBackend>,
    requestReload: (router, now) =>
      patch("SipRouter", router, { metadata: { annotations: { [reloadRequest]: now } } }) as Promise<SipRouter>,
    ...kubeEvidence({ list, get: (path, query) => request(connection, "GET", path, { query }) }),
    close() {
      control.close();
      connection.close();
      for (const router of forwards.keys()) closeGone(router, []);
    },
  };
}

const ended = new Set(["Failed", "Succeeded"]);
const phaseOf = (pod: RawObject): string => (pod.status as { phase?: string } | undefined)?.phase ?? "";
const routerOf = (pod: FleetPod): string => `${pod.namespace}/${pod.router}`;
const isRefused = (error: unknown): boolean =>
  error instanceof OperatorError && error.code === "SIPR_RPC_FAULT" && error.message.includes("HTTP 401");

/** Requests of a person: the remedies of the operator's own requests do not fit. */
async function request(
  connection: Connection,
  method: string,
  path: string,
  settings?: Parameters<Connection["request"]>[2],
): Promise<unknown> {
  try {
    return await connection.request(method, path, settings);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const remedy = remedyFor(error);
    throw remedy === undefined
      ? error
      : new ApiError(error.code, error.message, { status: error.status, reason: error.reason, remedy, cause: error });
  }
}

function remedyFor(error: ApiError): string | undefined {
  const secret = /secrets (\S+-control) in namespace (\S+?):/.exec(error.message);
  if (error.code === "SIPR_FORBIDDEN" && secret !== null)
    return `To ask the pods you need their token: kubectl -n ${secret[2]} create role ${secret[1]} --verb=get --resource=secrets --resource-name=${secret[1]}, and a rolebinding of it to you.`;
  if (error.code === "SIPR_FORBIDDEN" && error.message.includes(" in all namespaces: "))
    return "Name a namespace with -n instead of -A, or ask an administrator for the ClusterRole sip-viewer (to look) or sip-operator (to act) in all of them: kubectl create clusterrolebinding NAME --clusterrole=sip-viewer --user=YOU";
  if (error.code === "SIPR_FORBIDDEN")
    return "Ask an administrator for the ClusterRole sip-viewer (to look) or sip-operator (to act) in this namespace: kubectl create rolebinding NAME --clusterrole=sip-viewer --user=YOU";
  if (error.status === 0)
    return "Check that the cluster is reachable: kubectl version; choose another with --context or --kubeconfig.";
  if (error.status === 404 && error.code === "SIPR_API") return "Check the name and the namespace (-n).";
  return error.code === "SIPR_API" && error.status !== 401
    ? "Try again; if this stays, look at the object named."
    : undefined;
}

function explain(error: unknown, pod: FleetPod, failure: string, direct: boolean): unknown {
  if (!(error instanceof OperatorError) || error.code !== "SIPR_RPC_UNREACHABLE") return error;
  if (direct)
    return new OperatorError(
      error.code,
      `the control port of ${pod.name} (${pod.ip}) does not answer: ${error.message}`,
      {
        remedy: "Leave --direct out unless this host is in the pods' network.",
        cause: error,
      },
    );
  const why = failure === "" ? error.message : failure;
  return new OperatorError(
    error.code,
    `the control port of ${pod.name} does not answer through the API server: ${why}`,
    {
      remedy: /403|forbidden/i.test(why)
        ? "The right to create pods/portforward is missing: ask for the ClusterRole sip-operator."
        : `Look at the pod: kubectl -n ${pod.namespace} describe pod ${pod.name}`,
      cause: error,
    },
  );
}
