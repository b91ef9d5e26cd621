import { expect, test } from "vitest";
import { createNameCache } from "../../../src/controller/dns.ts";
import { createFakeClock } from "../../support/fakeClock.ts";

const setUp = () => {
  const clock = createFakeClock();
  const asked: string[] = [];
  const changes: string[] = [];
  const dns = new Map<string, string[]>();
  const cache = createNameCache({
    clock,
    onChange: (name) => void changes.push(name),
    async resolve(name) {
      asked.push(name);
      const addresses = dns.get(name);
      if (addresses === undefined) throw new Error("ENOTFOUND");
      return { addresses, ttlSeconds: 30 };
    },
  });
  return { clock, asked, changes, dns, cache };
};

test("a name is looked up when it is wanted and again when its time to live is over; a change is told once", async () => {
  const { clock, changes, dns, cache, asked } = setUp();
  dns.set("pbx.example", ["192.0.2.2", "192.0.2.1"]);
  cache.want(["pbx.example"]);
  await clock.advance(0);
  expect(cache.current().get("pbx.example")).toEqual({ addresses: ["192.0.2.1", "192.0.2.2"] });
  const before = cache.current();
  await clock.advance(29_000);
  expect(asked).toHaveLength(1);
  await clock.advance(60_000);
  expect(asked.length).toBeGreaterThan(2);
  expect([cache.current(), changes]).toEqual([before, ["pbx.example"]]);
  dns.set("pbx.example", ["192.0.2.3"]);
  await clock.advance(31_000);
  expect(cache.current().get("pbx.example")).toEqual({ addresses: ["192.0.2.3"] });
  expect(changes).toHaveLength(2);
});

test("an answer that was good stays when the name server fails; one that never was is an error until it is good", async () => {
  const { clock, dns, cache } = setUp();
  dns.set("pbx.example", ["192.0.2.1"]);
  cache.want(["pbx.example", "new.example"]);
  await clock.advance(0);
  expect(cache.current().get("new.example")).toEqual({ error: "ENOTFOUND" });
  dns.clear();
  await clock.advance(120_000);
  expect(cache.current().get("pbx.example")).toEqual({ addresses: ["192.0.2.1"] });
  dns.set("new.example", ["192.0.2.9"]);
  await clock.advance(11_000);
  expect(cache.current().get("new.example")).toEqual({ addresses: ["192.0.2.9"] });
});

test("a name that nobody wants any more is forgotten and not looked up again", async () => {
  const { clock, dns, cache, asked } = setUp();
  dns.set("pbx.example", ["192.0.2.1"]);
  cache.want(["pbx.example"]);
  await clock.advance(0);
  cache.want([]);
  await clock.advance(600_000);
  expect(cache.current().size).toBe(0);
  expect(asked).toHaveLength(1);
});
