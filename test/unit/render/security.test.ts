import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OperatorError } from "../../../src/errors.ts";
import type { RouterPlan } from "../../../src/ir/index.ts";
import { parseDataFiles, renderFiles } from "../../../src/render/index.ts";
import { HA1, readRows, securedPlan as plan } from "../../support/securedPlan.ts";

const hostile = fc.oneof(
  fc.constantFrom(
    "10.0.0.0/8\n1 0.0.0.0 1 0", "10.0.0.0 8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "fe80::1%eth0",
    "generation", "example.com", "10.0.0", "0x0a000001", "a:b", "a\\", "x;y", "#generation", '"; exit; "', "$au", "SIPR_CONTROL_TOKEN",
    "é", "\u0000", "", "1000\r\n", HA1.toUpperCase(), `${HA1}0`, "ha1:x",
  ), // prettier-ignore
  fc.constantFrom("10.1.0.0/16", "192.0.2.7", "::1", "0.0.0.0/0", "::/0", "alice", "a.b-c_d", HA1, "example.org"),
  fc.string({ unit: fc.constantFrom(..."0123456789./:af \n"), maxLength: 14 }),
  fc.string({ unit: "binary", maxLength: 40 }),
);

function orRefused<Value>(act: () => Value): Value | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof OperatorError && error.code === "SIPR_RENDER_REFUSED") return undefined;
    throw error;
  }
}

/** address.c, reload_address_file_table: group, address, mask, port, tag; white space between them. */
const readAddresses = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => line.trim().split(/[ \t]+/));

describe("a hostile string is refused, or is one row", () => {
  test.each(["allow", "deny"] as const)("accessControl.%s", (list) => {
    fc.assert(
      fc.property(hostile, (value) => {
        const access = { allow: ["10.0.0.0/8"], deny: [], [list]: ["10.0.0.0/8", value] };
        const files = orRefused(() => renderFiles(plan({ access })));
        if (files === undefined) return;
        expect(value).toMatch(/^[0-9a-f.:]+(\/[0-9]+)?$/i);
        const [mark, ...rows] = readAddresses(files.data["address.list"] ?? "");
        expect(mark?.slice(0, 4)).toEqual(["9", "generation", "0", "0"]);
        for (const [group = "", address = "", mask = "", port] of rows) {
          expect(["1", "2", "3"]).toContain(group);
          expect([address.includes(":") ? Number(mask) <= 128 : Number(mask) <= 32, Number(mask) >= 1, port]).toEqual([
            true,
            true,
            "0",
          ]);
        }
        expect(parseDataFiles(files.data)).toEqual(files.desired);
      }),
    );
  });

  test.each(["user", "ha1"] as const)("credentials: %s", (field) => {
    fc.assert(
      fc.property(hostile, (value) => {
        const users = [
          { user: "1000", ha1: HA1 },
          { user: "1001", ha1: HA1, [field]: value },
        ];
        const files = orRefused(() => renderFiles(plan({ credentials: { salt: "s", users } })));
        if (files === undefined) return;
        const rows = readRows(files.secret["credentials"] ?? "");
        expect(rows.map((row) => row.length)).toEqual([5, 5, 5]);
        expect(rows.map(([user]) => user)).toContain(users[1]?.user);
        expect(parseDataFiles(files.data)).toEqual(files.desired);
      }),
    );
  });

  test.each(["user", "ha1", "domain"] as const)("credentials of domains: %s", (field) => {
    fc.assert(
      fc.property(
        fc.oneof(hostile, fc.constantFrom("pbx.invalid", "invalid", "A.test", "a@b", "@", "1001@a.test")),
        (value) => {
          const user = { user: "1001", ha1: HA1, domain: "b.test", [field]: value };
          const domains = ["a.test", user.domain];
          const users = [{ user: "1000", ha1: HA1, domain: "a.test" }, user];
          const files = orRefused(() =>
            renderFiles(plan({ credentials: { salt: "s", domains, users } }, { authentication: { domains: true } })),
          );
          if (files === undefined) return;
          const rows = readRows(files.secret["tenants"] ?? "");
          expect(rows.map((row) => row.length)).toEqual([5, 5, 5, 5, 5]);
          expect(user.domain).toMatch(/^[a-z0-9.-]+$/);
          expect(user.domain).not.toMatch(/invalid$/);
          // one @, which only the name of a domain begins with
          const keys = rows.map(([key = ""]) => key).filter((key) => key !== "#generation");
          expect(keys.toSorted()).toEqual(
            ["1000@a.test", "@a.test", `@${user.domain}`, `${user.user}@${user.domain}`].toSorted(),
          );
          for (const key of keys) expect(key.split("@")).toHaveLength(2);
          expect(parseDataFiles(files.data)).toEqual(files.desired);
        },
      ),
    );
  });

  test("users without a domain where the router has domains, or of one that it has not, are refused", () => {
    const users = [{ user: "1000", ha1: HA1 }];
    const ofDomain = users.map((user) => ({ ...user, domain: "b.test" }));
    const domains = { authentication: { domains: true } } as const;
    expect(orRefused(() => renderFiles(plan({ credentials: { salt: "s", users } }, domains)))).toBeUndefined();
    for (const list of [users, ofDomain])
      expect(
        orRefused(() => renderFiles(plan({ credentials: { salt: "s", domains: ["a.test"], users: list } }, domains))),
      ).toBeUndefined();
    expect(orRefused(() => renderFiles(plan({ credentials: { salt: "s", users: ofDomain } })))).toBeUndefined();
  });

  test("the realm of PBXes that register, where users have domains", () => {
    const make = (realm: string) => () =>
      renderFiles(
        plan(
          { credentials: { salt: "s", domains: ["a.test"], users: [] }, registrants: { salt: "s", users: [] } },
          { authentication: { domains: true }, registrants: { realm } },
        ),
      );
    const lines = make("sip-router")().structure["kamailio.cfg"]?.split("\n").length;
    fc.assert(
      fc.property(hostile, (realm) => {
        const files = orRefused(make(realm));
        if (files !== undefined) expect(realm).toMatch(/^[a-z0-9.-]+$/);
        expect(files?.structure["kamailio.cfg"]?.split("\n").length ?? lines).toBe(lines);
      }),
    );
  });

  test("the realm in kamailio.cfg", () => {
    const lines = renderFiles(plan()).structure["kamailio.cfg"]?.split("\n").length;
    fc.assert(
      fc.property(hostile, (realm) => {
        const files = orRefused(() => renderFiles(plan({}, { authentication: { realm } })));
        if (files !== undefined) expect(realm).toMatch(/^[a-z0-9.-]+$/);
        expect(files?.structure["kamailio.cfg"]?.split("\n").length ?? lines).toBe(lines);
      }),
    );
  });

  test("limits", () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.integer()), (number) => {
        const files = orRefused(() => renderFiles(plan({ limits: { requestsPerSecond: number, banSeconds: 1 } })));
        if (files !== undefined)
          expect(readRows(files.data["limits"] ?? "")).toContainEqual(["requests", "0", "1", String(number), "0"]);
      }),
    );
  });
});

describe("tables of security", () => {
  test("a mask of 0 is two halves, since Kamailio takes it for none", () => {
    const { data } = renderFiles(plan({ access: { allow: ["0.0.0.0/0", "::/0"], deny: [] } }));
    expect(readAddresses(data["address.list"] ?? "").filter(([group]) => group === "1")).toEqual([
      ["1", "0.0.0.0", "1", "0"],
      ["1", "128.0.0.0", "1", "0"],
      ["1", "8000::", "1", "0"],
      ["1", "::", "1", "0"],
    ]);
  });

  test("without `allow` everyone is served and nobody is trusted", () => {
    const { data } = renderFiles(plan({ access: { allow: [], deny: [] } }));
    expect(readAddresses(data["address.list"] ?? "").map(([group]) => group)).toEqual(["9", "3", "3", "3", "3"]);
  });

  test("lists, limits and credentials are data: each changes its own table only, and no structure", () => {
    const before = renderFiles(plan());
    const changes: readonly [Partial<RouterPlan["data"]>, string][] = [
      [{ access: { allow: [], deny: [] } }, "access"],
      [{ limits: { requestsPerSecond: 51, banSeconds: 300 } }, "limits"],
      [{ credentials: { salt: "s", users: [] } }, "credentials"],
    ];
    for (const [change, table] of changes) {
      const after = renderFiles(plan(change));
      expect(after.structureHash).toBe(before.structureHash);
      const changed = after.desired.tables.filter(
        ({ generation }, index) => generation !== before.desired.tables[index]?.generation,
      );
      expect(changed.map(({ name }) => name)).toEqual([table]);
    }
  });

  test("domains and their users are data; the first of them, and the last that goes, are structure", () => {
    const of = (...domains: readonly string[]) =>
      renderFiles(
        plan(
          { credentials: { salt: "s", domains, users: domains.map((domain) => ({ user: "1001", domain, ha1: HA1 })) } },
          { authentication: { domains: true } },
        ),
      );
    const [one, two] = [of("a.test"), of("a.test", "b.test")];
    expect(two.structureHash).toBe(one.structureHash);
    expect(two.desired.revision).not.toBe(one.desired.revision);
    const none = renderFiles(plan());
    expect(none.structureHash).not.toBe(one.structureHash);
    // pods that still run without domains are not told of users that they could not find
    const tables = (files: typeof none) => files.desired.tables.map(({ name }) => name);
    expect([tables(none).includes("tenants"), tables(one).includes("credentials")]).toEqual([false, false]);
  });

  test("pods that run without domains are not told of PBXes' passwords for another realm than theirs", () => {
    const tables = (authentication: RouterPlan["structure"]["authentication"], realm: string): readonly string[] => {
      const credentials = {
        salt: "s",
        users: [],
        ...(authentication?.domains === true ? { domains: ["a.test"] } : {}),
      };
      const registrants = { salt: "s", users: [{ user: "pbx", ha1: "0".repeat(32), backend: "b" }] };
      const structure = { authentication, registrants: { realm } };
      return renderFiles(plan({ credentials, registrants }, structure)).desired.tables.map(({ name }) => name);
    };
    const [before, after] = [tables({ realm: "a.test" }, "a.test"), tables({ domains: true }, "sip-router")];
    expect(before).toContain("registrants");
    expect(after).not.toContain("registrants");
    expect(after.some((name) => before.includes(name) && /registrants|pbxes|credentials|tenants/.test(name))).toBe(
      false,
    );
    expect(after).toContain("pbxes");
  });

  test("a router without these features has no table, module or route of them", () => {
    const files = renderFiles(plan({}, { accessControl: false, rateLimit: false, authentication: undefined } as never));
    expect(files.desired.tables.map(({ name }) => name)).toEqual(["ext", "domains"]);
    expect(files.structure["kamailio.cfg"]).not.toMatch(/permissions\.so|auth\.so|RATE_LIMIT|banned|AUTHENTICATE/);
    expect(files.secret).toEqual({});
  });
});
