import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OperatorError } from "../../../src/errors.ts";
import { lookupRoute, type RouterPlan } from "../../../src/ir/index.ts";
import { parseDataFiles, renderFiles } from "../../../src/render/files.ts";
import { greaterThan } from "../../../src/render/kamailio/numberPattern.ts";
import {
  advertisedHost,
  cfgText,
  dbTextField,
  dispatcherAttrs,
  dispatcherLine,
  dispatcherUri,
} from "../../../src/render/kamailio/quote.ts";
import { renderControlSecret } from "../../../src/render/kamailio/tokens.ts";
import { renderProcess } from "../../../src/render/process.ts";
import { routerPlan } from "../../support/sip/plan.ts";

const plan = (): RouterPlan =>
  routerPlan({
    sets: [
      {
        name: "a",
        id: 1,
        destinations: [
          { host: "192.0.2.1", port: 5060 },
          { host: "2001:db8::1", port: 5061, transport: "TCP", priority: 1 },
        ],
      },
      {
        name: "w",
        id: 2,
        algorithm: "Weighted",
        destinations: [
          { host: "192.0.2.2", port: 5060, weight: 30, disabled: true },
          { host: "192.0.2.3", port: 5060, priority: 99 },
        ],
      },
    ],
    routes: [
      { name: "range", set: "a", digits: "1", length: 4 },
      { name: "star", set: "w", digits: "*9#", length: 3 },
      { name: "out", set: "w", digits: "+44", callers: "Trusted", strip: 3, prefix: "0" },
      { name: "b", set: "a", digits: "1", length: 4, tenant: 12 },
      { name: "external", set: "w", digits: "", callers: "Trusted" },
    ],
    domains: [{ domain: "b.example.com", tenant: 12 }],
  });

/** Strings that break out of some context, and any other. */
const hostile = fc.oneof(
  fc.constantFrom(
    "x;obproxy=sip:evil", "x y", "a\r\nb", "a\n1 sip:evil 0 0", "#!define X", "$var(x)", '"; exit; "', "a:b", "a\\", "\\n", "\u0000", "é",
    "SIPR_POD_IP", "%00", "[::1]", "127.0.0.1;x", "1".repeat(1100), "a#b", " ", "\t", "-", "|", "../x",
  ), // prettier-ignore
  // good ones, so that what is not refused is seen too
  fc.constantFrom("192.0.2.77", "2001:db8::7", "abc", "20", "+44", "b.example.org", "503", "rweight"),
  fc.string({ unit: fc.constantFrom(..."ab10.:;=-"), minLength: 1, maxLength: 6 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
);

/** The value, or undefined when it was refused as it must be. */
function orRefused<Value>(act: () => Value): Value | undefined {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof OperatorError) || error.code !== "SIPR_RENDER_REFUSED") throw error;
    if (!/^Use .+\.$/.test(error.remedy)) throw error;
    return undefined;
  }
}

/** dispatch.c, ds_load_list: pieces of 1,023 bytes, fields end at white space or #. */
const readAsKamailio = (text: string): string[][] =>
  text
    .split("\n")
    .flatMap((line) => line.match(/[\s\S]{1,1022}/g) ?? [])
    .map(
      (piece) =>
        piece
          .split("#")[0]
          ?.split(/[ \t\r]+/)
          .filter((field) => field !== "") ?? [],
    )
    .filter((fields) => fields.length > 0);

const linesOf = (files: Readonly<Record<string, string>>, name: string): number | undefined =>
  files[name]?.split("\n").length;

/** dbt_file.c, dbt_load_file: rows, fields, escapes. */
function readDbText(text: string): string[][] {
  expect(text.endsWith("\n")).toBe(true);
  return text
    .slice(0, -1)
    .split("\n")
    .slice(1)
    .map((row) => {
      const fields = [""];
      for (let index = 0; index < row.length; index += 1) {
        const char = row[index] ?? "";
        if (char === ":") fields.push("");
        else if (char !== "\\") fields[fields.length - 1] += char;
        else {
          index += 1;
          if (row[index] !== "\\" && row[index] !== ":") throw new Error(`unknown escape in ${row}`);
          fields[fields.length - 1] += row[index] ?? "";
        }
      }
      return fields;
    });
}

describe("a hostile string is refused, or is read back as the one thing it is", () => {
  test("dispatcher destination", () => {
    fc.assert(
      fc.property(
        hostile,
        fc.constantFrom("UDP", "TCP", "TLS"),
        fc.oneof(fc.integer(), fc.double()),
        (host, transport, port) => {
          const uri = orRefused(() => dispatcherUri("x", host, port, transport));
          return uri === undefined || /^sip:([0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5};transport=(udp|tcp|tls)$/.test(uri);
        },
      ),
    );
    expect(orRefused(() => dispatcherUri("x", "pbx.example.com", 5060, "UDP"))).toBeUndefined();
    expect(orRefused(() => dispatcherUri("x", "fe80::1%eth0", 5060, "UDP"))).toBeUndefined();
  });

  test("dispatcher attributes and lines", () => {
    fc.assert(
      fc.property(hostile, hostile, (name, value) => {
        const attrs = orRefused(() => dispatcherAttrs("x", [[name, value]]));
        const fields = ["100", "sip:192.0.2.1:5060", "0", "0", value];
        const line = orRefused(() => dispatcherLine("x", fields));
        expect([attrs?.split(/[;=]/), line && readAsKamailio(line)]).toEqual([
          attrs && [name, value],
          line && [fields],
        ]);
      }),
    );
  });

  test("db_text field", () => {
    fc.assert(
      fc.property(hostile, hostile, (first, second) => {
        const row = orRefused(() => [first, second].map((value) => dbTextField("x", value)).join(":"));
        expect(row && readDbText(`head\n${row}\n`)).toEqual(row && [[first, second]]);
      }),
    );
  });

  test("kamailio.cfg", () => {
    fc.assert(
      fc.property(hostile, (value) => {
        const quoted = [orRefused(() => cfgText("x", value)), orRefused(() => advertisedHost("x", value))];
        expect(quoted.join("")).not.toMatch(/["\\\r\n$!#]|SIPR_/);
      }),
    );
  });

  /** The schema bypassed: any of these fields of a plan. */
  const fields: readonly [name: string, put: (plan: RouterPlan, value: string) => RouterPlan][] = [
    [
      "host",
      (p, host) =>
        edit(p, "sets", (set) => ({ ...set, destinations: set.destinations.map((one) => ({ ...one, host })) })),
    ],
    [
      "uri",
      (p, uri) =>
        edit(p, "sets", (set) => ({ ...set, destinations: set.destinations.map((one) => ({ ...one, uri })) })),
    ],
    ["route", (p, route) => edit(p, "routes", (row) => ({ ...row, route }))],
    [
      "set",
      (p, name) =>
        edit(
          edit(p, "sets", (set) => ({ ...set, name })),
          "routes",
          (row) => ({ ...row, set: name }),
        ),
    ],
    ["digits", (p, digits) => edit(p, "routes", (row) => ({ ...row, pattern: { digits } }))],
    ["prefix", (p, prefix) => edit(p, "routes", (row) => ({ ...row, prefix }))],
    ["domain", (p, domain) => edit(p, "domains", (row) => ({ ...row, domain }))],
    ["advertise", (p, advertise) => ({ ...p, structure: { ...p.structure, advertise } })],
    ["maxCalls: destination", (p, uri) => withData(p, { caps: [{ uri, backend: "default/a-1", limit: 5 }] })],
    [
      "maxCalls: backend",
      (p, backend) => withData(p, { caps: [{ uri: "sip:192.0.2.1:5060;transport=udp", backend, limit: 5 }] }),
    ],
    ["trunk: URI", (p, uri) => withData(p, { trunks: { salt: "1", logins: [{ ...login, uri }] } })],
    ["trunk: username", (p, username) => withData(p, { trunks: { salt: "1", logins: [{ ...login, username }] } })],
    ["trunk: password", (p, password) => withData(p, { trunks: { salt: "1", logins: [{ ...login, password }] } })],
    [
      "registering PBX: user",
      (p, user) => withData(p, { registrants: { salt: "1", users: [{ user, ha1: HA1, backend }] } }),
    ],
    [
      "registering PBX: HA1",
      (p, ha1) => withData(p, { registrants: { salt: "1", users: [{ user: "a", ha1, backend }] } }),
    ],
    ["registering PBX: realm", (p, realm) => withStructure(p, { registrants: { realm } })],
    ["user", (p, user) => withData(p, { credentials: { salt: "1", users: [{ user, ha1: HA1 }] } })],
    ["user: HA1", (p, ha1) => withData(p, { credentials: { salt: "1", users: [{ user: "a", ha1 }] } })],
    ["rtpengine", (p, address) => withStructure(p, { rtpengine: [address] })],
    ["TLS listener", (p, listener) => withStructure(p, { tls: { ...tls, listener } })],
    ["authorities", (p, ca) => withStructure(p, { tls: { ...tls, ca } })],
    [
      "replies",
      (p, reply) => ({ ...p, structure: { ...p.structure, failover: { ...p.structure.failover, replies: [reply] } } }),
    ],
  ];
  const HA1 = "0123456789abcdef0123456789abcdef";
  const backend = "default/a-1";
  const login = { setId: 100, uri: "sip:192.0.2.1:5060;transport=udp", username: "u", password: "p" };
  const tls = { listener: "tls", ca: "abcdef" };
  const withData = (p: RouterPlan, data: Partial<RouterPlan["data"]>) => ({ ...p, data: { ...p.data, ...data } });
  const withStructure = (p: RouterPlan, structure: Partial<RouterPlan["structure"]>) => ({
    ...p,
    structure: { ...p.structure, ...structure },
  });
  const edit = <Key extends "sets" | "routes" | "domains">(
    p: RouterPlan,
    key: Key,
    change: (row: RouterPlan["data"][Key][number]) => RouterPlan["data"][Key][number],
  ): RouterPlan => {
    const [first, ...rest] = p.data[key];
    return { ...p, data: { ...p.data, [key]: first === undefined ? rest : [change(first), ...rest] } };
  };

  test.each(fields)("a plan with a hostile %s", (_, put) => {
    const features = {
      advertise: "edge.example.com",
      authentication: { realm: "example.com" },
      maxCalls: true,
      trunks: true,
      registrants: { realm: "example.com" },
      rtpengine: ["udp:192.0.2.9:2223"],
      tls,
    };
    const secrets = {
      caps: [{ uri: login.uri, backend: "a-1", limit: 5 }],
      trunks: { salt: "1", logins: [login] },
      registrants: { salt: "1", users: [{ user: "pbx", ha1: HA1, backend }] },
      credentials: { salt: "1", users: [{ user: "alice", ha1: HA1 }] },
    };
    const base = withData(withStructure(plan(), features), secrets);
    const good = renderFiles(base);
    fc.assert(
      fc.property(hostile, (value) => {
        const files = orRefused(() => renderFiles(put(base, value)));
        if (files === undefined) return;
        // who registers is in the Secret
        expect(parseDataFiles(files.data)).toEqual({ ...files.desired, registrants: undefined });
        expect(readAsKamailio(files.data["dispatcher.list"] ?? "").length).toBe(good.desired.dispatcher.length);
        expect(readDbText(files.data["ext"] ?? "").map((row) => row.length)).toEqual(
          plan()
            .data.routes.map(() => 2)
            .concat(2),
        );
        for (const name of ["kamailio.cfg", "tls.cfg"])
          expect(linesOf(files.structure, name)).toBe(linesOf(good.structure, name));
        for (const name of ["trunks", "registrants", "credentials"])
          expect(readDbText(files.secret[name] ?? "").map((row) => row.length)).toEqual(
            readDbText(good.secret[name] ?? "").map((row) => row.length),
          );
        expect(readDbText(files.data["caps"] ?? "").length).toBe(2);
      }),
    );
  });
});

describe("data files", () => {
  test("parsing is the inverse of rendering, whatever the order of the ConfigMap's keys and what else it holds", () => {
    const { data, desired } = renderFiles(plan());
    expect(parseDataFiles(data)).toEqual(desired);
    expect(parseDataFiles({ other: "x", ...Object.fromEntries(Object.entries(data).toReversed()) })).toEqual(desired);
  });

  test("a destination, a route and a domain each change the revision, and only the table that they are in", () => {
    const before = renderFiles(plan()).desired;
    const changes: readonly [(p: RouterPlan) => RouterPlan, readonly string[]][] = [
      [
        (p) => ({
          ...p,
          data: { ...p.data, sets: p.data.sets.map((set) => ({ ...set, destinations: set.destinations.slice(0, 1) })) },
        }),
        [],
      ],
      [(p) => ({ ...p, data: { ...p.data, routes: p.data.routes.slice(1) } }), ["ext"]],
      [(p) => ({ ...p, data: { ...p.data, domains: [] } }), ["domains"]],
    ];
    for (const [change, tables] of changes) {
      const { desired, structureHash } = renderFiles(change(plan()));
      expect(desired.revision).not.toBe(before.revision);
      expect(structureHash).toBe(renderFiles(plan()).structureHash);
      const changed = desired.tables.filter(({ generation }, index) => generation !== before.tables[index]?.generation);
      expect(changed.map(({ name }) => name)).toEqual(tables);
    }
  });

  test("an empty list is never written", () => {
    const empty = plan();
    const without = {
      ...empty,
      data: { ...empty.data, sets: empty.data.sets.map((set) => ({ ...set, destinations: [] })) },
    };
    expect(() => renderFiles(without)).toThrow(/dispatcherSets/);
    expect(() => parseDataFiles({ "dispatcher.list": "" })).toThrow(OperatorError);
    expect(() => parseDataFiles({})).toThrow(OperatorError);
  });

  test("a file that was cut off is not taken for the whole", () => {
    const { data } = renderFiles(plan());
    const list = data["dispatcher.list"] ?? "";
    expect(() => parseDataFiles({ ...data, "dispatcher.list": list.slice(0, -5) })).toThrow(OperatorError);
    expect(() => parseDataFiles({ ...data, ext: "" })).toThrow(OperatorError);
  });

  test("the table says what the plan says, number by number", () => {
    const rows = new Map(
      readDbText(renderFiles(plan()).data["ext"] ?? "").map(([key = "", value = ""]) => [key, value]),
    );
    const longest = (key: string): string | undefined => {
      for (let end = key.length; end >= 6; end -= 1) {
        const value = rows.get(key.slice(0, end));
        if (value !== undefined) return value;
      }
      return undefined;
    };
    /** what the configuration does */
    const lookup = (number: string, domain?: string): string | undefined => {
      for (const tenant of domain === "b.example.com" ? ["0012", "0000"] : ["0000"]) {
        const fixed = longest(`${tenant}${String(number.length).padStart(2, "0")}${number}`);
        if (fixed !== undefined && (fixed.startsWith("E") || /^[0-9]+$/.test(number))) return fixed;
        const open = longest(`${tenant}00${number}`);
        if (open !== undefined) return open;
      }
      return undefined;
    };
    const number = fc.string({ unit: fc.constantFrom(..."0123456789*#+"), minLength: 1, maxLength: 6 });
    const likely = fc.constantFrom("1000", "1*00", "*9#", "+441", "+44", "10", "11111");
    fc.assert(
      fc.property(fc.oneof(number, likely), fc.constantFrom(undefined, "b.example.com"), (called, domain) => {
        const expected = lookupRoute(plan().data, called, domain);
        expect(lookup(called, domain)?.split("|")[4]).toBe(
          expected === undefined ? undefined : `${expected.set}/${expected.route}`,
        );
      }),
    );
  });
});

test("greaterThan takes exactly the numbers above its limit", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 99_999 }),
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.integer({ min: 0, max: 3 }),
      (limit, number, zeros) => {
        const matches = new RegExp(`^${greaterThan(limit)}$`).test(`${"0".repeat(zeros)}${number}`);
        expect(matches).toBe(number > limit);
      },
    ),
  );
});

describe("the token of the control port", () => {
  const token = "abcdefghijklmnopqrstuvwxyz0123456789";

  test("is in the Secret, and in nothing that others can read", () => {
    const secret = renderControlSecret(token);
    expect(secret["token"]).toBe(token);
    expect(Object.values(secret).every((text) => text.includes(token))).toBe(true);
    const run = renderProcess(plan());
    expect(JSON.stringify([run, renderFiles(plan()).structure])).not.toContain(token);
  });

  test.each(["short", `${token}"`, `${token}!`, `${token}\n`, `${token} `])("%j is refused and not shown", (bad) => {
    const error = (() => {
      try {
        return renderControlSecret(bad);
      } catch (thrown) {
        return thrown as Error;
      }
    })();
    expect(error).toBeInstanceOf(OperatorError);
    expect((error as Error).message).not.toContain(bad);
  });
});

test("nothing in kamailio.cfg is of one pod, and a change of data leaves it as it is", () => {
  const cfg = renderFiles(plan()).structure["kamailio.cfg"] ?? "";
  expect(cfg).not.toMatch(/\/etc\/sip-router|\/run\/sip-router|192\.0\.2|127\.0|2001:db8/);
  const defined = new Set([...cfg.matchAll(/SIPR_[A-Z_]+/g)].map(([token]) => token));
  const given = new Set(renderProcess(plan()).args.flatMap((arg) => /^!(SIPR_[A-Z_]+)!/.exec(arg)?.[1] ?? []));
  expect([...defined].filter((token) => !given.has(token))).toEqual(["SIPR_PEER_KEY", "SIPR_CONTROL_TOKEN"]);
});
