import { expect, test } from "vitest";
import { createNameCache, systemResolveName } from "../../../src/controller/dns.ts";
import { createFakeClock } from "../../support/fakeClock.ts";

/** What a name server says to a question: addresses, or a code of c-ares. */
type Said = readonly string[] | string;

const setUpFamilies = (said: { a: Said; aaaa: Said }) => {
  const clock = createFakeClock();
  const answer = async (what: Said) => {
    if (typeof what === "string") throw Object.assign(new Error(`query ${what}`), { code: what });
    return what.map((address) => ({ address, ttl: 30 }));
  };
  const resolver = { resolve4: () => answer(said.a), resolve6: () => answer(said.aaaa) };
  const resolve = systemResolveName(resolver as never);
  const cache = createNameCache({ clock, onChange: () => undefined, resolve });
  cache.want(["pbx.example"]);
  return { clock, known: () => cache.current().get("pbx.example") };
};

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

test("a question of one family that fails takes none of its addresses away; no such record does", async () => {
  const said: { a: Said; aaaa: Said } = { a: ["192.0.2.1"], aaaa: ["2001:db8::1"] };
  const { clock, known } = setUpFamilies(said);
  await clock.advance(0);
  expect(known()).toEqual({ addresses: ["192.0.2.1", "2001:db8::1"] });
  Object.assign(said, { a: "ESERVFAIL", aaaa: ["2001:db8::2"] });
  await clock.advance(31_000);
  expect(known()).toEqual({ addresses: ["192.0.2.1", "2001:db8::2"] });
  Object.assign(said, { a: ["192.0.2.2"], aaaa: "ETIMEOUT" });
  await clock.advance(11_000);
  expect(known()).toEqual({ addresses: ["192.0.2.2", "2001:db8::2"] });
  Object.assign(said, { a: ["192.0.2.2"], aaaa: "ENODATA" });
  await clock.advance(11_000);
  expect(known()).toEqual({ addresses: ["192.0.2.2"] });
});

test("a name server that never answers for AAAA does not keep the IPv4 addresses away, nor old", async () => {
  const said: { a: Said; aaaa: Said } = { a: ["192.0.2.1"], aaaa: "ESERVFAIL" };
  const { clock, known } = setUpFamilies(said);
  await clock.advance(0);
  expect(known()).toEqual({ addresses: ["192.0.2.1"] });
  said.a = ["192.0.2.9"];
  await clock.advance(31_000);
  expect(known()).toEqual({ addresses: ["192.0.2.9"] });
});
