import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SipRouter } from "../../../src/api/index.ts";
import { candidatesOf, explain, lookupKeys, routeTable, rowCounts } from "../../../src/cli/views/explain.ts";
import { judgeSource } from "../../../src/cli/views/caller.ts";
import { lookupRoute } from "../../../src/ir/lookup.ts";
import type { RouterPlan } from "../../../src/ir/types.ts";
import { routeTable as routeFile } from "../../../src/render/kamailio/routeTables.ts";
import { backends, router, views } from "../../golden/cli/fleet.ts";

const withRoutes = (routes: readonly object[], external?: object): SipRouter => ({
  ...router,
  spec: { ...router.spec, routes, external } as unknown as SipRouter["spec"],
});
const domainsOf = fc.option(fc.constantFrom("a.example.com", "b.example.com"), { nil: undefined });
const digits = (least: number, most: number) => fc.stringMatching(new RegExp(`^[0-3]{${least},${most}}$`));
const claim = fc.oneof(
  digits(3, 4).map((extension) => ({ extensions: [extension] })),
  fc
    .constantFrom("000-333", "100-199", "1000-1999", "1200-1299", "0000-3333")
    .map((range) => ({ extensions: [range] })),
  digits(1, 3).map((prefix) => ({ prefixes: [prefix] })),
);
const routes = fc.array(fc.tuple(claim, domainsOf), { maxLength: 8 }).map((all) => {
  const seen = new Set<string>();
  return all.flatMap(([match, domain], index) => {
    const key = JSON.stringify([match, domain]);
    if (seen.has(key)) return [];
    seen.add(key);
    const set = index % 2 === 0 ? "freepbx" : "trunks";
    return [
      {
        name: `r${index}`,
        match: { ...match, ...(domain === undefined ? {} : { domains: [domain] }) },
        set,
        callers: "Anyone",
      },
    ];
  });
});

describe("route explain", () => {
  test("the candidate that it says wins is the row by which the pods route", () => {
    fc.assert(
      fc.property(routes, digits(1, 5), domainsOf, fc.boolean(), (list, number, domain, external) => {
        const one = withRoutes(list, external ? { set: "trunks", callers: "Anyone" } : undefined);
        const winner = lookupRoute({ ...routeTable(one), sets: [], access: { allow: [], deny: [] } }, number, domain);
        const candidates = candidatesOf(one, { number, domain }, winner);
        expect(candidates.filter(({ wins }) => wins).map(({ route }) => route)).toEqual(
          winner === undefined ? [] : [winner.route],
        );
        for (const { wins, why } of candidates) expect(why === "").toBe(wins);
      }),
      { numRuns: 500 },
    );
  });

  test("the keys it asks the pods for find the same row in the table that the pods are given", () => {
    fc.assert(
      fc.property(routes, digits(1, 5), domainsOf, (list, number, domain) => {
        const one = withRoutes(list);
        const table = routeTable(one);
        const sets = ["freepbx", "trunks"].map((name, at) => ({
          name,
          id: at + 1,
          algorithm: "RoundRobin" as const,
          tiers: [0],
          destinations: [],
        }));
        const text = routeFile.render({ data: { ...table, sets } } as unknown as RouterPlan)?.text ?? "";
        const rows = new Map(
          text
            .split("\n")
            .slice(2)
            .filter((row) => row !== "")
            .map((row) => [row.slice(0, row.indexOf(":")), row.slice(row.indexOf(":") + 1)]),
        );
        const longest = (key: string): string | undefined => {
          for (let size = key.length; size >= 6; size -= 1)
            if (rows.has(key.slice(0, size))) return rows.get(key.slice(0, size));
          return undefined;
        };
        const found = lookupKeys(table, { number, domain })
          .map((key) => ({ key, row: longest(key) }))
          .find(({ key, row }) => row !== undefined && rowCounts(row, key, number));
        const winner = lookupRoute({ ...table, sets: [], access: { allow: [], deny: [] } }, number, domain);
        expect(found?.row?.split("|")[4]).toBe(winner === undefined ? undefined : `${winner.set}/${winner.route}`);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["10.9.1.2", false, "accessControl.deny"],
    ["10.1.1.2", true, "accessControl.allow"],
    ["192.0.2.12", true, "backend freepbx-2"],
    ["203.0.113.5", false, "neither a backend"],
    ["2001:db8::1", false, "neither a backend"],
  ])("a call from %s is judged as access control says", (source, admitted, text) => {
    const verdict = judgeSource(router, backends, { number: "1234", source }, undefined);
    expect(verdict.admitted).toBe(admitted);
    expect(verdict.text).toContain(text);
  });

  test("an allow list, or a deny list, without --source: it depends on who calls", () => {
    const asked = { backends, answers: views("RA|0||100=4|freepbx/desk"), question: { number: "1234" } };
    expect(explain({ ...asked, router }).source).toMatchObject({
      admitted: undefined,
      text: expect.stringContaining("only backends and accessControl.allow are served"),
    });
    const denies = {
      ...router,
      spec: { ...router.spec, accessControl: { deny: ["10.0.0.0/8"] } } as SipRouter["spec"],
    };
    expect(explain({ ...asked, router: denies }).source.admitted).toBeUndefined();
    const open = { ...router, spec: { ...router.spec, accessControl: undefined } as unknown as SipRouter["spec"] };
    expect(explain({ ...asked, router: open }).source.admitted).toBe(true);
  });

  test("a backend of the namespace that is in no set of this router is a stranger to it", () => {
    const [first] = backends;
    const other = {
      ...first,
      metadata: { ...first?.metadata, name: "of-another-router", labels: {} },
      status: { ...first?.status, endpoints: [{ address: "192.0.2.99", port: 5060, transport: "UDP", ready: true }] },
    } as (typeof backends)[number];
    const verdict = judgeSource(router, [...backends, other], { number: "1234", source: "192.0.2.99" }, undefined);
    expect(verdict).toMatchObject({ admitted: false, text: expect.stringContaining("neither a backend") });
  });

  test("an unknown caller of a route for trusted callers is refused also where everybody else is let in", () => {
    const one = { ...router, spec: { ...router.spec, accessControl: undefined } as unknown as SipRouter["spec"] };
    const asked = { router: one, backends, answers: views("RT|0||200=11|trunks/external") };
    expect(explain({ ...asked, question: { number: "900123", source: "203.0.113.5" } })).toMatchObject({
      source: { admitted: false },
      served: false,
    });
    expect(explain({ ...asked, question: { number: "900123" } }).source.admitted).toBeUndefined();
  });
});

describe("which destinations are tried now", () => {
  const targets = (spec: object, limited = backends) =>
    explain({
      router: { ...router, spec: { ...router.spec, ...spec } as unknown as SipRouter["spec"] },
      backends: limited,
      question: { number: "1234" },
      answers: views("RA|0||100=4;101=4|freepbx/desk").map((one) =>
        "value" in one
          ? {
              ...one,
              value: {
                ...one.value,
                destinations: one.value.destinations.map((at) => ({ ...at, state: "Active" as const })),
              },
            }
          : one,
      ),
    }).targets.map(({ backend, order, note }) => [backend, order, note]);

  test("no more than the attempts of a call", () => {
    expect(targets({})).toEqual([
      ["freepbx-1", 1, ""],
      ["freepbx-2", 2, ""],
    ]);
    expect(targets({ failover: { maxAttempts: 1 } })).toEqual([
      ["freepbx-1", 1, ""],
      ["freepbx-2", 0, "not tried: a call has at most 1 attempts"],
    ]);
  });

  test("a limit of calls is said, in each pod its part of it", () => {
    const limited = backends.map((one) => ({ ...one, spec: { ...one.spec, maxCalls: 10 } }));
    expect(targets({}, limited)[0]).toEqual(["freepbx-1", 1, "passed over by a pod with 4 calls to it"]);
  });
});

describe("a number that is a user of the registrar", () => {
  const registrar = {
    ...router,
    spec: {
      ...router.spec,
      accessControl: undefined,
      authentication: { realm: "example.com" },
      registration: { mode: "Registrar" },
    } as unknown as SipRouter["spec"],
  };
  const ask = (contacts: readonly number[], source = "203.0.113.77", user = true) =>
    explain({
      router: registrar,
      backends,
      question: { number: "555", source, from: "ann" },
      answers: views(undefined).map((one, at) =>
        "value" in one
          ? {
              ...one,
              value: { ...one.value, row: undefined, known: true, phones: { user, contacts: contacts[at] ?? 0 } },
            }
          : one,
      ),
    });

  test("registered: its phones get the call, though no route claims it, and all pods say so", () => {
    expect(ask([2, 2])).toMatchObject({
      served: true,
      phones: { to: "phones", text: expect.stringContaining("its 2 phones get the call") },
      pods: [{ agrees: true }, { agrees: true }],
    });
    expect(ask([1, 0])).toMatchObject({ served: false, pods: [{ agrees: true }, { agrees: false }] });
  });

  test.each([
    ["not registered: the routes decide", [0, 0], "203.0.113.77", true, "routes"],
    ["not registered and called by a backend: 480", [0, 0], "192.0.2.12", true, "nobody"],
    ["nobody's name", [0, 0], "192.0.2.12", false, undefined],
  ] as const)("%s", (_, contacts, source, user, to) => {
    const { phones, served } = ask(contacts, source, user);
    expect(phones?.to).toBe(to);
    expect(served).toBe(false);
  });
});

describe("who has to log in", () => {
  const secured: SipRouter = {
    ...router,
    spec: {
      ...router.spec,
      accessControl: undefined,
      authentication: { realm: "example.com" },
    } as unknown as SipRouter["spec"],
  };
  const row = "EA|0||300=4|old/tenant-b";
  const ask = (from: string | undefined, known: readonly boolean[], source = "203.0.113.77") => {
    const answers = views(row).flatMap((one, at) =>
      "value" in one ? [{ ...one, value: { ...one.value, known: known[at] ?? false } }] : [],
    );
    return explain({
      router: secured,
      backends,
      question: { number: "1234", source, from },
      answers: known.length === 0 ? [] : answers,
    });
  };
  test.each([
    ["ann", [true, true], undefined, "a known user"],
    ["ann", [true, false], false, "on 1 of 2 pods only"],
    ["eve", [false, false], false, "eve is no user"],
    ["ann", [], undefined, "no pod says"],
    [undefined, [true, true], undefined, "--from USER"],
  ] as const)("%s, known to %j: admitted %s", (from, known, admitted, text) => {
    const { login, served } = ask(from, known);
    expect(login).toMatchObject({ admitted, text: expect.stringContaining(text) });
    if (admitted === false) expect(served).toBe(false);
  });
  test("a backend has not, and who is not let in is not asked", () => {
    expect(ask("ann", [false, false], "192.0.2.12").login).toBeUndefined();
    const denied = {
      ...secured,
      spec: { ...secured.spec, accessControl: { deny: ["203.0.113.0/24"] } } as unknown as SipRouter["spec"],
    };
    const question = { number: "1234", source: "203.0.113.77", from: "ann" };
    expect(explain({ router: denied, backends, question, answers: views(row) })).toMatchObject({
      login: undefined,
      served: false,
    });
  });
  test("who has logged in may use a route for trusted callers", () => {
    const trusted = {
      ...secured,
      spec: {
        ...secured.spec,
        routes: [{ name: "t", match: { extensions: ["77"] }, set: "freepbx", callers: "Trusted" }],
      } as unknown as SipRouter["spec"],
    };
    const question = { number: "77", source: "203.0.113.77", from: "ann" };
    expect(explain({ router: trusted, backends, question, answers: [] }).source.admitted).toBe(true);
    const open = { ...trusted, spec: { ...trusted.spec, authentication: undefined } as unknown as SipRouter["spec"] };
    expect(explain({ router: open, backends, question, answers: [] }).source.admitted).toBe(false);
  });
});
