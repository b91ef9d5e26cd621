/** A pod that hangs, one that was not started yet, none at all, an API server that fails: every command that asks pods says so. */
import { describe, expect, test } from "vitest";
import { capture } from "../../../src/cli/commands/capture.ts";
import { listCalls, topCalls } from "../../../src/cli/commands/calls.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { registrations } from "../../../src/cli/commands/registrations.ts";
import { ping, routeExplain } from "../../../src/cli/commands/routes.ts";
import { dump, stats } from "../../../src/cli/commands/view.ts";
import type { Fleet, FleetPod } from "../../../src/cli/fleet/index.ts";
import { OperatorError } from "../../../src/errors.ts";
import { until } from "../../support/until.ts";
import { pods, router } from "../../golden/cli/fleet.ts";

const [a, b] = pods as [FleetPod, FleetPod];
const registrar = { ...router, spec: { ...router.spec, registration: { mode: "Registrar" } } } as typeof router;
const briefing = (id: number) => ({
  h_entry: 1,
  h_id: id,
  from_uri: "sip:a@x",
  to_uri: "sip:b@y",
  "call-id": `c${id}`,
  from_tag: "t",
  init_ts: 1,
  start_ts: 1,
  state: 4,
});
const said: Record<string, unknown> = {
  "dispatcher.list": {
    RECORDS: [
      { SET: { ID: 100, TARGETS: [{ DEST: { URI: "sip:192.0.2.11:5060;transport=udp", FLAGS: "AP", PRIORITY: 0 } }] } },
    ],
  },
  "dlg.stats_active": { all: 1 },
  "dlg.briefing": [briefing(1)],
  "tm.t_uac_wait_block": { code: 200, text: "OK" },
  "htable.get": { item: { name: "drain", value: 0 } },
  "ul.lookup": { AoR: "1001", Contacts: [] },
  "mtree.match": { extvalue: "desk freepbx" },
};
const hangs = (): never => {
  throw new OperatorError("SIPR_RPC_UNREACHABLE", "no answer within 5 s.", { remedy: "Look at the pod." });
};

class Stage {
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly abort = new AbortController();
  there: readonly FleetPod[];
  readonly silent = new Set<string>();
  /** of the API server */
  failure: OperatorError | undefined;
  readonly context: Context;

  constructor(there: readonly FleetPod[]) {
    this.there = there;
    const listed = <Value>(value: Value): Value => {
      if (this.failure !== undefined) throw this.failure;
      return value;
    };
    const fleet: Partial<Fleet> = {
      source: "a test",
      routers: async () => listed([registrar]),
      backends: async () => [],
      pods: async () => listed(this.there),
      rpc: async (pod, method) => (this.silent.has(pod.name) ? hangs() : (said[method] ?? {})),
      desired: async () => undefined,
    };
    const io = {
      stdout: (line: string) => void this.out.push(line),
      stderr: (line: string) => void this.err.push(line),
      write: () => undefined,
      columns: undefined,
      env: {},
      cwd: "/",
      signal: this.abort.signal,
    };
    this.context = { fleet: fleet as Fleet, io, now: () => 5000 };
  }
  json(): { notAnswering: { pod: string }[] } {
    return JSON.parse(this.out.join("\n")) as { notAnswering: { pod: string }[] };
  }
}

type Options = { readonly output?: string };
const commands: Record<string, (context: Context, options: Options) => Promise<number>> = {
  dump: (context, options) => dump(context, undefined, options),
  stats: (context, options) => stats(context, undefined, { ...options, rate: false }),
  calls: (context, options) => listCalls(context, undefined, { ...options, limit: 50, offset: 0 }),
  top: (context, options) => topCalls(context, undefined, { ...options, limit: 10 }),
  registrations: (context, options) =>
    registrations(context, undefined, { ...options, user: "1001", limit: 50, offset: 0 }),
  ping: (context, options) => ping(context, undefined, options),
};

describe.each(Object.entries(commands))("%s", (name, run) => {
  test("a pod that hangs: the other is shown, it is named in text and data, exit code 3", async () => {
    const text = new Stage([a, b]);
    text.silent.add(b.name);
    expect(await run(text.context, {})).toBe(3);
    expect(text.err.join("\n")).toContain("no answer from pod voice/edge-7c9f-b: no answer within 5 s.");
    if (name !== "ping" && name !== "registrations") expect(text.out[0]).toContain("pods 1/2");
    const data = new Stage([a, b]);
    data.silent.add(b.name);
    expect(await run(data.context, { output: "json" })).toBe(3);
    expect(data.json().notAnswering.map(({ pod }) => pod)).toEqual(["voice/edge-7c9f-b"]);
  });

  test("no pod at all: exit code 3, and something is printed", async () => {
    const stage = new Stage([]);
    expect(await run(stage.context, {})).toBe(3);
    expect(stage.err.join("\n")).toContain("no pod of SipRouter voice/edge runs");
    expect(stage.out.join("")).toContain("voice/edge");
  });

  test("a pod that was not started yet has nothing to say: it is told apart, exit code 0", async () => {
    const pending = { ...b, running: false, ready: false, pending: true, message: "Unschedulable: no node" };
    const stage = new Stage([a, pending]);
    const healthy = new Stage([a]);
    expect(await run(stage.context, {})).toBe(await run(healthy.context, {}));
    expect(stage.err.join("\n")).toContain("pod voice/edge-7c9f-b does not run: Unschedulable: no node");
    expect(stage.err.join("\n")).not.toContain("incomplete");
  });
});

test("route explain: that there is no pod is told", async () => {
  const stage = new Stage([]);
  const question = { number: "1234", from: undefined, domain: undefined, source: undefined };
  await routeExplain(stage.context, undefined, question, {});
  expect(stage.err.join("\n")).toContain("no pod of SipRouter voice/edge runs");
});

describe("--watch", () => {
  test("names who does not answer with every picture; its exit code is that of the last one", async () => {
    const stage = new Stage([a, b]);
    stage.silent.add(b.name);
    const code = listCalls(stage.context, undefined, { watch: true, interval: 0.1, limit: 50, offset: 0 });
    await until("two pictures", () => stage.err.filter((line) => line.startsWith("no answer from pod")).length >= 2);
    stage.abort.abort("SIGINT");
    expect(await code).toBe(3);
  });

  test("an API server that fails for a while ends nothing: the picture is stale, and then new again", async () => {
    const stage = new Stage([a, b]);
    const code = stats(stage.context, undefined, { watch: true, interval: 0.1, rate: false });
    await until("a picture", () => stage.out.length > 0);
    stage.failure = new OperatorError("SIPR_API", "No answer from the API server.", { remedy: "Check it." });
    await until("it is stale", () => stage.err.some((line) => line.startsWith("stale, of 00:00:05 UTC: No answer")));
    stage.failure = undefined;
    const before = stage.out.length;
    await until("a new picture", () => stage.out.length > before);
    stage.abort.abort("SIGINT");
    expect(await code).toBe(0);
  });
});

describe("calls --follow", () => {
  const follow = (stage: Stage): Promise<number> =>
    listCalls(stage.context, undefined, { follow: true, interval: 0.1, limit: 50, offset: 0 });

  test("a pod that is silent at the end is exit code 3", async () => {
    const stage = new Stage([a, b]);
    stage.silent.add(b.name);
    const code = follow(stage);
    await until("it is named", () => stage.err.some((line) => line.includes("no answer from pod voice/edge-7c9f-b")));
    stage.abort.abort("SIGINT");
    expect(await code).toBe(3);
  });

  test("the calls of a pod that fell silent are over when it is gone", async () => {
    const stage = new Stage([a, b]);
    const code = follow(stage);
    await until("both calls", () => stage.out.length === 2);
    stage.silent.add(b.name);
    await until("it is named", () => stage.err.length > 0);
    expect(stage.out).toHaveLength(2);
    stage.there = [a];
    await until("its call is over", () => stage.out.length === 3);
    expect(stage.out[2]).toMatch(/Ended .*1:1@edge-7c9f-b$/);
    stage.abort.abort("SIGINT");
    expect(await code).toBe(0);
  });
});

test("capture: a pod that falls silent in the middle is named in text and data", async () => {
  for (const output of [undefined, "json"]) {
    const stage = new Stage([a, b]);
    const asked: string[] = [];
    const rpc = stage.context.fleet.rpc.bind(stage.context.fleet);
    stage.context.fleet.rpc = async (pod, method, params) => {
      asked.push(method);
      if (method === "htable.get") throw new OperatorError("SIPR_RPC_FAULT", "Key doesn't exist", { remedy: "" });
      return rpc(pod, method, params);
    };
    const running = capture(stage.context, undefined, { number: "1234", for: 60, ...(output && { output }) });
    await until("it captures", () => stage.err.some((line) => line.startsWith("capturing on 2 pods")));
    stage.context.fleet.rpc = async (pod, method, params) =>
      pod.name === b.name
        ? hangs()
        : method === "htable.get"
          ? (asked.push("again"), { item: { name: "count", value: 0 } })
          : rpc(pod, method, params);
    await until("it was read again", () => asked.filter((one) => one === "again").length > 1);
    stage.abort.abort("SIGINT");
    await running;
    expect(stage.err.join("\n")).toContain("no answer from pod voice/edge-7c9f-b: no answer within 5 s.");
    if (output === "json") expect(stage.json().notAnswering.map(({ pod }) => pod)).toEqual(["voice/edge-7c9f-b"]);
    else expect(stage.out.join("\n")).toContain("edge-7c9f-b fell silent");
  }
});
