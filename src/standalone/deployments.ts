/**
 * Deployments as local processes: each replica is a pod of the process runner with an address of the pool. A change of
 * the pod template rolls, a change of `replicas` starts or drains.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Key, RawObject } from "../api/index.ts";
import type { PodView, WorkloadView } from "../cluster/index.ts";
import { KAMAILIO_CONTAINER } from "../model/podTemplate.ts";
import { annotations } from "../render/layout.ts";
import { chooseAddress, shareAddresses, type Claim, type Pool } from "./addresses.ts";
import { routerOf, type OwnedObjects } from "./ownedObjects.ts";
import { decideRollout } from "./rollout.ts";
import type { PodSpec, PodStatus, Runner } from "./runner/index.ts";

/** Of a pod: which template it was made from, and for which router. */
const TEMPLATE = "standalone.siprouter.dev/template";
const ROUTER = "standalone.siprouter.dev/router";

interface DeploymentSpec {
  readonly replicas?: number;
  readonly template: {
    readonly metadata?: { readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
    readonly spec: PodSpec;
  };
}

export interface DeploymentsOptions {
  readonly runner: Runner;
  readonly owned: OwnedObjects;
  readonly pool: Pool;
  /** routers that want addresses although their Deployment is not there yet */
  readonly claims: () => readonly Claim[];
  readonly log: (message: string) => void;
}

export interface Deployments {
  /** Brings processes nearer to what the Deployments say; called after every change of a Deployment or a pod. */
  reconcile(): void;
  pods(router: Key): readonly PodView[];
  workload(router: Key): WorkloadView | undefined;
  /** drains and ends every process; resolves when all are gone */
  endAll(): Promise<void>;
}

export function createDeployments(options: DeploymentsOptions): Deployments {
  const { runner, owned, pool, log } = options;
  const notes = new Map<Key, string>();
  let ending = false;

  const deploymentOf = (router: Key): RawObject | undefined =>
    owned.list("Deployment").find((object) => routerOf(object) === router);
  const podsOf = (router: Key): PodStatus[] =>
    runner
      .statuses()
      .filter(({ record }) => record.annotations[ROUTER] === router)
      .toSorted(byName);

  const shares = (): ReadonlyMap<Key, readonly string[]> => {
    const claims = new Map(options.claims().map((claim) => [claim.router, claim]));
    for (const deployment of owned.list("Deployment")) {
      const router = routerOf(deployment);
      if (router !== undefined) claims.set(router, { router, replicas: specOf(deployment).replicas ?? 1 });
    }
    const held = new Map<Key, string[]>();
    for (const { record } of runner.statuses().toSorted((a, b) => Number(a.terminating) - Number(b.terminating))) {
      const router = record.annotations[ROUTER] ?? "";
      held.set(router, [...(held.get(router) ?? []), record.ip]);
    }
    return shareAddresses(pool, [...claims.values()], held);
  };

  const step = (deployment: RawObject, all: ReadonlyMap<Key, readonly string[]>): void => {
    const router = routerOf(deployment);
    if (router === undefined) return;
    const spec = specOf(deployment);
    const target = all.get(router)?.length ?? 0;
    report(router, target, spec.replicas ?? 1);
    const hash = templateHash(spec);
    const pods = podsOf(router);
    const taken = new Set(runner.statuses().map(({ record }) => record.ip));
    const free = countFree(pool, all, taken, router);
    const { start, stop } = decideRollout(
      target,
      pods.map((pod) => viewForRollout(pod, hash)),
      free,
    );
    for (const name of stop) end(deployment.metadata.namespace, name);
    for (let count = 0; count < start; count += 1) {
      const ip = chooseAddress(pool, all, taken, router);
      if (ip === undefined) return;
      taken.add(ip);
      runner.run(newPod(deployment, router, hash, ip, podsOf(router)));
    }
  };

  const report = (router: Key, target: number, replicas: number): void => {
    const note = target >= replicas ? "" : describeShortage(pool, target, replicas);
    if (note !== "" && notes.get(router) !== note) log(`SipRouter ${router}: ${note}`);
    notes.set(router, note);
  };

  const end = (namespace: string, name: string): void =>
    void runner.terminate(namespace, name).catch((error: unknown) => log(`${namespace}/${name}: ${String(error)}`));

  const reconcile = (): void => {
    if (ending) return;
    const all = shares();
    const deployments = owned
      .list("Deployment")
      .toSorted((a, b) => ((routerOf(a) ?? "") < (routerOf(b) ?? "") ? -1 : 1));
    for (const deployment of deployments) step(deployment, all);
    for (const { record, terminating } of runner.statuses())
      if (!terminating && deploymentOf(record.annotations[ROUTER] ?? "") === undefined)
        end(record.namespace, record.name);
  };

  return {
    reconcile,
    pods: (router) => podsOf(router).map(podView),
    workload(router) {
      const deployment = deploymentOf(router);
      if (deployment === undefined) return undefined;
      const spec = specOf(deployment);
      const hash = templateHash(spec);
      const pods = podsOf(router).filter((pod) => !pod.terminating);
      const current = pods.filter((pod) => pod.record.annotations[TEMPLATE] === hash);
      const target = shares().get(router)?.length ?? 0;
      const note = notes.get(router) ?? "";
      const rolledOut = pods.length === target && current.length === target && current.every((pod) => pod.ready);
      return {
        rolledOut,
        replicas: pods.length,
        readyReplicas: pods.filter((pod) => pod.ready).length,
        failure: target === 0 && (spec.replicas ?? 1) > 0 ? note : failureOf(current),
        addresses: pods.map((pod) => pod.record.ip),
        ...(note === "" ? {} : { note, room: target }),
      };
    },
    async endAll() {
      ending = true;
      await Promise.all(runner.statuses().map(({ record }) => runner.terminate(record.namespace, record.name)));
    },
  };
}

const specOf = (deployment: RawObject): DeploymentSpec => deployment.spec as DeploymentSpec;
const byName = (a: PodStatus, b: PodStatus): number => (a.record.name < b.record.name ? -1 : 1);
const templateHash = (spec: DeploymentSpec): string =>
  createHash("sha256").update(JSON.stringify(spec.template)).digest("hex").slice(0, 10);

function countFree(
  pool: Pool,
  all: ReadonlyMap<Key, readonly string[]>,
  taken: ReadonlySet<string>,
  router: Key,
): number {
  const used = new Set(taken);
  for (let count = 0; ; count += 1) {
    const ip = chooseAddress(pool, all, used, router);
    if (ip === undefined) return count;
    used.add(ip);
  }
}

const viewForRollout = (pod: PodStatus, hash: string) => ({
  name: pod.record.name,
  current: pod.record.annotations[TEMPLATE] === hash,
  ready: pod.ready,
  terminating: pod.terminating,
});

/** A pod that cannot start says why: that is why the Deployment does not get on. */
const failureOf = (current: readonly PodStatus[]): string => {
  const stuck = current.find((pod) => !pod.ready && /^(SIPR_|CrashLoopBackOff|RunContainerError)/.test(pod.message));
  return stuck === undefined ? "" : `${stuck.record.name}: ${stuck.message}`;
};

function describeShortage(pool: Pool, target: number, replicas: number): string {
  const why =
    pool.maxReplicas === undefined
      ? `the pool of ${pool.addresses.length} addresses is shared among the routers: name more with --addresses`
      : "without --addresses a router has one: name addresses with --addresses";
  return `${target} of ${replicas} replicas run; ${why}.`;
}

function newPod(deployment: RawObject, router: Key, hash: string, ip: string, pods: readonly PodStatus[]) {
  const { template } = specOf(deployment);
  const { name, namespace } = deployment.metadata;
  const used = new Set(pods.map((pod) => pod.record.name));
  let index = 0;
  while (used.has(`${name}-${hash.slice(0, 5)}-${index}`)) index += 1;
  const kamailio =
    template.spec.containers.find((container) => container.name === KAMAILIO_CONTAINER) ?? template.spec.containers[0];
  return {
    namespace,
    name: `${name}-${hash.slice(0, 5)}-${index}`,
    uid: randomUUID(),
    ip,
    labels: template.metadata?.labels ?? {},
    annotations: { ...template.metadata?.annotations, [TEMPLATE]: hash, [ROUTER]: router },
    spec: { ...template.spec, containers: kamailio === undefined ? [] : [kamailio] },
  };
}

const podView = (pod: PodStatus): PodView => ({
  namespace: pod.record.namespace,
  name: pod.record.name,
  uid: pod.record.uid,
  ip: pod.record.ip,
  ready: pod.ready && !pod.terminating,
  running: pod.running,
  terminating: pod.terminating,
  structureHash: pod.record.annotations[annotations.structureHash] ?? "",
  message: pod.message,
});

/** As a cluster would show it, as far as anybody here looks. */
export function podObject(status: PodStatus): RawObject {
  const { record } = status;
  const view = podView(status);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: record.name,
      namespace: record.namespace,
      uid: record.uid,
      labels: { ...record.labels },
      annotations: { ...record.annotations },
    },
    status: {
      podIP: record.ip,
      phase: status.phase,
      ready: view.ready,
      message: status.message,
      restartCount: status.restartCount,
    },
  };
}
