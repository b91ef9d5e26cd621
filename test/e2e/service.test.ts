/** PBX pods behind a Service: each ready pod is a destination, and one that is gone gets no call. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { until } from "./support/until.ts";
import { pbxObjects } from "./support/asterisk.ts";
import { Caller } from "./support/caller.ts";
import { addressOf } from "./support/kubectl.ts";
import { Scenario } from "./support/scenario.ts";

const at = new Scenario("service");
const caller = new Caller(at);
const destinations = async (): Promise<string[]> => {
  const { status } = await at.kube.get("pbxbackend", "service-pbx");
  const { endpoints = [] } = status as { endpoints?: { address: string; ready: boolean }[] };
  return endpoints
    .filter(({ ready }) => ready)
    .map(({ address }) => address)
    .toSorted();
};
const pods = async (): Promise<string[]> =>
  (await at.kube.pods("pbx=service-pbx")).map(({ metadata }) => metadata.name);

describe("PBX pods behind a Service", () => {
  beforeAll(async () => {
    await at.apply(
      ...pbxObjects({ name: "service-pbx", extensions: ["1001"], replicas: 2 }),
      at.backend("service-pbx", { service: { name: "service-pbx", port: "sip" } }),
      at.router({
        replicas: 2,
        dispatcherSets: [{ name: "pbx", backends: [{ name: "service-pbx" }] }],
        routes: [{ name: "services", match: { extensions: ["1900-1999"] }, set: "pbx" }],
        failover: { timeoutSeconds: 1 },
      }),
    );
    await caller.start();
    await at.podsReady("pbx=service-pbx", 2);
    await until("both are destinations", async () => (await destinations()).length === 2, 60_000);
    await at.ready();
  });
  beforeEach(() => at.keepOnFailure());

  test("calls are shared by all pods", async () => {
    const answers = await caller.calls({ number: "1900", calls: 12 });
    expect(new Set(answers)).toEqual(new Set((await pods()).map((name) => `200 ${name}`)));
  });

  test("calls that are made while a pod is killed are all answered, and none by it afterwards", async () => {
    const [victim] = await at.kube.pods("pbx=service-pbx");
    const killed = victim?.metadata.name ?? "";
    const address = victim ? addressOf(victim) : "";
    const before = await at.identities();
    const running = caller.calls({ number: "1900", calls: 60, perSecond: 4 });
    await at.kube.run(["delete", "pod", killed, "--grace-period=0", "--force"]);
    await until("its address is no destination", async () => !(await destinations()).includes(address), 30_000);
    await at.podsReady("pbx=service-pbx", 2);
    expect((await running).filter((answer) => !answer.startsWith("200 "))).toEqual([]);
    await until("both are destinations", async () => (await destinations()).length === 2, 60_000);
    await at.ready();
    const answers = await caller.calls({ number: "1900", calls: 12 });
    expect(new Set(answers)).toEqual(new Set((await pods()).map((name) => `200 ${name}`)));
    expect(answers).not.toContain(`200 ${killed}`);
    expect(await at.identities()).toEqual(before);
  });

  test("scaling is followed", async () => {
    await at.kube.run(["scale", "deployment", "service-pbx", "--replicas=1"]);
    const [left] = await at.podsReady("pbx=service-pbx", 1);
    await until("one destination", async () => (await destinations()).join() === left, 60_000);
    await at.ready();
    const [pod] = await pods();
    expect(new Set(await caller.calls({ number: "1900", calls: 6 }))).toEqual(new Set([`200 ${pod}`]));
  });
});
