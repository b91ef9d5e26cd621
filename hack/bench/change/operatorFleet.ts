/** The operator as a process, with three replicas on a node agent: what a change takes, and where the time goes. */
import { CoreV1Api, CustomObjectsApi } from "@kubernetes/client-node";
import { createControl } from "../../../src/kamailio/control.ts";
import { parseDispatcherAnswer } from "../../../src/kamailio/parse.ts";
import { OperatorProcess, type LogEntry } from "../../../test/integration/kube/process.ts";
import type { TestApiServer } from "../../../test/support/apiserver.ts";
import { startNodeAgent } from "../../../test/support/nodeAgent.ts";
import { cpuSeconds } from "../processCpu.ts";
import type { Source } from "./backends.ts";
import { measure, NET, summary, type Fleet, type Result } from "./measure.ts";
import type { Destination } from "./sidecar.ts";

const PODS = [1, 2, 3].map((index) => `${NET}.8.${index}`);
const kind = { group: "siprouter.dev", version: "v1alpha1", namespace: "default" };

const routerOf = (backends: readonly string[]): object => ({
  apiVersion: "siprouter.dev/v1alpha1",
  kind: "SipRouter",
  metadata: { name: "edge" },
  spec: {
    replicas: 3,
    drain: { timeoutSeconds: 1 },
    healthCheck: { intervalSeconds: 5, timeoutSeconds: 1, failureThreshold: 1 },
    dispatcherSets: [{ name: "pbx", id: 1, backends: backends.map((name) => ({ name })) }],
    routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
  },
});

const untilReady = async (server: TestApiServer, operator: OperatorProcess): Promise<void> => {
  const ready = await server.kubectl(["wait", "--for=condition=Ready", "siprouter/edge", "--timeout=60s"], {
    allowFailure: true,
  });
  if (ready.code === 0) return;
  const { stdout } = await server.kubectl(["get", "siprouters", "-o", "jsonpath={.items[*].status.conditions}"]);
  const log = operator.lines.slice(-10).map((line) => JSON.stringify(line));
  throw new Error(`the router is not Ready:\n${stdout.slice(0, 2000)}\n${log.join("\n")}`);
};

/** Milliseconds from the write of each change to the steps that the operator logs. */
class Stages {
  readonly #times = new Map<string, number[]>();
  began = 0;

  note(step: string, at: number): void {
    const times = this.#times.get(step) ?? [];
    times.push(at - this.began);
    this.#times.set(step, times);
  }
  summaries(): Readonly<Record<string, ReturnType<typeof summary>>> {
    return Object.fromEntries([...this.#times].map(([step, times]) => [step, summary(times)]));
  }
}

const now = (): number => performance.timeOrigin + performance.now();
/** The log has whole milliseconds: at the latest it was then. */
const timeOf = (line: LogEntry): number => Date.parse(String(line["time"])) + 1;

/**
 * Writes the port. Milliseconds from then until the operator has read back the revision that holds it on all replicas, by the
 * time in its log: when somebody gets to read the log is not what a change takes.
 */
const changeOnce = async (
  operator: OperatorProcess,
  stages: Stages,
  write: () => Promise<unknown>,
): Promise<number> => {
  const pods = new Set<unknown>();
  let revision: unknown;
  const done = new Promise<number>((resolve) => {
    operator.onLine = (line) => {
      if (line.message === "new revision" && revision === undefined) {
        ({ revision } = line);
        stages.note("decided", timeOf(line));
      }
      if (line.message !== "the pod was changed and read back" || line["revision"] !== revision) return;
      pods.add(line["pod"]);
      if (pods.size === 1) stages.note("first pod", timeOf(line));
      if (pods.size < PODS.length) return;
      resolve(timeOf(line) - stages.began);
    };
  });
  stages.began = now();
  await write();
  stages.note("write answered", now());
  return done;
};

export const measureOperator = async (
  server: TestApiServer,
  workDir: string,
  source: Source,
  destinations: readonly Destination[],
  changes: number,
): Promise<Result> => {
  const node = await startNodeAgent({ kubeConfig: server.kubeConfig, addresses: PODS, workDir });
  const operator = await new OperatorProcess(server.kubeconfigPath).started();
  const custom = server.kubeConfig.makeApiClient(CustomObjectsApi);
  const control = createControl();
  try {
    await custom.createNamespacedCustomObject({
      ...kind,
      plural: "siprouters",
      body: routerOf(source.backends(destinations)),
    });
    await untilReady(server, operator);
    const core = server.kubeConfig.makeApiClient(CoreV1Api);
    const { data } = await core.readNamespacedSecret({ namespace: "default", name: "edge-control" });
    const token = Buffer.from(data?.["token"] ?? "", "base64").toString("utf8");
    const stages = new Stages();
    const fleet: Fleet = {
      what: `operator, ${source.kind}`,
      timed: true,
      ...source,
      change: ({ name, port }) => changeOnce(operator, stages, () => source.write(name, port)),
      cpuSeconds: () => cpuSeconds(operator.pid),
      states: async () =>
        Promise.all(
          PODS.map(async (host) => {
            const answer = await control.call({ host, port: 9060, token }, "dispatcher.list");
            return new Map(parseDispatcherAnswer(answer).map(({ uri, state }) => [uri, state === "Active"]));
          }),
        ),
    };
    const result = await measure(fleet, destinations, changes);
    return { ...result, stages: stages.summaries() };
  } finally {
    await custom.deleteNamespacedCustomObject({ ...kind, plural: "siprouters", name: "edge" }).catch(() => undefined);
    control.close();
    await operator.end();
    await node.stop();
  }
};
