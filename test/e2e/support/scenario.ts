/** One test file's part of the cluster: what it applies carries its label, and goes when it is done. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, inject, onTestFailed } from "vitest";
import type { RawObject, SipRouterStatus } from "../../../src/api/index.ts";
import { until } from "./until.ts";
import { keeps } from "./environment.ts";
import { addressOf, isReady, Kubectl, podStatus } from "./kubectl.ts";
import { Phone, type PhoneOptions, phoneObjects } from "./phone.ts";

export const LABEL = "e2e-scenario";
const kinds =
  "siprouters,pbxbackends,deployments,pods,services,secrets,configmaps,serviceaccounts,rolebindings,roles,networkpolicies";
const results = join(import.meta.dirname, "../../../.cache/e2e");

/** One worker keeps the order of requests over UDP: phones end a transfer whose NOTIFY requests come swapped (docs/sizing.md). */
export const inOrder = { kamailio: { shmMemoryMiB: 64, workers: 1 } };

export interface Router {
  readonly name: string;
  readonly [field: string]: unknown;
}

export class Scenario {
  readonly name: string;
  readonly kube: Kubectl;
  readonly #phones: Phone[] = [];

  /**
   * @param name of the scenario: of its router too, unless it names another
   * @param namespace another one than that of the operator under test
   */
  constructor(name: string, namespace = inject("namespace")) {
    this.name = name;
    this.kube = new Kubectl(namespace);
    afterAll(() => this.#end());
  }

  /** Applies objects as this scenario's own. */
  apply(...objects: readonly object[]): Promise<string> {
    return this.kube.apply(
      ...objects.map((object) => {
        const { metadata, ...rest } = object as RawObject;
        return { ...rest, metadata: { ...metadata, labels: { ...metadata.labels, [LABEL]: this.name } } };
      }),
    );
  }
  backend(name: string, spec: Record<string, unknown>): object {
    return { apiVersion: "siprouter.dev/v1alpha1", kind: "PbxBackend", metadata: { name }, spec };
  }
  /** A SipRouter with quick health checks and drain. */
  router(spec: Record<string, unknown>, name = this.name): object {
    const quick = {
      replicas: 1,
      healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 2 },
      drain: { timeoutSeconds: 5 },
      kamailio: { shmMemoryMiB: 64, workers: 2 },
    };
    return {
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "SipRouter",
      metadata: { name },
      spec: { ...quick, ...spec },
    };
  }

  async phone(options: PhoneOptions): Promise<Phone> {
    await this.apply(...phoneObjects(options));
    const phone = await Phone.of(this.kube, options);
    this.#phones.push(phone);
    return phone;
  }
  phones<const Options extends readonly PhoneOptions[]>(
    ...options: Options
  ): Promise<{ [Index in keyof Options]: Phone }> {
    return Promise.all(options.map((one) => this.phone(one))) as Promise<{ [Index in keyof Options]: Phone }>;
  }

  /** Takes all phones away. */
  async removePhones(): Promise<void> {
    for (const phone of this.#phones.splice(0)) {
      phone.close();
      await this.kube.run(["delete", "pod", phone.pod, "--now"]);
    }
  }

  async status(router = this.name): Promise<SipRouterStatus> {
    return ((await this.kube.get("siprouter", router)).status ?? {}) as SipRouterStatus;
  }
  /** The address of a Service, such as a router's. */
  async serviceAddress(name = this.name): Promise<string> {
    const { spec } = await this.kube.get("service", name);
    return String((spec as { clusterIP?: string }).clusterIP);
  }
  routerPods(router = this.name): Promise<RawObject[]> {
    return this.kube.pods(`siprouter.dev/router=${router}`);
  }
  /** Waits until the router is Ready in its present form, every destination takes calls, and no pod of a former form is left. */
  async ready(router = this.name, ms = 120_000): Promise<void> {
    await until(
      `${router} is ready`,
      async () => {
        const { metadata } = await this.kube.get("siprouter", router);
        const { observedGeneration, conditions = [], active = "" } = await this.status(router);
        const holds = (type: string) => conditions.some((one) => one.type === type && one.status === "True");
        const [up, all] = active.split("/");
        const served = observedGeneration === metadata.generation && holds("Ready") && holds("Available") && up === all;
        return served && (await this.#rolledOut(router));
      },
      ms,
    ).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${JSON.stringify(await this.status(router).catch(String), undefined, 1)}`);
    });
  }
  /** Whether all pods of a router are of its Deployment's present template. */
  async #rolledOut(router: string): Promise<boolean> {
    const { metadata, spec, status } = await this.kube.get("deployment", router);
    const { replicas: wanted } = spec as { replicas?: number };
    const { observedGeneration, replicas, updatedReplicas } = (status ?? {}) as Record<string, unknown>;
    const counted = observedGeneration === metadata.generation && updatedReplicas === wanted && replicas === wanted;
    return counted && (await this.routerPods(router)).length === wanted;
  }
  /** Waits until so many pods of a selector are ready; their addresses. */
  async podsReady(selector: string, count: number): Promise<string[]> {
    const pods = await until(
      `${count} pods of ${selector}`,
      async () => {
        const found = await this.kube.pods(selector);
        return found.length === count && found.every(isReady) && found;
      },
      120_000,
    );
    return pods.map(addressOf);
  }
  /** Makes a change, and waits until another revision runs in every pod of the router and was read back. */
  async effectOf(change: () => Promise<unknown>, ms = 60_000, router = this.name): Promise<void> {
    const before = (await this.status(router)).revision;
    await change();
    await until(
      "the change is in every pod",
      async () => {
        const { revision, replicas, pods = [] } = await this.status(router);
        const done = pods.every((pod) => pod.state === "InSync" && pod.revision === revision);
        return revision !== before && pods.length === replicas && done;
      },
      ms,
    );
  }
  /** Pods of the router with their restarts: equal before and after means that nothing was restarted. */
  async identities(router = this.name): Promise<string[]> {
    return (await this.routerPods(router))
      .map((pod) => `${pod.metadata.name} ${podStatus(pod).containerStatuses?.[0]?.restartCount}`)
      .toSorted();
  }

  /** To be called in a test: when it fails, what is there is kept in .cache/e2e/SCENARIO/TEST. */
  keepOnFailure(): void {
    onTestFailed(({ task }) => this.#keep(task.name.replaceAll(/\W+/g, "-").slice(0, 60)));
  }

  async #keep(test: string): Promise<void> {
    const folder = join(results, this.name, test);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const save = async (file: string, args: readonly string[]) =>
      writeFileSync(join(folder, file), await this.kube.run(args).catch(String));
    await save("objects.yaml", [
      "get",
      "siprouters,pbxbackends,deployments,pods,services,endpointslices",
      "-o",
      "yaml",
    ]);
    await save("events.txt", ["get", "events", "--sort-by=.lastTimestamp"]);
    for (const { metadata } of await this.kube.list("pods"))
      await save(`${metadata.name}.log`, ["logs", metadata.name, "--all-containers", "--tail=20000"]);
    console.error(`what was there is in ${folder}`);
  }
  async #end(): Promise<void> {
    for (const phone of this.#phones) phone.close();
    if (keeps()) return;
    await this.kube.run(["delete", kinds, "-l", `${LABEL}=${this.name}`, "--wait=true", "--timeout=90s"]);
  }
}
