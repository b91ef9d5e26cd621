import { describe, expect, test } from "vitest";
import type { Control, ControlAddress, ObservedDestination, PodReading } from "../../../src/kamailio/types.ts";
import { syncPod, type SyncInput } from "../../../src/reload/index.ts";
import type { DesiredData } from "../../../src/render/types.ts";

const address: ControlAddress = { host: "192.0.2.1", port: 9060, token: "t" };
const uri = (host: number): string => `sip:192.0.2.${host}:5060;transport=udp`;
const desired: DesiredData = {
  revision: "two",
  dispatcher: [{ setId: 100, uri: uri(2), flags: 0, priority: 1, attrs: "" }],
  tables: [],
};

/** A list that is changed by RPC; `deaf` says Ok and adds nothing. */
const kamailio = (deaf = false) => {
  const calls: string[] = [];
  let list: readonly ObservedDestination[] = [
    { setId: 100, uri: uri(1), state: "Active", flags: "AP", priority: 1, attrs: "" },
  ];
  const control: Control = {
    call: async (_address, method, params = []) => {
      const [setId, of] = params as [number, string];
      calls.push(method);
      if (method === "dispatcher.add" && !deaf)
        list = [...list, { setId, uri: of, state: "Active", flags: "AP", priority: 1, attrs: "" }];
      if (method === "dispatcher.remove") list = list.filter((one) => one.uri !== of);
      return "Ok";
    },
  };
  const reading = (): PodReading => ({ destinations: list, tables: {}, draining: false });
  const input: SyncInput = {
    control,
    address,
    desired,
    read: async () => reading(),
    readDestinations: async () => {
      calls.push("read");
      return list;
    },
    filesSent: false,
  };
  const [started] = [list];
  return { calls, input, uris: () => list.map((one) => one.uri), startAnew: () => void (list = started) };
};

describe("a destination that moves", () => {
  test("what is new is read back before what is old goes", async () => {
    const { calls, input, uris } = kamailio();
    expect((await syncPod(input)).outcome).toBe("inSync");
    expect(calls).toEqual(["dispatcher.add", "read", "dispatcher.remove", "read"]);
    expect(uris()).toEqual([uri(2)]);
  });

  test("what was said to be added and is not there removes nothing: the old one goes on serving", async () => {
    const { calls, input, uris } = kamailio(true);
    let told = 0;
    expect((await syncPod({ ...input, onAdded: () => (told += 1) })).outcome).toBe("wrong");
    expect(calls).not.toContain("dispatcher.remove");
    expect([told, uris()]).toEqual([0, [uri(1)]]);
  });

  test("on the next pod it comes at once, and the old one stays until the first pod is right", async () => {
    const { input, uris } = kamailio();
    const first = Promise.withResolvers<boolean>();
    const added = Promise.withResolvers<void>();
    const result = syncPod({ ...input, onAdded: added.resolve, goOn: first.promise });
    await added.promise;
    expect(uris()).toEqual([uri(1), uri(2)]);
    first.resolve(true);
    expect((await result).outcome).toBe("inSync");
    expect(uris()).toEqual([uri(2)]);
  });

  test("nothing is removed by an older reading: it may have started anew since", async () => {
    const { calls, input, uris, startAnew } = kamailio();
    await syncPod({ ...input, goOn: Promise.resolve(false) });
    const known = await input.read();
    startAnew();
    calls.length = 0;
    expect((await syncPod({ ...input, known })).outcome).toBe("inSync");
    expect(calls).toEqual(["read", "dispatcher.add", "read", "dispatcher.remove", "read"]);
    expect(uris()).toEqual([uri(2)]);
  });

  test("one that started anew while the first pod was waited for keeps its old one until it has the new one again", async () => {
    const { calls, input, uris, startAnew } = kamailio();
    const first = Promise.withResolvers<boolean>();
    const added = Promise.withResolvers<void>();
    let now = 0;
    const result = syncPod({ ...input, onAdded: added.resolve, goOn: first.promise, now: () => now });
    await added.promise;
    startAnew();
    now = 1000;
    first.resolve(true);
    expect((await result).outcome).toBe("wrong");
    expect(uris()).toEqual([uri(1)]);
    expect(calls).not.toContain("dispatcher.remove");
  });

  test("when the first pod does not come out right, the old one stays on the next", async () => {
    const { input, uris } = kamailio();
    expect((await syncPod({ ...input, goOn: Promise.resolve(false) })).outcome).toBe("held");
    expect(uris()).toEqual([uri(1), uri(2)]);
  });
});
