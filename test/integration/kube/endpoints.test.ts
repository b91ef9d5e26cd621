/**
 * A PbxBackend that stands for the pods of a Service, under calls: what an EndpointSlice says not ready, terminating or gone
 * gets no call any more, before the pod ends; what comes gets its share.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inOwnNetwork } from "../../support/ownNetwork.ts";
import { until } from "../../support/until.ts";
import { API, Dead, Fleet, lost, routes, special } from "./fleet.ts";

type State = "ready" | "notReady" | "terminating";
const conditions = {
  ready: { ready: true, serving: true, terminating: false },
  notReady: { ready: false, serving: false, terminating: false },
  terminating: { ready: false, serving: true, terminating: true },
};
let fleet: Fleet;

/** The slice as the endpoint controller would write it. */
const slice = (endpoints: Readonly<Record<string, State>>): object => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "asterisk-1", labels: { "kubernetes.io/service-name": "asterisk" } },
  addressType: "IPv4",
  ports: [{ name: "sip", port: 5060, protocol: "UDP" }],
  endpoints: Object.entries(endpoints).map(([name, state]) => ({
    addresses: [fleet.at(name).ip],
    conditions: conditions[state],
  })),
});
const put = (endpoints: Readonly<Record<string, State>>) => fleet.apply(slice(endpoints));
/** Ready ones, as the operator shows them. */
const shown = async (): Promise<string> =>
  ((await fleet.backendStatus("asterisk")).endpoints ?? [])
    .filter(({ ready }) => ready)
    .map(({ address }) => `pbx-${address.split(".").at(-1)}`)
    .join();

inOwnNetwork("10.63", import.meta.filename, () => {
  beforeAll(async () => {
    fleet = await Fleet.start("10.63");
    for (const name of ["pbx-1", "pbx-2", "pbx-3", "pbx-4"]) await fleet.startPbx(name);
    await fleet.apply(
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "asterisk" },
        spec: { clusterIP: "None", ports: [{ name: "sip", port: 5060, protocol: "UDP" }] },
      },
      slice({ "pbx-1": "ready", "pbx-2": "ready" }),
      {
        apiVersion: API,
        kind: "PbxBackend",
        metadata: { name: "asterisk" },
        spec: { service: { name: "asterisk", port: "sip" } },
      },
      fleet.backend("pbx-4"),
      {
        apiVersion: API,
        kind: "SipRouter",
        metadata: { name: "edge" },
        spec: {
          replicas: 3,
          drain: { timeoutSeconds: 2 },
          healthCheck: { intervalSeconds: 1, timeoutSeconds: 1, failureThreshold: 3 },
          failover: { timeoutSeconds: 1 },
          dispatcherSets: [{ name: "main", id: 1, backends: [{ name: "asterisk" }] }, special("pbx-4")],
          routes: routes("3000-3999"),
        },
      },
    );
    await fleet.settled();
  });
  afterAll(() => fleet.stop());

  describe("endpoints that come and go under calls", { timeout: 400_000 }, () => {
    test("no call is lost, and none is sent to a pod after its slice took it out", async () => {
      const dead = new Dead();
      const ledger = await fleet.during(async () => {
        await fleet.changed(() => put({ "pbx-1": "ready", "pbx-2": "ready", "pbx-3": "ready" }));
        expect(await shown()).toBe("pbx-1,pbx-2,pbx-3");
        await fleet.changed(() => put({ "pbx-1": "terminating", "pbx-2": "ready", "pbx-3": "ready" }));
        // it has its calls until they are over; then the pod is gone
        const gone = await fleet.callsTo((await fleet.pods())[0]?.ip ?? "", "1002", 20);
        expect(lost(gone)).toEqual([]);
        expect(gone).not.toContain("200 pbx-1");
        await fleet.stopPbx("pbx-1");
        await dead.listen(fleet.at("pbx-1"));
        await fleet.changed(() => put({ "pbx-2": "ready", "pbx-3": "ready" }));
        await fleet.changed(() => put({ "pbx-2": "notReady", "pbx-3": "ready" }));
        const rest = (await Promise.all((await fleet.pods()).map(({ ip }) => fleet.callsTo(ip, "1002", 5)))).flat();
        expect(new Set(rest)).toEqual(new Set(["200 pbx-3"]));
        await fleet.changed(() => put({ "pbx-2": "ready", "pbx-3": "ready" }));
      });
      await dead.close();
      expect(dead.invites).toBe(0);
      expect(lost(ledger)).toEqual([]);
      expect(new Set(ledger)).toEqual(new Set(["200 pbx-1", "200 pbx-2", "200 pbx-3"]));
      await fleet.equalAndQuiet();
    });

    test("ten changes in a row, the operator killed among them: the last one counts", async () => {
      const ledger = await fleet.during(async () => {
        for (let round = 0; round < 5; round += 1) {
          await put({ "pbx-2": "ready" });
          await put({ "pbx-2": "ready", "pbx-3": round === 4 ? "terminating" : "ready" });
          if (round === 2) await fleet.killOperator();
        }
        await fleet.startOperator();
        await until("the last one is shown", async () => (await shown()) === "pbx-2");
        await fleet.settled();
        expect(await fleet.everywhere("1003")).toEqual(Array(3).fill("200 pbx-2"));
      });
      expect(lost(ledger)).toEqual([]);
      await fleet.equalAndQuiet();
    });

    test("when no endpoint is left the last ones serve on, and it is said; a ready one that is silent has its own reason", async () => {
      await put({});
      await until(
        "it is said",
        async () => (await fleet.backendCondition("asterisk", "Ready")) === "False NoEndpoints",
      );
      expect(lost(await fleet.everywhere("1001"))).toEqual([]);
      await fleet.changed(() => put({ "pbx-2": "ready", "pbx-3": "ready" }));
      await fleet.stopPbx("pbx-3");
      await until(
        "Kubernetes says ready, SIP says down",
        async () => (await fleet.backendCondition("asterisk", "Reachable")) === "False ReadyButSilent",
        40_000,
      );
      expect(await fleet.everywhere("1001")).toEqual(Array(3).fill("200 pbx-2"));
    });
  });
});
