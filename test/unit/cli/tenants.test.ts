/** `route explain` and `registrations` where each domain has users of its own: whom the pods are asked for, and what is said of it. */
import { describe, expect, test } from "vitest";
import type { SipRouter } from "../../../src/api/index.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { registrations } from "../../../src/cli/commands/registrations.ts";
import { routeExplain } from "../../../src/cli/commands/routes.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import { explain } from "../../../src/cli/views/explain.ts";
import { calledName, registeredNames } from "../../../src/cli/views/tenants.ts";
import { backends, pods, router, views } from "../../golden/cli/fleet.ts";

const A = "a.example.com";
const B = "b.example.com";
const withUsers = (authentication: object): SipRouter => ({
  ...router,
  spec: {
    ...router.spec,
    accessControl: undefined,
    registration: { mode: "Registrar" },
    authentication,
    routes: [
      { name: "a", match: { domains: [A], extensions: ["1000-1999"] }, set: "freepbx", callers: "Anyone" },
      {
        name: "c",
        match: { domains: ["c.example.com"], extensions: ["1000-1999"] },
        set: "freepbx",
        callers: "Anyone",
      },
    ],
  } as unknown as SipRouter["spec"],
});
const tenants = withUsers({ domains: [A, B].map((domain) => ({ domain, credentialsSecretName: "users" })) });
const alone = withUsers({ realm: "example.com", credentialsSecretName: "users" });

test("a user is looked for in every domain, or in the one that is given", () => {
  expect(registeredNames(tenants, "1001")).toEqual([`1001@${A}`, `1001@${B}`, "1001@pbx.invalid"]);
  expect(registeredNames(tenants, "1001@A.Example.com")).toEqual([`1001@${A}`]);
  expect(registeredNames(alone, "1001")).toEqual(["1001"]);
});

test("a called number is a user in a tenant's domain only", () => {
  expect(calledName(tenants, { number: "1001", domain: "A.example.com" })).toBe(`1001@${A}`);
  expect(calledName(tenants, { number: "1001", domain: "c.example.com" })).toBeUndefined();
  expect(calledName(tenants, { number: "1001" })).toBeUndefined();
  expect(calledName(alone, { number: "1001", domain: A })).toBe("1001");
});

describe("the login", () => {
  const login = (from: string | undefined, domain?: string, one = tenants) => {
    const answers = views("EA|0||300=4|freepbx/a").map((answer) =>
      "value" in answer ? { ...answer, value: { ...answer.value, known: true } } : answer,
    );
    const question = { number: "1001", source: "203.0.113.77", from, domain };
    return explain({ router: one, backends, question, answers }).login;
  };
  test.each<[string | undefined, string | undefined, boolean | undefined, string]>([
    [undefined, A, undefined, "--from USER@DOMAIN"],
    ["1001", undefined, undefined, "--from USER@DOMAIN"],
    ["1001", A, undefined, `as 1001@${A}: a known user`],
    [`1001@${A}`, undefined, undefined, `as 1001@${A}: a known user`],
    [`1001@${A.toUpperCase()}`, A, undefined, `as 1001@${A}: a known user`],
    [`1001@${A}`, "192.0.2.1", undefined, `as 1001@${A}: a known user`],
    [`1001@${A}`, B, false, `403: a user of ${A} does not call ${B}`],
    [`1001@${A}`, "C.example.com", false, `403: a user of ${A} does not call c.example.com`],
    ["1001@x.example.com", A, false, "403: x.example.com is none of spec.authentication.domains"],
    ["1001", "c.example.com", false, "403: c.example.com is none of"],
    ["anonymous@anonymous.invalid", A, undefined, "--from USER@DOMAIN"],
    ["anonymous@anonymous.invalid", undefined, false, "403: who hides his name"],
    ["anonymous@anonymous.invalid", "c.example.com", false, "403"],
    [`anonymous@${A}`, B, false, "403"],
  ])("of %s who calls %s: admitted %s", (from, domain, admitted, text) => {
    expect(login(from, domain)).toMatchObject({ admitted, text: expect.stringContaining(text) });
  });
  test("where there are no domains that of the caller says nothing", () => {
    expect(login("1001@anything", A, alone)?.text).toContain("as 1001: a known user");
  });
});

describe("the pods are asked", () => {
  const contextOf = (one: SipRouter) => {
    const asked: string[] = [];
    const context = {
      fleet: {
        source: "all namespaces",
        routers: async () => [one],
        backends: async () => backends,
        pods: async () => [pods[0]],
        async rpc(_: FleetPod, method: string, params: readonly unknown[] = []) {
          asked.push([method, ...params].join(" "));
          if (method === "dispatcher.list") return { RECORDS: [] };
          if (method === "ul.lookup") return { AoR: params[1], Contacts: [] };
          if (method !== "htable.get" || !["credentials", "tenants"].includes(String(params[0]))) return {};
          return { item: { name: params[1], value: "0123456789abcdef0123456789abcdef" } };
        },
      },
      io: { stdout: () => {}, stderr: () => {}, env: {}, columns: undefined },
      now: () => 0,
    } as unknown as Context;
    return { context, asked };
  };
  const listed = async (one: SipRouter, user: string) => {
    const { context, asked } = contextOf(one);
    await registrations(context, undefined, { user, limit: 50, offset: 0 });
    return asked;
  };
  const explained = async (one: SipRouter, question: Parameters<typeof routeExplain>[2]) => {
    const { context, asked } = contextOf(one);
    await routeExplain(context, undefined, question, {});
    return asked.filter((line) => /^ul|credentials|tenants/.test(line)).toSorted();
  };

  test("for the user that is meant", async () => {
    expect(await listed(tenants, "1001")).toEqual(
      [`1001@${A}`, `1001@${B}`, "1001@pbx.invalid"].map((name) => `ul.lookup location ${name}`),
    );
    expect(await listed(alone, "1001")).toEqual(["ul.lookup location 1001"]);
    expect(await explained(tenants, { number: "1001", domain: A, from: `1002@${A}` })).toEqual([
      `htable.get tenants 1001@${A}`,
      `htable.get tenants 1002@${A}`,
      `ul.lookup location 1001@${A}`,
    ]);
    expect(await explained(tenants, { number: "1001", from: `1002@${A}` })).toEqual([`htable.get tenants 1002@${A}`]);
    expect(await explained(tenants, { number: "1001", domain: B, from: `1002@${A}` })).not.toContain(
      `htable.get tenants 1002@${A}`,
    );
    expect(await explained(alone, { number: "1001", domain: A, from: "1002@x" })).toEqual([
      "htable.get credentials 1001",
      "htable.get credentials 1002",
      "ul.lookup location 1001",
    ]);
  });
});
