import { afterEach, expect, test } from "vitest";
import type { Algorithm } from "../../src/api/index.ts";
import { call, callOnce, request, within, type Dialog } from "../support/sip/caller.ts";
import { callIdOf, header, writeReply } from "../support/sip/message.ts";
import { answering, silent, type SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";
import { until } from "../support/until.ts";
import { withKamailio, type Bench } from "./fixture.ts";

const algorithms: readonly (readonly [digits: string, Algorithm])[] = [
  ["1", "RoundRobin"],
  ["2", "Weighted"],
  ["3", "Priority"],
  ["4", "CallLoad"],
  ["5", "HashCallId"],
  ["6", "HashFrom"],
  ["7", "HashTo"],
  ["8", "Random"],
  ["9", "Latency"],
];

const at = ({ host, port, transport }: SipPeer): Pick<SipPeer, "host" | "port" | "transport"> => ({
  host,
  port,
  transport,
});

let pbxes: readonly SipPeer[], backups: readonly SipPeer[], phone: SipPeer;

async function prepare(bench: Bench): Promise<void> {
  pbxes = await Promise.all([11, 12, 13].map((last) => bench.peer(last)));
  backups = await Promise.all([14, 15].map((last) => bench.peer(last)));
  phone = await bench.peer(20, 5070);
  await bench.start(
    routerPlan({
      structure: { callLoad: true, failover: { timeoutSeconds: 1, replies: ["408", "5xx"], maxAttempts: 4 } },
      sets: algorithms.map(([, algorithm], index) => ({
        name: algorithm.toLowerCase(),
        id: index + 1,
        algorithm,
        destinations: [
          ...pbxes.map((peer, place) => ({
            ...at(peer),
            ...(algorithm === "Weighted" ? { weight: [50, 30, 20][place] ?? 1 } : {}),
          })),
          ...backups.map((peer) => ({ ...at(peer), priority: 1, ...(algorithm === "Weighted" ? { weight: 1 } : {}) })),
        ],
      })),
      routes: algorithms.map(([digits, algorithm]) => ({
        name: algorithm.toLowerCase(),
        set: algorithm.toLowerCase(),
        digits,
      })),
    }),
  );
}

withKamailio("balancing", prepare, (bench) => {
  const from = (user: string): string => `<sip:${user}@example.com>;tag=${user}`;
  /** who took the call: index of the PBX, -1 a backup */
  const taker = (callId: string): number => pbxes.findIndex((peer) => peer.calls.includes(callId));
  const place = async (number: string, more: { from?: string; callId?: string } = {}): Promise<number> => {
    const { status, callId } = await callOnce(phone, bench.router, number, more);
    expect(status).toBe(200);
    return taker(callId);
  };
  const placeMany = async (
    count: number,
    number: (index: number) => string,
    more: (index: number) => { from?: string } = () => ({}),
  ): Promise<number[]> => {
    const takers: number[] = [];
    for (let index = 0; index < count; index += 1) takers.push(await place(number(index), more(index)));
    return takers;
  };
  const shares = (takers: readonly number[]): number[] =>
    [0, 1, 2].map((one) => takers.filter((each) => each === one).length);

  const untilAll = (peers: readonly SipPeer[], state: "Active" | "Inactive"): Promise<unknown> =>
    until(`${peers.length} destinations are ${state}`, async () => {
      const { destinations } = await bench.read();
      const uris = new Set(peers.map(({ uri }) => uri));
      return destinations.every((one) => !uris.has(one.uri) || one.state === state);
    });

  afterEach(async () => {
    for (const peer of [...pbxes, ...backups]) {
      peer.alive = true;
      peer.probe = undefined;
      peer.behaviour = answering(200);
    }
    await untilAll([...pbxes, ...backups], "Active");
  });

  test("RoundRobin: one after the other", async () => {
    expect(shares(await placeMany(9, () => "1000"))).toEqual([3, 3, 3]);
  });

  test("Weighted: of 100 calls each takes its weight", async () => {
    expect(shares(await placeMany(100, () => "2000"))).toEqual([50, 30, 20]);
  });

  test("Priority: always the same one, then the next", async () => {
    const takers = await placeMany(4, () => "3000");
    expect(new Set(takers).size).toBe(1);
    const first = pbxes[takers[0] ?? 0] as SipPeer;
    first.behaviour = answering(503);
    const { status, callId } = await callOnce(phone, bench.router, "3000");
    expect(status).toBe(200);
    expect(pbxes.filter((peer) => peer.calls.includes(callId)).length).toBe(2);
  });

  test("Random: everybody takes some", async () => {
    expect(shares(await placeMany(24, () => "8000")).every((share) => share > 0)).toBe(true);
  });

  test("Latency: the one that answers OPTIONS faster", async () => {
    // before anything changes the list: Kamailio 5.6 takes an answer that is under way then for days late
    const slow = pbxes.slice(1);
    for (const peer of slow) peer.probe = (message, send) => void setTimeout(() => send(writeReply(message, 200)), 600);
    // Kamailio goes by its moving average, which follows what it measures
    await until(
      "all calls go to the fastest",
      async () => shares(await placeMany(6, () => "9000")).join() === "6,0,0",
      50_000,
    );
  });

  test("hashes: one key, one destination; when one goes inactive the calls of the others stay, and all return with it", async () => {
    const keys = Array.from({ length: 6 }, (_, index) => `k${index}`);
    const all = async (): Promise<number[]> => {
      // the same Call-ID again is a new call for the router
      for (const peer of pbxes) peer.received.splice(0);
      const takers: number[] = [];
      for (const key of keys) {
        takers.push(await place("5000", { callId: `${bench.program.name}-${key}` }));
        takers.push(await place("6000", { from: from(key) }));
        takers.push(await place(`7${key.slice(1)}`));
      }
      return takers;
    };
    const before = await all();
    const gone = before[0] ?? 0;
    const dead = pbxes[gone] as SipPeer;
    dead.alive = false;
    await untilAll([dead], "Inactive");
    const during = await all();
    expect(during).not.toContain(gone);
    expect(during.filter((_, index) => before[index] !== gone)).toEqual(before.filter((one) => one !== gone));
    // a change of another set: the order within these stays
    await bench.call("dispatcher.add", 9900, `sip:${bench.host(77)}:5060;transport=udp`, 4, 1);
    dead.alive = true;
    await untilAll([dead], "Active");
    expect(await all()).toEqual(before);
    await bench.call("dispatcher.remove", 9900, `sip:${bench.host(77)}:5060;transport=udp`);
  });

  test("every algorithm: the next tier only when nobody of the first is active", async () => {
    for (const peer of pbxes) peer.alive = false;
    await untilAll(pbxes, "Inactive");
    for (const [digits] of algorithms) expect([digits, await place(`${digits}000`)]).toEqual([digits, -1]);
    for (const peer of pbxes) peer.alive = true;
    await untilAll(pbxes, "Active");
    for (const [digits] of algorithms) expect(await place(`${digits}000`)).toBeGreaterThanOrEqual(0);
  });

  test("CallLoad: the fewest calls, whatever way they ended", async () => {
    const running: { taker: number; dialog: Dialog; cseq: number }[] = [];
    const hold = async (): Promise<number> => {
      const { sent, dialog } = await call(phone, bench.router, "4000");
      const one = taker(sent.callId);
      running.push({ taker: one, dialog, cseq: sent.input.cseq });
      return one;
    };
    const end = async (one: number): Promise<void> => {
      const index = running.findIndex((each) => each.taker === one);
      const [ended] = running.splice(index, 1);
      if (ended === undefined) throw new Error("no such call");
      await (await within(phone, bench.router, ended.dialog, "BYE", ended.cseq + 1)).final();
    };
    for (let index = 0; index < 6; index += 1) await hold();
    expect(shares(running.map((one) => one.taker))).toEqual([2, 2, 2]);
    await end(1);
    await end(1);
    expect([await hold(), await hold()]).toEqual([1, 1]);
    // refused, cancelled, failed over: none of them counts afterwards
    const refusing = pbxes[2] as SipPeer;
    await end(2);
    refusing.behaviour = answering(486);
    expect((await callOnce(phone, bench.router, "4000")).status).toBe(486);
    refusing.behaviour = answering(503);
    const over = await call(phone, bench.router, "4000");
    expect(refusing.calls).toContain(over.sent.callId);
    await (await within(phone, bench.router, over.dialog, "BYE", 2)).final();
    refusing.behaviour = (message, send) => {
      if (message.method === "INVITE") send(writeReply(message, 180));
      if (message.method === "CANCEL") {
        const invite = refusing.requests("INVITE").find((one) => callIdOf(one) === callIdOf(message));
        send(writeReply(message, 200));
        if (invite !== undefined) send(writeReply(invite, 487));
      }
    };
    const sent = await request(phone, bench.router, { method: "INVITE", uri: "sip:4000@x" });
    await phone.waitFor("ringing", (message) => message.status === 180 && callIdOf(message) === sent.callId);
    const { callId, branch, cseq, from: caller } = sent.input;
    await request(phone, bench.router, {
      method: "CANCEL",
      uri: "sip:4000@x",
      callId,
      branch,
      cseq,
      from: caller,
      contact: null,
    });
    expect((await sent.final()).status).toBe(487);
    refusing.behaviour = answering(200);
    expect(await hold()).toBe(2);
    while (running.length > 0) await end(running[0]?.taker ?? 0);
  });
});

withKamailio(
  "limits of calls",
  async (bench) => {
    await preparePeers(bench);
    const [one, two, backup] = pbxes as [SipPeer, SipPeer, SipPeer];
    const uri = (peer: SipPeer): string => peer.uri;
    await bench.start(
      routerPlan({
        structure: {
          maxCalls: true,
          healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
        },
        sets: [
          { name: "capped", id: 1, destinations: [one, { ...at(two), priority: 1 }, { ...at(backup), priority: 2 }] },
          { name: "only", id: 2, destinations: [one] },
        ],
        routes: [
          { name: "capped", set: "capped", digits: "1" },
          { name: "only", set: "only", digits: "2" },
        ],
        data: {
          caps: [
            { uri: uri(one), backend: "one", limit: 2 },
            { uri: uri(two), backend: "two", limit: 1 },
          ].toSorted((a, b) => (a.uri < b.uri ? -1 : 1)),
        },
      }),
    );
  },
  (bench) => {
    const ended = (): Promise<unknown> => until("no call is left", async () => (await bench.read()).calls === 0);
    const end = async (dialog: Dialog): Promise<void> => {
      await (await within(phone, bench.router, dialog, "BYE", 5)).final();
    };
    const taker = (callId: string): number => pbxes.findLastIndex((peer) => peer.calls.includes(callId));

    afterEach(async () => {
      for (const peer of pbxes) peer.behaviour = answering(200);
      await ended();
    });

    test("a full backend is passed over, and takes calls again when one has ended", async () => {
      const calls = [];
      for (let index = 0; index < 5; index += 1) calls.push(await call(phone, bench.router, "1000"));
      expect(calls.map(({ sent }) => taker(sent.callId))).toEqual([0, 0, 1, 2, 2]);
      expect(pbxes[0]?.calls).not.toContain(calls[2]?.sent.callId);
      await end((calls[1] as (typeof calls)[0]).dialog);
      const next = await call(phone, bench.router, "1000");
      expect(taker(next.sent.callId)).toBe(0);
      for (const { dialog } of [...calls.filter((_, index) => index !== 1), next]) await end(dialog);
    });

    test("all full: one 503 with Retry-After, and nothing of the call is left", async () => {
      const calls = [await call(phone, bench.router, "2000"), await call(phone, bench.router, "2000")];
      const third = await callOnce(phone, bench.router, "2000");
      expect(third.status).toBe(503);
      expect(header(third.reply, "retry-after")).toMatch(/^[0-9]+$/);
      expect((await bench.read()).calls).toBe(2);
      for (const { dialog } of calls) await end(dialog);
    });

    test("a call that fails over counts where it went, not where it failed", async () => {
      const [one, two] = pbxes as [SipPeer, SipPeer];
      one.behaviour = answering(503);
      const first = await call(phone, bench.router, "1000");
      expect(two.calls).toContain(first.sent.callId);
      // the limit of two is reached by that call: the third destination is next
      const second = await call(phone, bench.router, "1000");
      expect(pbxes.map((peer) => peer.calls.includes(second.sent.callId))).toEqual([true, false, true]);
      one.behaviour = answering(200);
      const third = [await call(phone, bench.router, "1000"), await call(phone, bench.router, "1000")];
      expect(third.map(({ sent }) => taker(sent.callId))).toEqual([0, 0]);
      for (const { dialog } of [first, second, ...third]) await end(dialog);
    });

    test("calls at the same moment do not exceed it", async () => {
      const [one] = pbxes as [SipPeer];
      const busy = Promise.all(Array.from({ length: 20 }, () => call(phone, bench.router, "2000")));
      const calls = await busy;
      const taken = calls.filter(({ reply }) => reply.status === 200);
      expect(taken.length).toBeGreaterThan(0);
      expect(taken.length).toBeLessThanOrEqual(2);
      for (const { dialog } of taken) await end(dialog);
      one.behaviour = silent;
      const lost = await callOnce(phone, bench.router, "2000");
      expect(lost.status).toBe(503);
    });

    test("a new limit is data: nothing restarts", async () => {
      const calls = [await call(phone, bench.router, "2000"), await call(phone, bench.router, "2000")];
      const data = bench.kamailio.files.data["caps"] ?? "";
      expect(data).toContain("2|one");
      expect((await callOnce(phone, bench.router, "2000")).status).toBe(503);
      await bench.call("htable.sets", "caps", (pbxes[0] as SipPeer).uri, "3|one");
      const third = await call(phone, bench.router, "2000");
      expect(third.reply.status).toBe(200);
      await bench.call("htable.sets", "caps", (pbxes[0] as SipPeer).uri, "2|one");
      for (const { dialog } of [...calls, third]) await end(dialog);
    });
  },
);

async function preparePeers(bench: Bench): Promise<void> {
  pbxes = await Promise.all([31, 32, 33].map((last) => bench.peer(last)));
  phone = await bench.peer(40, 5070);
}
