/** What a PbxBackend says of its Asterisk Manager, and when it is drained. */
import { afterEach, describe, expect, test } from "vitest";
import { AmiError } from "../../../src/ami/index.ts";
import type { PbxBackendStatus, RawObject } from "../../../src/api/index.ts";
import {
  backend,
  createBench,
  router,
  serviceBackend,
  setOf,
  slice,
  type Bench,
} from "../../support/controllerBench.ts";

const HOST = "192.0.2.1";
const ami = { management: { ami: { secretName: "pbx-1-ami" } } };
const secret = (data: Readonly<Record<string, string>>): RawObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { namespace: "default", name: "pbx-1-ami" },
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")])),
});
const login = secret({ username: "operator", password: "s3cret" });

let bench: Bench;
const started = async (objects: readonly RawObject[], prepare: (made: Bench) => void = () => {}): Promise<Bench> => {
  bench = createBench();
  prepare(bench);
  for (const object of [...objects, backend("pbx-2"), router()]) bench.cluster.put(object);
  await bench.start();
  await bench.clock.until(() => bench.condition("Ready") === "True Ready");
  return bench;
};
const condition = (type: string): string => bench.condition(type, "pbx-1", "PbxBackend");
const message = (type: string): string =>
  (status().conditions ?? []).find((one) => one.type === type)?.message ?? "none";
const status = (): PbxBackendStatus => bench.cluster.get("PbxBackend", "default", "pbx-1")?.status as PbxBackendStatus;
const events = (): string[] =>
  bench.cluster.events.filter((event) => event.object === "PbxBackend default/pbx-1").map((event) => event.reason);
const writes = (): number => bench.cluster.writes.filter((write) => write === "status PbxBackend default/pbx-1").length;
const firstPod = () => bench.kamailios.at(bench.cluster.pods("default/edge")[0]?.ip ?? "");
afterEach(() => bench.stop());

describe("the Asterisk Manager of a backend", () => {
  test("is asked: its version is in the status, its channels are not, and nothing is written while they change", async () => {
    await started([backend("pbx-1", ami), login], ({ managers }) => void managers.set(HOST, 4));
    await bench.clock.until(() => condition("Managed") === "True Managed");
    expect(status().management).toMatchObject([{ address: HOST, port: 5038, state: "Connected", version: "22.5.2" }]);
    await bench.clock.advance(5000);
    const before = writes();
    for (let channels = 0; channels < 20; channels += 1) {
      bench.managers.set(HOST, channels);
      await bench.clock.advance(6000);
    }
    expect(writes()).toBe(before);
    expect(events()).toContain("Managed");
  });

  test("that refuses the login is said as such, its backend stays usable, and the Secret's next version counts", async () => {
    await started(
      [backend("pbx-1", ami), login],
      ({ managers }) => void managers.set(HOST, new AmiError("LoginRefused", "the login is refused.")),
    );
    await bench.clock.until(() => condition("Managed") === "False ManagerLoginRefused");
    expect(message("Managed")).toBe(`Asterisk Manager ${HOST}:5038: the login is refused.`);
    expect(condition("Ready")).toBe("True Ready");
    const since = status().management?.[0]?.lastTransitionTime;
    await bench.clock.advance(120_000);
    expect(status().management?.[0]?.lastTransitionTime).toBe(since);
    expect(events().filter((reason) => reason === "ManagerLoginRefused")).toHaveLength(1);
    bench.managers.set(HOST, 0);
    bench.cluster.put(secret({ username: "operator", password: "another" }));
    await bench.clock.advance(1000);
    expect(condition("Managed")).toBe("True Managed");
  });

  test("is not asked with a password that would be another action", async () => {
    await started(
      [backend("pbx-1", ami), secret({ username: "operator", password: "x\r\nAction: Originate" })],
      ({ managers }) => void managers.set(HOST, 0),
    );
    await bench.clock.advance(10_000);
    expect(condition("Ready")).toBe("False SecretInvalid");
    expect(condition("Managed")).toBe("Unknown Unobserved");
    expect(bench.condition("Ready")).toBe("True Ready");
  });

  test("of a backend without management: no condition, no list", async () => {
    await started([backend("pbx-1")]);
    expect(condition("Managed")).toBe("none");
    expect(status().management).toBeUndefined();
  });
});

describe("a backend that drains", () => {
  test("is not drained by one apply that drains it and takes it out of the router", async () => {
    await started([backend("pbx-1")]);
    firstPod().dialogs = [{ id: "to-it", startedAt: bench.clock.now() / 1000, hosts: ["198.51.100.1", HOST] }];
    bench.cluster.put(backend("pbx-1", { adminState: "Draining" }));
    bench.cluster.put(router(setOf("pbx-2")));
    await bench.clock.advance(20_000);
    expect(condition("Drained")).toBe("False Draining");
  });

  const drain = (spec: object = {}): void => bench.cluster.put(backend("pbx-1", { ...spec, adminState: "Draining" }));

  test("is drained when no call of the routers is left, and takes calls again when it is enabled", async () => {
    await started([backend("pbx-1")]);
    const now = bench.clock.now() / 1000;
    firstPod().dialogs = [
      { id: "to-it", startedAt: now - 60, hosts: ["198.51.100.1", HOST] },
      { id: "from-it", startedAt: now - 50, hosts: [HOST, "198.51.100.2"] },
      { id: "other", startedAt: now - 40, hosts: ["198.51.100.3", "192.0.2.2"] },
      { id: "ringing", startedAt: now - 5 },
    ];
    drain();
    await bench.clock.until(() => condition("Drained") === "False Draining");
    expect(message("Drained")).toBe("There are left: 3 calls of the routers.");
    firstPod().dialogs = firstPod().dialogs.filter(({ id }) => id === "other");
    // rings elsewhere: it began when nobody sent calls there any more
    firstPod().dialogs.push({ id: "later", startedAt: now + 60 });
    await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
    expect(events().filter((reason) => reason === "Drained")).toHaveLength(1);
    bench.cluster.put(backend("pbx-1"));
    await bench.clock.until(() => condition("Drained") === "none");
    expect(events().filter((reason) => reason === "Undrained")).toHaveLength(1);
  });

  test("is not drained by losing its address, or a router that names it: its calls are up all the same", async () => {
    const [pbx, service] = serviceBackend("pbx-1") as [RawObject, RawObject];
    await started([pbx, service, slice("pbx-1", { [HOST]: { ready: true } })]);
    const { dialogs } = firstPod();
    firstPod().dialogs = [{ id: "to-it", startedAt: bench.clock.now() / 1000, hosts: ["198.51.100.1", HOST] }];
    bench.cluster.put({ ...pbx, spec: { service: { name: "pbx-1" }, adminState: "Draining" } });
    await bench.clock.until(() => condition("Drained") === "False Draining");
    bench.cluster.put(slice("pbx-1", {}));
    await bench.clock.advance(20_000);
    expect(condition("Drained")).toBe("False Draining");
    bench.cluster.put(router(setOf("pbx-2")));
    await bench.clock.advance(20_000);
    expect(condition("Drained")).toBe("False Draining");
    firstPod().dialogs = dialogs;
    await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
  });

  test.each([
    ["gave up once it was drained", true],
    ["gave up while calls were left", false],
  ])("is not kept from being drained by the calls of another PBX at an address that it %s", async (_name, first) => {
    const [pbx, service] = serviceBackend("pbx-1") as [RawObject, RawObject];
    await started([pbx, service, slice("pbx-1", { [HOST]: { ready: true } })]);
    const call = { id: "call", startedAt: bench.clock.now() / 1000, hosts: ["198.51.100.1", HOST] } as const;
    if (!first) firstPod().dialogs = [call];
    bench.cluster.put({ ...pbx, spec: { service: { name: "pbx-1" }, adminState: "Disabled" } });
    await bench.clock.until(() => condition("Drained") === (first ? "True Drained" : "False Draining"));
    bench.cluster.put(slice("pbx-1", { "192.0.2.42": { ready: true } }));
    await bench.clock.advance(10_000);
    firstPod().dialogs = [];
    await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
    bench.cluster.put(backend("pbx-2", { address: HOST }));
    await bench.clock.advance(1000);
    firstPod().dialogs = [{ ...call, startedAt: bench.clock.now() / 1000 }];
    await bench.clock.advance(180_000);
    expect(condition("Drained")).toBe("True Drained");
    // one that it has itself counts as before
    firstPod().dialogs.push({ ...call, id: "own", hosts: ["198.51.100.1", "192.0.2.42"] });
    await bench.clock.until(() => condition("Drained") === "False Draining", 120_000);
  });

  test("is not drained while its Asterisk has channels of its own", async () => {
    await started([backend("pbx-1", ami), login], ({ managers }) => void managers.set(HOST, 2));
    drain(ami);
    await bench.clock.until(() => message("Drained") === "There are left: 2 live channels of its Asterisk.");
    await bench.clock.advance(30_000);
    expect(condition("Drained")).toBe("False Draining");
    bench.managers.set(HOST, 0);
    await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
  });

  test("is not said to be drained while a pod may still send it calls, and those that ring then are counted", async () => {
    await started([backend("pbx-1")]);
    const behind = bench.cluster.pods("default/edge")[1]?.ip ?? "";
    bench.kamailios.onCall = (host, method) =>
      host === behind && !method.startsWith("dlg.") ? "unreachable" : undefined;
    drain();
    await bench.clock.advance(60_000);
    expect(condition("Drained")).toBe("Unknown Progressing");
    bench.kamailios.at(behind).dialogs = [{ id: "ringing", startedAt: bench.clock.now() / 1000 }];
    bench.kamailios.onCall = () => undefined;
    await bench.clock.until(() => condition("Drained") === "False Draining", 60_000);
    expect(message("Drained")).toBe("There are left: 1 call of the routers.");
    expect(bench.inSync()).toBe(true);
    bench.kamailios.at(behind).dialogs = [];
    await bench.clock.until(() => condition("Drained") === "True Drained", 10_000);
  });

  test("stays drained while its routers change in other ways, and is not when it was enabled meanwhile", async () => {
    await started([backend("pbx-1"), backend("pbx-3")]);
    drain();
    await bench.clock.until(() => condition("Drained") === "True Drained");
    const behind = bench.cluster.pods("default/edge")[1]?.ip ?? "";
    bench.kamailios.onCall = (host, method) =>
      host === behind && !method.startsWith("dlg.") ? "unreachable" : undefined;
    bench.cluster.put(backend("pbx-2", { address: "192.0.2.77" }));
    await bench.clock.advance(60_000);
    expect(bench.inSync()).toBe(false);
    expect(condition("Drained")).toBe("True Drained");
    bench.cluster.put(backend("pbx-1"));
    await bench.clock.advance(1000);
    drain();
    await bench.clock.advance(30_000);
    expect(condition("Drained")).toBe("Unknown Progressing");
    bench.kamailios.onCall = () => undefined;
    await bench.clock.until(() => condition("Drained") === "True Drained", 60_000);
  });

  test("is not said to be drained while a pod or its Asterisk does not answer", async () => {
    await started([backend("pbx-1", ami), login], ({ managers }) => void managers.set(HOST, 0));
    bench.kamailios.onCall = (host, method) =>
      method.startsWith("dlg.") && host === bench.cluster.pods("default/edge")[1]?.ip ? "unreachable" : undefined;
    drain(ami);
    await bench.clock.advance(30_000);
    expect(condition("Drained")).toBe("Unknown Unobserved");
    bench.kamailios.onCall = () => undefined;
    bench.managers.set(HOST, new AmiError("Unreachable", "econnrefused."));
    await bench.clock.until(() => condition("Drained") === "Unknown ManagerUnreachable", 20_000);
    bench.managers.set(HOST, 0);
    await bench.clock.until(() => condition("Drained") === "True Drained", 60_000);
  });

  test("that stays disabled is quiet: nothing is written", async () => {
    await started([backend("pbx-1", { adminState: "Disabled" })]);
    await bench.clock.until(() => condition("Drained") === "True Drained");
    await bench.clock.advance(5000);
    const before = writes();
    await bench.clock.advance(600_000);
    expect(writes()).toBe(before);
  });
});
