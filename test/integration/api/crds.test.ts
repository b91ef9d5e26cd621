/** The generated CRDs on a real API server: they judge as the parser does, default as it does, and carry large routers. */
import { CustomObjectsApi } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { API_VERSION, GROUP, kinds, parsePbxBackend, parseSipRouter, VERSION } from "../../../src/api/index.ts";
import {
  type ApiCase,
  apiCases,
  declaredRules,
  type Fields,
  freeText,
  fullBackends,
  fullRouters,
  hostileTexts,
  minimalBackend,
  minimalRouter,
  objectOf,
  textFields,
} from "../../support/apiCases.ts";
import { startApiServer, type TestApiServer } from "../../support/apiserver.ts";

let server: TestApiServer;
let api: CustomObjectsApi;

beforeAll(async () => {
  server = await startApiServer({ crds: true, controllers: false });
  api = server.kubeConfig.makeApiClient(CustomObjectsApi);
});
afterAll(async () => server.stop());

const plural = (kind: string): string => kinds.find((one) => one.kind === kind)?.plural ?? "";

/** The API server's refusal, or "" when it accepts. Unknown fields are refused, as kubectl asks for. */
async function refusal(object: ReturnType<typeof objectOf>, kind: ApiCase["kind"]): Promise<string> {
  const target = { group: GROUP, version: VERSION, namespace: "default", plural: plural(kind) };
  try {
    await api.createNamespacedCustomObject({ ...target, body: object, dryRun: "All", fieldValidation: "Strict" });
    return "";
  } catch (error) {
    return String((JSON.parse((error as { body: string }).body) as { message: string }).message);
  }
}

const messages = declaredRules();
/** What the API server must say: part of the row, or the rule's static message; an empty text when it accepts. */
const expected = ({ refused }: ApiCase): RegExp | string => {
  if (!refused || refused.server === "accepted") return /^$/;
  return refused.server ?? messages.get(refused.rule ?? "") ?? "a rule that does not exist";
};

describe("each case", () => {
  for (const one of apiCases)
    test(`${one.kind} ${one.name}: ${one.refused && one.refused.server !== "accepted" ? "refused" : "accepted"}`, async () => {
      const wanted = expected(one);
      const message = await refusal(objectOf(one), one.kind);
      expect(message).toMatch(wanted);
    });
});

describe("hostile text", () => {
  const bases = [
    ...fullRouters.map((spec) => ({ kind: "SipRouter" as const, spec })),
    ...fullBackends.map((spec) => ({ kind: "PbxBackend" as const, spec })),
  ];
  for (const { kind, spec } of bases)
    test(`${kind} with ${Object.keys(spec)[0]}: refused in every text field`, async () => {
      expect(await refusal(objectOf({ name: "", kind, spec }), kind)).toBe("");
      const passed: string[] = [];
      for (const field of textFields(spec).filter(({ path }) => !freeText.has(path)))
        for (const text of hostileTexts)
          if ((await refusal(objectOf({ name: "", kind, spec: field.with(text) }), kind)) === "")
            passed.push(`${field.path}: ${JSON.stringify(text)}`);
      expect(passed).toEqual([]);
    });
});

describe("an object that is written", () => {
  const write = async (kind: ApiCase["kind"], name: string, spec: Fields, namespace = "default"): Promise<void> =>
    void (await api.createNamespacedCustomObject({
      group: GROUP,
      version: VERSION,
      namespace,
      plural: plural(kind),
      body: { apiVersion: API_VERSION, kind, metadata: { name, namespace }, spec },
      fieldValidation: "Strict",
    }));
  const read = async (kind: ApiCase["kind"], name: string, namespace = "default"): Promise<Fields> =>
    (await api.getNamespacedCustomObject({
      group: GROUP,
      version: VERSION,
      namespace,
      plural: plural(kind),
      name,
    })) as Fields;
  const lines = (table: string): string[][] =>
    table
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/ {2,}/));

  beforeAll(async () => {
    await write("SipRouter", "edge", minimalRouter);
    await write("PbxBackend", "pbx-1", minimalBackend);
  });

  test("has the defaults that the parser gives", async () => {
    const router = await read("SipRouter", "edge");
    const backend = await read("PbxBackend", "pbx-1");
    expect(parseSipRouter({ metadata: { name: "edge" }, spec: minimalRouter })).toMatchObject({
      ok: { spec: router["spec"] },
    });
    expect(parseSipRouter(router)).toEqual({ ok: router });
    expect(parsePbxBackend({ metadata: { name: "pbx-1" }, spec: minimalBackend })).toMatchObject({
      ok: { spec: backend["spec"] },
    });
    expect(parsePbxBackend(backend)).toEqual({ ok: backend });
    expect([router["status"], backend["status"]]).toEqual([{ observedGeneration: -1 }, { observedGeneration: -1 }]);
  });

  test("takes partly given objects with the other defaults", async () => {
    const spec = {
      ...minimalRouter,
      failover: { maxAttempts: 2 },
      rateLimit: { requestsPerSecond: 5 },
      accessControl: {},
    };
    await write("SipRouter", "partly", spec);
    const stored = await read("SipRouter", "partly");
    expect(parseSipRouter({ metadata: { name: "partly" }, spec })).toMatchObject({ ok: { spec: stored["spec"] } });
    expect(parseSipRouter(stored)).toEqual({ ok: stored });
  });

  test("shows in `kubectl get sip` with the columns of its status", async () => {
    await write("SipRouter", "shown", minimalRouter);
    await write("PbxBackend", "shown", minimalBackend);
    const time = "2026-01-01T00:00:00Z";
    const ready = { type: "Ready", status: "True", reason: "Ready", message: "All is well.", lastTransitionTime: time };
    const status = async (kind: string, value: Fields): Promise<unknown> =>
      server.kubectl([
        "patch",
        kind,
        "shown",
        "--subresource=status",
        "--type=merge",
        "-p",
        JSON.stringify({ status: value }),
      ]);
    await status("sipr", {
      conditions: [ready],
      replicas: 2,
      active: "3/4",
      addresses: ["203.0.113.10"],
      revision: "abc",
    });
    await status("pbx", {
      conditions: [ready],
      endpoints: [{ address: "192.0.2.10", port: 5060, transport: "UDP", ready: true }],
      routers: [{ name: "shown", state: "Active", activePods: 2, totalPods: 2, lastTransitionTime: time }],
    });
    const both = (await server.kubectl(["get", "sip"])).stdout;
    expect(both).toContain("siprouter.siprouter.dev/shown");
    expect(both).toContain("pbxbackend.siprouter.dev/shown");
    const routers = lines((await server.kubectl(["get", "sipr", "shown"])).stdout);
    expect(routers[0]).toEqual(["NAME", "READY", "REPLICAS", "ACTIVE", "ADDRESS", "AGE"]);
    expect(routers[1]?.slice(0, 5)).toEqual(["shown", "True", "2", "3/4", "203.0.113.10"]);
    const backends = lines((await server.kubectl(["get", "pbx", "shown"])).stdout);
    expect(backends[0]).toEqual(["NAME", "READY", "ADDRESS", "TRANSPORT", "STATE", "AGE"]);
    expect(backends[1]?.slice(0, 5)).toEqual(["shown", "True", "192.0.2.10", "UDP", "Active"]);
    expect((await server.kubectl(["get", "sipr", "shown", "-o", "wide"])).stdout).toContain("All is well.");
  });

  test("scales, and shows its replicas and selector to an autoscaler", async () => {
    await write("SipRouter", "scaled", minimalRouter);
    await server.kubectl(["scale", "sipr", "scaled", "--replicas=5"]);
    expect(await read("SipRouter", "scaled")).toMatchObject({ spec: { replicas: 5 } });
    const patch = JSON.stringify({ status: { replicas: 3, selector: "a=b" } });
    await server.kubectl(["patch", "sipr", "scaled", "--subresource=status", "--type=merge", "-p", patch]);
    const scale = await server.kubectl(["get", "sipr", "scaled", "--subresource=scale", "-o", "json"]);
    expect(JSON.parse(scale.stdout)).toMatchObject({
      kind: "Scale",
      spec: { replicas: 5 },
      status: { replicas: 3, selector: "a=b" },
    });
  });

  test("merges lists by name when two managers apply their own items", async () => {
    const apply = async (manager: string, spec: Fields): Promise<unknown> =>
      server.kubectl(["apply", "--server-side", `--field-manager=${manager}`, "-f", "-"], {
        input: JSON.stringify({ apiVersion: API_VERSION, kind: "SipRouter", metadata: { name: "merged" }, spec }),
      });
    const route = (name: string, extension: string): Fields => ({
      name,
      match: { extensions: [extension] },
      set: "pbx",
    });
    await apply("base", { ...minimalRouter, routes: [route("one", "1000")] });
    await apply("other", {
      routes: [route("two", "2000")],
      dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx-2" }] }],
    });
    expect(await read("SipRouter", "merged")).toMatchObject({
      spec: {
        routes: [{ name: "one" }, { name: "two" }],
        dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx-1" }, { name: "pbx-2" }] }],
      },
    });
  });

  test("has any pod template and resources kept as they are", async () => {
    const kamailio = {
      resources: { requests: { cpu: "100m" } },
      podTemplate: { metadata: { labels: { a: "b" } }, spec: { tolerations: [{ operator: "Exists" }] } },
    };
    await write("SipRouter", "template", { ...minimalRouter, kamailio });
    expect(await read("SipRouter", "template")).toMatchObject({ spec: { kamailio } });
  });
});

describe("a router with 10,000 routes and 256 sets", () => {
  const large = (lastSet: string): ReturnType<typeof objectOf> => {
    const sets = Array.from({ length: 256 }, (_, at) => ({
      name: `set-${at}`,
      id: at + 1,
      backends: [{ name: "pbx-1" }, { name: "pbx-2" }],
    }));
    const routes = Array.from({ length: 10_000 }, (_, at) => ({
      name: `route-${at}`,
      match: { extensions: [`${100_000 + at * 10}-${100_009 + at * 10}`] },
      set: at === 9999 ? lastSet : `set-${at % 256}`,
    }));
    return objectOf({ name: "", kind: "SipRouter", spec: { dispatcherSets: sets, routes } });
  };

  test("is accepted", async () => {
    expect(await refusal(large("set-0"), "SipRouter")).toBe("");
  });

  test("is still judged: its last route names no set", async () => {
    const message = await refusal(large("nowhere"), "SipRouter");
    expect(message).toContain(messages.get("route-set-exists"));
  });
});
