import { describe, expect, test } from "vitest";
import { AmiError, createAmiWatch, type AmiSession, type AmiTarget } from "../../../src/ami/index.ts";
import { createFakeClock } from "../../support/fakeClock.ts";

const target = (host: string, password = "x"): AmiTarget => ({
  address: { host, port: 5038 },
  login: { username: "operator", password },
});

/** PBXes that answer or not, on a clock that is moved by hand. */
const bench = (options: { pollsPerSecond?: number } = {}) => {
  const clock = createFakeClock();
  const asked: string[] = [];
  const connected: string[] = [];
  const closed: string[] = [];
  const changes: string[] = [];
  const faults = new Map<string, AmiError>();
  const channels = new Map<string, number>();
  const watch = createAmiWatch({
    clock,
    random: () => 0.5,
    ...options,
    connect: async ({ host }): Promise<AmiSession> => {
      connected.push(host);
      const fault = faults.get(host);
      if (fault !== undefined) throw fault;
      return {
        async read() {
          asked.push(host);
          const broken = faults.get(host);
          if (broken !== undefined) throw broken;
          return { version: "22.5.2", channels: channels.get(host) ?? 0 };
        },
        close: () => void closed.push(host),
      };
    },
    onChange: (owner, before, after) => void changes.push(`${owner} ${before.state} > ${after.state}`),
  });
  return { clock, asked, connected, closed, changes, faults, channels, watch };
};

describe("a watched PBX", () => {
  test("is asked every five seconds over one connection; nothing is told while nothing changes", async () => {
    const { clock, asked, connected, changes, channels, watch } = bench();
    watch.want("a", [target("192.0.2.1")]);
    await clock.advance(60_000);
    expect(connected).toEqual(["192.0.2.1"]);
    expect(asked.length).toBeGreaterThanOrEqual(11);
    expect(asked.length).toBeLessThanOrEqual(13);
    expect(changes).toEqual(["a undefined > Connected"]);
    channels.set("192.0.2.1", 4);
    await clock.advance(6000);
    expect(watch.views("a")).toEqual([
      { host: "192.0.2.1", port: 5038, state: "Connected", version: "22.5.2", channels: 4 },
    ]);
    watch.stop();
  });

  test("that does not answer is tried ever more seldom, and shows no channels meanwhile", async () => {
    const { clock, connected, faults, watch, changes } = bench();
    watch.want("a", [target("192.0.2.1")]);
    await clock.advance(10_000);
    faults.set("192.0.2.1", new AmiError("Unreachable", "econnrefused."));
    await clock.advance(600_000);
    expect(connected.length).toBeLessThan(20);
    expect(watch.views("a")).toEqual([
      { host: "192.0.2.1", port: 5038, state: "Unreachable", message: "econnrefused.", version: "22.5.2" },
    ]);
    faults.clear();
    await clock.advance(61_000);
    expect(watch.views("a")[0]).toMatchObject({ state: "Connected", channels: 0 });
    expect(changes).toEqual(["a undefined > Connected", "a Connected > Unreachable", "a Unreachable > Connected"]);
    watch.stop();
  });

  test("that refuses the login is not asked more than about once a minute; a new password is tried at once", async () => {
    const { clock, connected, faults, watch } = bench();
    faults.set("192.0.2.1", new AmiError("LoginRefused", "the login is refused."));
    watch.want("a", [target("192.0.2.1")]);
    await clock.advance(300_000);
    expect(connected.length).toBeLessThanOrEqual(7);
    faults.clear();
    watch.want("a", [target("192.0.2.1", "right")]);
    await clock.advance(100);
    expect(watch.views("a")[0]?.state).toBe("Connected");
    watch.stop();
  });

  test("that nobody wants any more is left alone, its connection closed", async () => {
    const { clock, asked, closed, watch } = bench();
    watch.want("a", [target("192.0.2.1"), target("192.0.2.2")]);
    await clock.advance(1000);
    watch.want("a", [target("192.0.2.2")]);
    expect(closed).toEqual(["192.0.2.1"]);
    const before = asked.filter((host) => host === "192.0.2.1").length;
    await clock.advance(60_000);
    expect(asked.filter((host) => host === "192.0.2.1")).toHaveLength(before);
    expect(watch.views("a").map(({ host }) => host)).toEqual(["192.0.2.2"]);
    watch.stop();
    expect(closed).toEqual(["192.0.2.1", "192.0.2.2"]);
  });
});

test("a thousand PBXes are asked at the rate that is allowed, from the first second on", async () => {
  const { clock, asked, connected, watch } = bench({ pollsPerSecond: 100 });
  for (let index = 0; index < 1000; index += 1)
    watch.want(`pbx-${index}`, [target(`10.0.${index >> 8}.${index & 255}`)]);
  await clock.advance(1000);
  expect(connected.length).toBeLessThanOrEqual(220);
  await clock.advance(59_000);
  expect(asked.length).toBeGreaterThan(4000);
  expect(asked.length).toBeLessThanOrEqual(7000);
  watch.stop();
});
