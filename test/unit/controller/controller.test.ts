import { afterEach, describe, expect, test } from "vitest";
import type { RawObject, SipRouterStatus } from "../../../src/api/index.ts";
import type { PodView } from "../../../src/cluster/index.ts";
import { backend, createBench, router, setOf, type Bench } from "../../support/controllerBench.ts";
import { wantedRevision } from "../../support/statusClaims.ts";

let bench: Bench;
const started = async (
  options: Parameters<typeof createBench>[0] = {},
  objects = [backend("pbx-1"), backend("pbx-2"), router()],
): Promise<Bench> => {
  bench = createBench(options);
  for (const object of objects) bench.cluster.put(object);
  await bench.start();
  return bench;
};
afterEach(() => bench.stop());

const ready = (): boolean => bench.condition("Ready") === "True Ready";
const ask = (at: string): void => {
  const asked = router();
  const annotations = { "siprouter.dev/reload-requested-at": at };
  bench.cluster.put({ ...asked, metadata: { ...asked.metadata, annotations } });
};
const statusOf = (): Partial<SipRouterStatus> =>
  (bench.cluster.get("SipRouter", "default", "edge")?.status ?? {}) as Partial<SipRouterStatus>;
const handled = (): string => statusOf().lastHandledReloadAt ?? "none";
const calls = (): string[] =>
  bench.cluster
    .pods("default/edge")
    .flatMap((pod) => bench.kamailios.at(pod.ip).calls)
    .filter((call) => call !== "htable.seti st seeded 1");
const uris = (ip: string): string[] => bench.kamailios.at(ip).destinations.map((one) => `${one.setId} ${one.uri}`);
const firstPod = () => bench.cluster.pods("default/edge")[0] as ReturnType<Bench["cluster"]["pods"]>[number];

describe("a router from nothing", () => {
  test("its objects are written, its pods read back, all conditions set, and then nothing is written any more", async () => {
    await started();
    await bench.clock.until(ready);
    for (const type of ["Accepted", "ResolvedRefs", "Programmed", "Available"])
      expect(bench.condition(type)).toMatch(/^True/);
    expect(bench.condition("Reachable", "pbx-1", "PbxBackend")).toBe("True Reachable");
    expect(bench.cluster.get("SipRouter", "default", "edge")?.status).toMatchObject({
      active: "2/2",
      readyReplicas: 3,
      sets: [{ name: "pbx", id: 1, destinations: 2, active: 2 }],
      pods: [{ state: "InSync" }, { state: "InSync" }, { state: "InSync" }],
    });
    expect(bench.programmed).toHaveLength(1);
    expect(bench.readyCount()).toBe(1);
    await bench.clock.advance(5000);
    const writes = bench.cluster.writes.length;
    await bench.clock.advance(25 * 60_000);
    expect(bench.cluster.writes.slice(writes)).toEqual([]);
    expect(bench.cluster.events.map((event) => event.reason)).toContain("Accepted");
  });

  test("a key that the control Secret lost is made again by the token that is there, also by a new operator", async () => {
    await started();
    await bench.clock.until(ready);
    const whole = bench.cluster.get("Secret", "default", "edge-control") as RawObject;
    const { token } = whole["stringData"] as { token: string };
    await bench.stop();
    bench.cluster.put({ ...whole, stringData: { token } });
    await bench.start();
    await bench.clock.until(() => bench.cluster.writes.includes("mend Secret default/edge-control"));
    expect(bench.cluster.get("Secret", "default", "edge-control")?.["stringData"]).toEqual(whole["stringData"]);
  });

  test("a second operator on the same cluster finds everything right: no write, no event, no change of a pod", async () => {
    await started();
    await bench.clock.until(ready);
    await bench.clock.advance(5000);
    const { events, writes } = bench.cluster;
    const before = [events.length, writes.length, calls().length];
    await bench.restart();
    await bench.clock.advance(60_000);
    expect([events.length, writes.length, calls().length]).toEqual(before);
    expect(bench.readyCount()).toBe(2);
  });

  test("deleting it leaves nothing behind and its backends say that nobody uses them", async () => {
    await started();
    await bench.clock.until(ready);
    bench.cluster.remove("SipRouter", "default", "edge");
    await bench.clock.advance(5000);
    for (const kind of ["ConfigMap", "Deployment", "Service", "Secret"])
      expect(bench.cluster.objects(kind)).toEqual([]);
    expect(bench.condition("Reachable", "pbx-1", "PbxBackend")).toBe("Unknown NotUsed");
  });
});

describe("a change of data", () => {
  test("a backend is added and removed by single requests, without a file, a reload or a restart", async () => {
    await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
    await bench.clock.until(ready);
    bench.cluster.put(router(setOf("pbx-1", "pbx-2", "pbx-3")));
    await bench.clock.advance(0);
    expect(bench.inSync()).toBe(true);
    expect(calls()).toHaveLength(3);
    for (const call of calls()) expect(call).toMatch(/^dispatcher\.add 100 sip:192\.0\.2\.3:5060;transport=udp 0 \d+$/);
    bench.cluster.put(router(setOf("pbx-1", "pbx-3")));
    await bench.clock.advance(0);
    expect(bench.inSync()).toBe(true);
    expect(calls()).toHaveLength(6);
    expect(bench.seconds).toHaveLength(2);
    await bench.clock.advance(5000);
    expect(bench.cluster.events.map((event) => event.reason).filter((reason) => reason === "Ready")).toHaveLength(1);
    await bench.clock.until(
      () => bench.programmed.length === 3 || bench.cluster.events.some((event) => event.reason === "Reloaded"),
    );
  });

  test("a name with IPv4 and IPv6 addresses stands for those that the pods can send to, also for the next operator", async () => {
    const resolveName = async () => ({ addresses: ["192.0.2.7", "2001:db8::7"], ttlSeconds: 60 });
    await started({ resolveName }, [backend("pbx-1", { address: "pbx.example.com" }), router(setOf("pbx-1"))]);
    await bench.clock.until(ready);
    await bench.clock.advance(1000);
    const only = ["100 sip:192.0.2.7:5060;transport=udp"];
    expect(bench.cluster.pods("default/edge").map(({ ip }) => uris(ip))).toEqual([only, only, only]);
    const writes = bench.cluster.writes.length;
    await bench.restart();
    await bench.clock.advance(60_000);
    expect(bench.cluster.pods("default/edge").map(({ ip }) => uris(ip))).toEqual([only, only, only]);
    expect(bench.cluster.writes.slice(writes)).toEqual([]);
  });

  test("an operator that is being ended while it changes pods ends what is under way and begins no other pod", async () => {
    const objects = [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router({ replicas: 8 })];
    await started({}, objects);
    await bench.clock.until(ready);
    let stopping: Promise<void> | undefined;
    bench.kamailios.onCall = (_host, method) => {
      if (method === "dispatcher.add") stopping ??= bench.stop();
      return undefined;
    };
    bench.cluster.put(router({ replicas: 8, ...setOf("pbx-1", "pbx-2", "pbx-3") }));
    await bench.clock.until(() => stopping !== undefined);
    await stopping;
    expect(calls()).toHaveLength(1);
    await bench.start();
    await bench.clock.until(() => calls().length === 8 && bench.inSync());
  });

  test("a changed route waits for the files and then runs on every pod", async () => {
    await started();
    await bench.clock.until(ready);
    await bench.clock.advance(2000);
    bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }] }));
    await bench.clock.advance(10);
    expect(bench.inSync()).toBe(false);
    await bench.clock.until(() => bench.inSync() && ready());
    expect(calls().every((call) => call.startsWith("mtree.reload"))).toBe(true);
    expect(bench.cluster.events.filter((event) => event.reason === "Reloaded")).toHaveLength(1);
  });

  test("two route edits within one second both take effect", async () => {
    await started({ syncMs: () => 50 });
    await bench.clock.until(ready);
    for (const range of ["2000-2999", "3000-3999", "4000-4999"]) {
      bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: [range] }, set: "pbx" }] }));
      await bench.clock.advance(150);
    }
    await bench.clock.until(() => bench.inSync() && ready());
    const data = bench.cluster.get("ConfigMap", "default", "edge-dispatcher")?.["data"] as Record<string, string>;
    expect(data["ext"]).toContain("4");
    expect(data["nonce"]).toBeUndefined();
  });

  test("files that arrive in the same second as the last ones are written again until Kamailio takes them", async () => {
    await started({ syncMs: () => 50, tuning: { tableSpacingMs: 0 } });
    await bench.clock.until(ready);
    const atSecond = 1000 - (bench.clock.now() % 1000);
    await bench.clock.advance(atSecond);
    for (const range of ["2000-2999", "3000-3999"]) {
      bench.cluster.put(router({ routes: [{ name: "all", match: { extensions: [range] }, set: "pbx" }] }));
      await bench.clock.advance(300);
    }
    expect(bench.inSync()).toBe(false);
    await bench.clock.until(() => bench.inSync() && ready());
    expect(bench.cluster.get("ConfigMap", "default", "edge-dispatcher")?.["data"]).toHaveProperty("nonce");
    await bench.clock.advance(5000);
    const writes = bench.cluster.writes.length;
    await bench.restart();
    await bench.clock.advance(15 * 60_000);
    expect(bench.cluster.writes.slice(writes)).toEqual([]);
  });

  test("a destination that does not answer stays so when others come and go, and a moved one is not called", async () => {
    await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
    await bench.clock.until(ready);
    for (const pod of bench.cluster.pods("default/edge")) {
      const kamailio = bench.kamailios.at(pod.ip);
      kamailio.destinations = kamailio.destinations.map((one) =>
        one.uri.includes("192.0.2.1:") ? { ...one, state: "Inactive" } : one,
      );
    }
    await bench.clock.until(() => bench.condition("Reachable", "pbx-1", "PbxBackend") === "False Unreachable");
    expect(ready()).toBe(true);
    await bench.clock.advance(2000);
    bench.cluster.put(
      router({
        dispatcherSets: [
          { name: "pbx", id: 1, backends: [{ name: "pbx-1", priority: 1 }, { name: "pbx-2" }, { name: "pbx-3" }] },
        ],
      }),
    );
    await bench.clock.advance(10);
    await bench.clock.until(() => bench.inSync());
    for (const pod of bench.cluster.pods("default/edge")) {
      const moved = bench.kamailios.at(pod.ip).destinations.filter((one) => one.uri.includes("192.0.2.1:"));
      expect(moved.map((one) => [one.setId, one.state])).toEqual([[101, "Inactive"]]);
    }
  });

  test("a change of structure rolls the Deployment and the old configuration goes only then", async () => {
    await started();
    await bench.clock.until(ready);
    const before = bench.cluster.objects("ConfigMap").map((object) => object.metadata.name);
    bench.cluster.put(router({ listeners: [{ name: "udp", transport: "UDP", port: 5080 }] }));
    await bench.clock.until(() => ready() && bench.inSync());
    await bench.clock.advance(2000);
    const after = bench.cluster.objects("ConfigMap").map((object) => object.metadata.name);
    expect(after).toHaveLength(2);
    expect(after).not.toEqual(before);
  });
});

describe("what is wrong", () => {
  test("a refused edit leaves the last good configuration serving, on restarted pods too, and the next good edit counts", async () => {
    await started();
    await bench.clock.until(ready);
    const revision = bench.programmed[0]?.split(" ")[1];
    bench.cluster.put(router({ routes: [{ name: "a", match: { extensions: ["1000-1999"] }, set: "none" }] }));
    await bench.clock.until(() => bench.condition("Accepted").startsWith("False"));
    expect(bench.rejected.map((one) => one.issues[0]?.reason)).toEqual(["SetNotFound"]);
    expect(bench.condition("Programmed")).toBe("True Programmed");
    await bench.restart();
    const { ip } = firstPod();
    bench.kamailios.at(ip).destinations = [];
    await bench.clock.until(() => uris(ip).length === 2);
    expect(bench.cluster.get("SipRouter", "default", "edge")?.status).toMatchObject({ revision });
    bench.cluster.put(router(setOf("pbx-1")));
    await bench.clock.until(() => ready() && bench.inSync());
    expect(uris(ip)).toEqual(["100 sip:192.0.2.1:5060;transport=udp"]);
  });

  describe("a pod that never comes out right", () => {
    const stored = () => bench.cluster.get("ConfigMap", "default", "edge-dispatcher") as RawObject;
    const status = () => bench.cluster.get("SipRouter", "default", "edge")?.status as SipRouterStatus;
    const everywhere = (host: number) =>
      bench.cluster
        .pods("default/edge")
        .map((pod) => uris(pod.ip).filter((one) => one.includes(`192.0.2.${host}:`)).length);
    /** The second pod takes no new destination 192.0.2.3, and the router is asked for one and for another range of numbers. */
    const halted = async (): Promise<{ name: string; good: string | undefined }> => {
      await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
      await bench.clock.until(ready);
      const good = status().revision;
      const { ip, name } = bench.cluster.pods("default/edge")[1] as PodView;
      bench.kamailios.onCall = (host, method) => (host === ip && method === "dispatcher.add" ? "fault" : undefined);
      const routes = [{ name: "all", match: { extensions: ["2000-2999"] }, set: "pbx" }];
      bench.cluster.put(router({ ...setOf("pbx-1", "pbx-2", "pbx-3"), routes }));
      await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
      return { name, good };
    };

    test("stops the change and gets the last good revision back, as all others and the files; it is named in the condition", async () => {
      const { name, good } = await halted();
      await bench.clock.until(() => bench.inSync());
      expect(stored().metadata.annotations?.["siprouter.dev/revision"]).toBe(good);
      expect(everywhere(3)).toEqual([0, 0, 0]);
      const message = status().conditions?.find((one) => one.type === "Programmed")?.message;
      expect(message).toContain(`Pod ${name} did not come out right with revision ${status().revision}`);
      expect(message).toContain(`Revision ${good}`);
      expect(status().pods?.map((pod) => [pod.state, pod.revision])).toEqual([
        ["Pending", good],
        ["Failed", good],
        ["Pending", good],
      ]);
      expect(ready()).toBe(false);
    });

    test("the next good edit counts at once", async () => {
      await halted();
      const { seconds } = bench;
      const before = seconds.length;
      bench.cluster.put(router(setOf("pbx-1")));
      await bench.clock.advance(1500);
      expect(bench.inSync()).toBe(true);
      expect(everywhere(2)).toEqual([0, 0, 0]);
      expect(seconds.length).toBe(before + 1);
      await bench.clock.until(ready);
    });

    test("going back to the last good spec is right without a further change of a pod", async () => {
      await halted();
      await bench.clock.until(() => bench.inSync());
      const before = calls().length;
      bench.cluster.put(router());
      await bench.clock.until(ready);
      expect(calls()).toHaveLength(before);
    });

    test("what was halted is tried again from time to time, the pod that stopped it first, until it works", async () => {
      await halted();
      bench.kamailios.onCall = () => undefined;
      const first = calls().length;
      await bench.clock.until(() => ready() && bench.inSync(), 200_000);
      expect(everywhere(3)).toEqual([1, 1, 1]);
      expect(calls().length).toBeGreaterThan(first);
      await bench.clock.advance(5000);
      expect(stored().metadata.annotations).not.toHaveProperty(["siprouter.dev/halted-revision"]);
    });

    test("a pod in its place is tried at once", async () => {
      const { name } = await halted();
      await bench.clock.until(() => bench.inSync());
      bench.cluster.deletePod(name);
      await bench.clock.until(() => bench.inSync() && everywhere(3).every((count) => count === 1), 6000);
      expect(everywhere(3)).toEqual([1, 1, 1]);
    });

    test("an operator that is started anew still knows the last good revision", async () => {
      const { name, good } = await halted();
      await bench.clock.until(() => bench.inSync());
      await bench.restart();
      await bench.clock.until(() => everywhere(3).includes(1));
      await bench.clock.until(() => bench.inSync() && everywhere(3).every((count) => count === 0));
      expect(stored().metadata.annotations?.["siprouter.dev/revision"]).toBe(good);
      expect(JSON.stringify(status().conditions)).toContain(`Pod ${name} did not come out right`);
    });

    test("an operator that was away during the edit knows the last good revision from what is stored", async () => {
      await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
      await bench.clock.until(ready);
      const good = status().revision;
      await bench.stop();
      bench.kamailios.onCall = (host, method) =>
        host === firstPod().ip && method === "dispatcher.add" ? "fault" : undefined;
      bench.cluster.put(router(setOf("pbx-1", "pbx-2", "pbx-3")));
      await bench.start();
      await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
      await bench.clock.until(() => bench.inSync());
      expect(stored().metadata.annotations?.["siprouter.dev/revision"]).toBe(good);
      expect(everywhere(3)).toEqual([0, 0, 0]);
    });

    test("without any revision that was good before it stops and is tried on", async () => {
      await started({}, [backend("pbx-1"), router(setOf("pbx-1"))]);
      const { ip, name } = firstPod();
      bench.kamailios.at(ip).destinations = [];
      bench.kamailios.onCall = (host, method) => (host === ip && method === "dispatcher.add" ? "fault" : undefined);
      await bench.clock.until(() => bench.condition("Programmed") === "False ReloadFailed");
      expect(JSON.stringify(status())).toContain(`Pod ${name}`);
      bench.kamailios.onCall = () => undefined;
      await bench.clock.until(() => ready() && bench.inSync());
    });
  });

  test("pods whose router waits long for its first turn are read afterwards as any others", async () => {
    await started({ tuning: { parallel: 1 } });
    await bench.clock.until(ready);
    await bench.stop();
    const { ensureSecret, snapshot } = bench.cluster;
    const held = Promise.withResolvers<void>();
    bench.cluster.put(router({ replicas: 1 }, "another"));
    bench.cluster.ensureSecret = async (secret, generate) => {
      if (secret.metadata.name === "another-control") await held.promise;
      return ensureSecret(secret, generate);
    };
    const all = snapshot();
    bench.cluster.snapshot = () => ({ ...all, routers: all.routers.toReversed() });
    await bench.start();
    bench.cluster.snapshot = snapshot;
    await bench.clock.advance(10_000);
    held.resolve();
    await bench.clock.advance(10_000);
    const kamailio = bench.kamailios.at(firstPod().ip);
    kamailio.destinations = kamailio.destinations.map((one) => ({ ...one, state: "Inactive" }));
    await bench.clock.until(() => bench.condition("Reachable", "pbx-1", "PbxBackend") === "False PodsDisagree", 20_000);
    expect(ready()).toBe(true);
  });

  test("a reload that is asked for reads all pods at once and puts right what differs", async () => {
    await started({ tuning: { pollMs: 3_600_000 } });
    await bench.clock.until(ready);
    await bench.clock.advance(5000);
    const { ip } = firstPod();
    bench.kamailios.at(ip).destinations = [];
    await bench.clock.advance(60_000);
    expect(bench.inSync()).toBe(false);
    expect(handled()).toBe("none");
    ask("2026-01-01T00:00:00Z");
    await bench.clock.advance(0);
    expect(bench.inSync()).toBe(true);
    expect(handled()).toBe("2026-01-01T00:00:00Z");
  });

  test("a reload is handled with the backends as they are then, and also when it was asked for while no operator ran", async () => {
    await started({ tuning: { pollMs: 3_600_000 } });
    await bench.clock.until(ready);
    bench.kamailios.onCall = (_host, method) => (method.startsWith("dispatcher.") ? "unreachable" : undefined);
    bench.cluster.put(backend("pbx-1", { address: "192.0.2.77" }));
    ask("2026-01-01T00:00:01Z");
    await bench.clock.until(() => handled() === "2026-01-01T00:00:01Z");
    expect(statusOf().revision).toBe(wantedRevision(bench));
    bench.kamailios.onCall = () => undefined;
    await bench.stop();
    ask("2026-01-01T00:00:02Z");
    bench.kamailios.at(firstPod().ip).destinations = [];
    await bench.start();
    await bench.clock.until(() => handled() === "2026-01-01T00:00:02Z");
    expect(bench.inSync()).toBe(true);
    await bench.clock.advance(30_000);
    const writes = bench.cluster.writes.length;
    await bench.clock.advance(3_600_000);
    expect(bench.cluster.writes.length).toBe(writes);
  });

  test("a pod that is started anew is told at once what the others know not to answer", async () => {
    await started();
    await bench.clock.until(ready);
    for (const pod of bench.cluster.pods("default/edge")) {
      const kamailio = bench.kamailios.at(pod.ip);
      kamailio.destinations = kamailio.destinations.map((one) =>
        one.uri.includes("192.0.2.1:") ? { ...one, state: "Inactive" } : one,
      );
    }
    await bench.clock.until(() => bench.condition("Reachable", "pbx-1", "PbxBackend") === "False Unreachable");
    const dead = (ip: string) =>
      bench.kamailios.at(ip).destinations.find((one) => one.uri.includes("192.0.2.1:"))?.state;
    const { ip, name } = firstPod();
    bench.kamailios.restart(ip);
    expect(dead(ip)).toBe("Active");
    await bench.clock.until(() => dead(ip) === "Inactive");
    const before = new Set(bench.cluster.pods("default/edge").map((pod) => pod.name));
    bench.cluster.deletePod(name);
    const added = bench.cluster.pods("default/edge").find((pod) => !before.has(pod.name)) as PodView;
    await bench.clock.advance(50);
    expect(dead(added.ip)).toBe("Inactive");
    bench.kamailios.at(added.ip).destinations = bench.kamailios
      .at(added.ip)
      .destinations.map((one) => ({ ...one, state: "Active" }));
    await bench.clock.advance(5000);
    expect(dead(added.ip)).toBe("Active");
  });

  test("pods that came while no operator ran are told what the others know before they get calls", async () => {
    await started();
    await bench.clock.until(ready);
    for (const pod of bench.cluster.pods("default/edge")) {
      const kamailio = bench.kamailios.at(pod.ip);
      kamailio.destinations = kamailio.destinations.map((one) =>
        one.uri.includes("192.0.2.1:") ? { ...one, state: "Inactive" } : one,
      );
    }
    await bench.stop();
    const [one, two] = bench.cluster.pods("default/edge") as [PodView, PodView];
    const before = new Set(bench.cluster.pods("default/edge").map((pod) => pod.name));
    bench.cluster.deletePod(one.name);
    bench.cluster.deletePod(two.name);
    const added = () => bench.cluster.pods("default/edge").filter((pod) => !before.has(pod.name));
    for (const pod of added()) bench.cluster.setPod(pod.name, { ready: false });
    // as while the Deployment rolls: the one that knows is about to be replaced
    const [three] = bench.cluster.pods("default/edge").filter((pod) => before.has(pod.name)) as [PodView];
    bench.cluster.setPod(three.name, { structureHash: "older" });
    await bench.start();
    const isSeeded = ({ ip }: PodView): boolean => bench.kamailios.at(ip).seeded;
    await bench.clock.until(() => added().every(isSeeded));
    for (const { ip } of added())
      expect(bench.kamailios.at(ip).destinations.map(({ uri, state }) => [uri.includes("192.0.2.1:"), state])).toEqual([
        [true, "Inactive"],
        [false, "Active"],
      ]);
  });

  test("a pod that does not answer does not hold up the others, and is brought along when it does", async () => {
    await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
    await bench.clock.until(ready);
    const { ip } = firstPod();
    bench.kamailios.at(ip).up = false;
    bench.cluster.put(router(setOf("pbx-1", "pbx-2", "pbx-3")));
    const others = bench.cluster.pods("default/edge").slice(1);
    await bench.clock.until(() => others.every((pod) => uris(pod.ip).length === 3));
    await bench.clock.until(() => bench.condition("Programmed") === "False NotAnswering");
    expect(bench.inSync()).toBe(false);
    bench.kamailios.at(ip).up = true;
    await bench.clock.until(() => ready() && bench.inSync());
  });

  test("the answer to an add is lost: the destination is there once", async () => {
    await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
    await bench.clock.until(ready);
    let lost = 0;
    bench.kamailios.onCall = (_host, method) =>
      method === "dispatcher.add" && (lost += 1) <= 2 ? "lostReply" : undefined;
    bench.cluster.put(router(setOf("pbx-1", "pbx-2", "pbx-3")));
    await bench.clock.until(() => ready() && bench.inSync());
    expect(lost).toBeGreaterThan(1);
  });

  test("a Kamailio that crashed comes back with an old list and is brought to the current one", async () => {
    await started({}, [backend("pbx-1"), backend("pbx-2"), backend("pbx-3"), router()]);
    await bench.clock.until(ready);
    const { ip } = firstPod();
    bench.cluster.put(router(setOf("pbx-2", "pbx-3")));
    await bench.clock.until(() => bench.inSync());
    bench.kamailios.restart(ip);
    expect(bench.inSync()).toBe(false);
    await bench.clock.until(() => bench.inSync() && ready());
  });

  test("an object that cannot be written is said in a condition and tried again", async () => {
    bench = createBench();
    bench.cluster.onWrite = (what) => {
      if (what.startsWith("apply Deployment")) throw new Error("the API server refused Deployment default/edge");
    };
    for (const object of [backend("pbx-1"), backend("pbx-2"), router()]) bench.cluster.put(object);
    await bench.start();
    await bench.clock.until(() => bench.condition("Programmed") === "False ApplyFailed");
    expect(JSON.stringify(bench.cluster.get("SipRouter", "default", "edge")?.status)).toContain(
      "Deployment default/edge",
    );
    bench.cluster.onWrite = () => {};
    await bench.clock.until(ready);
  });

  test("when every backend of a set is gone the last destinations go on serving, and a condition says so", async () => {
    await started();
    await bench.clock.until(ready);
    bench.cluster.remove("PbxBackend", "default", "pbx-1");
    bench.cluster.remove("PbxBackend", "default", "pbx-2");
    await bench.clock.until(() => bench.condition("ResolvedRefs").startsWith("False"));
    await bench.clock.advance(5000);
    expect(uris(firstPod().ip).length).toBeGreaterThan(0);
    await bench.restart();
    await bench.clock.advance(5000);
    expect(uris(firstPod().ip).length).toBeGreaterThan(0);
    expect(JSON.stringify(bench.cluster.get("SipRouter", "default", "edge")?.status)).toContain("goes on serving");
  });
});
