/**
 * What the chart's network policies keep out, and what they must not. On a cluster whose network does not enforce policies the ports are
 * open, and the output says so.
 */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Caller } from "./support/caller.ts";
import { imageOf } from "./support/environment.ts";
import { addressOf, isReady } from "./support/kubectl.ts";
import { Scenario } from "./support/scenario.ts";
import { until } from "./support/until.ts";

const at = new Scenario("policy");
const pbx = new Caller(at, "pbx");
const stranger = new Caller(at, "stranger");
const OPERATOR = "app.kubernetes.io/name=sip-router-operator,app.kubernetes.io/component=operator";

/** Whether the stranger's pod gets a TCP connection. */
const connects = (address: string, port: number): Promise<boolean> =>
  at.kube.exec("policy-stranger", ["nc", "-z", "-w", "3", address, `${port}`]).then(
    () => true,
    () => false,
  );

/** Whether policies count on this cluster: a pod that is reached, and then closed, is soon not reached any more. */
async function areEnforced(): Promise<boolean> {
  const metadata = { name: "policy-closed", labels: { probe: "closed" } };
  const listener = {
    ...{ name: "listener", image: imageOf("phone"), imagePullPolicy: "IfNotPresent" },
    command: ["nc", "-lk", "7000"],
  };
  const spec = { terminationGracePeriodSeconds: 0, containers: [listener] };
  await at.apply({ apiVersion: "v1", kind: "Pod", metadata, spec });
  const [address = ""] = await at.podsReady("probe=closed", 1);
  await until("the pod is reached", () => connects(address, 7000), 30_000);
  const closed = { podSelector: { matchLabels: metadata.labels }, policyTypes: ["Ingress"] };
  await at.apply({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata, spec: closed });
  return until("it is not reached any more", async () => !(await connects(address, 7000)), 15_000).then(
    () => true,
    () => false,
  );
}

describe("network policies", () => {
  beforeAll(async () => {
    const [address] = await Promise.all([pbx.start({ pbx: 5061 }), stranger.start()]);
    await at.apply(
      at.backend("policy-pbx", { address, port: 5061 }),
      at.router({
        replicas: 2,
        dispatcherSets: [{ name: "pbx", backends: [{ name: "policy-pbx" }] }],
        routes: [{ name: "all", match: { extensions: ["1000-1999"] }, set: "pbx" }],
      }),
    );
    await at.ready();
  });
  beforeEach(() => at.keepOnFailure());

  test("a stranger calls, but reaches neither the control port nor the operator, which goes on", async () => {
    const routers = (await at.routerPods()).map(addressOf);
    const [operator = ""] = (await at.kube.pods(OPERATOR)).filter(isReady).map(addressOf);
    const closed = [...routers.map((router) => [router, 9060] as const), [operator, 8080] as const];
    const enforced = await areEnforced();
    if (!enforced) console.log("this cluster does not enforce network policies: what they keep out is not proved");
    for (const router of routers) {
      expect(await stranger.calls({ number: "1001", to: router })).toEqual(["200 pbx"]);
      expect(await connects(router, 5060)).toBe(true);
    }
    for (const [address, port] of closed) expect([port, await connects(address, port)]).toEqual([port, !enforced]);
    const other = { op: "replace", path: "/spec/routes/0/match/extensions", value: ["2000-2999"] };
    await at.effectOf(() => at.kube.patch("siprouter", at.name, [other]));
    expect(await stranger.calls({ number: "2001" })).toEqual(["200 pbx"]);
  });
});
