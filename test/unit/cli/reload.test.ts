/** `reload`: it ends well when the operator says that it has done it, with all that was changed before. */
import { expect, test } from "vitest";
import type { PbxBackend, SipRouter } from "../../../src/api/index.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { reload } from "../../../src/cli/commands/reload.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import { OperatorError } from "../../../src/errors.ts";
import { renderDispatcherList } from "../../../src/render/kamailio/dispatcherList.ts";
import { backends, pods, router } from "../../golden/cli/fleet.ts";

const DESIRED = {
  "dispatcher.list": renderDispatcherList([]),
  domains:
    "key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n#generation:0:0:aaaaaaaaaaaa:0\n",
  ext: "tprefix(string) tvalue(string)\n*:bbbbbbbbbbbb\n",
};
const answers: Readonly<Record<string, unknown>> = {
  "dlg.stats_active": { all: 0 },
  "core.version": "kamailio 6.1.5 (x86_64/linux)",
  "mtree.match": [{ TVALUE: "bbbbbbbbbbbb" }],
  "htable.get domains #generation": { item: { value: "aaaaaaaaaaaa" } },
  "htable.get st drain": { item: { value: 0 } },
  "htable.get st seeded": { item: { value: 1 } },
};

interface Setup {
  readonly pods?: readonly FleetPod[];
  readonly spec?: object;
  /** of the first backend: the generation that the operator has seen */
  readonly seen?: number;
  /** undefined: it does not run */
  readonly operator?: { readonly accepted?: string; readonly programmed?: string } | undefined;
}

/** A fleet whose pods run what the ConfigMap says. */
function fleetOf({ pods: running = pods.slice(0, 2), spec = {}, seen = 1, operator }: Setup) {
  const out: string[] = [];
  let asked: string | undefined;
  let now = Date.parse("2026-01-01T00:00:00Z");
  const condition = (type: string, status: string) => ({ type, status, reason: "-", message: `${type} because` });
  const found = (): SipRouter => ({
    ...router,
    spec: { ...router.spec, ...spec },
    status: {
      ...router.status,
      observedGeneration: 3,
      lastHandledReloadAt: operator === undefined ? "2025-12-31T00:00:00Z" : asked,
      conditions: [
        condition("Accepted", operator?.accepted ?? "True"),
        condition("Programmed", operator?.programmed ?? "True"),
      ],
    } as SipRouter["status"],
  });
  const first = backends[0] as PbxBackend;
  const changed = {
    ...first,
    metadata: { ...first.metadata, generation: 2 },
    status: { ...first.status, observedGeneration: seen },
  } as PbxBackend;
  const context = {
    fleet: {
      source: "a cluster",
      routers: async () => [found()],
      backends: async () => [changed, ...backends.slice(1)],
      pods: async () => running,
      desired: async () => DESIRED,
      async rpc(_pod: FleetPod, method: string, params: readonly unknown[] = []) {
        if (method === "dispatcher.list")
          throw new OperatorError("SIPR_RPC_FAULT", "No Destination Sets", { remedy: "" });
        return answers[method] ?? answers[`${method} ${params.join(" ")}`];
      },
      async requestReload(_router: SipRouter, at: string) {
        asked = at;
        return found();
      },
    },
    io: {
      stdout: (line: string) => void out.push(line),
      stderr: () => {},
      env: {},
      columns: undefined,
      signal: new AbortController().signal,
    },
    now: () => (now += 1000),
  } as unknown as Context;
  return { out, asked: () => asked, run: () => reload(context, undefined, { timeout: 2 }) };
}

test("the operator has done it: all pods are read back", async () => {
  const { run, out } = fleetOf({ seen: 2, operator: {} });
  expect(await run()).toBe(0);
  expect(out.at(-1)).toMatch(/^SipRouter voice\/edge {2}2 of 2 pods read back with revision \w+$/);
});

test("the operator does not run: not done, though the pods run what is stored", async () => {
  const { run, out, asked } = fleetOf({ seen: 2 });
  expect(await run()).toBe(1);
  expect(asked()).toMatch(/Z$/);
  expect(out.at(-1)).toBe("  the operator has not done it yet; if this stays, check that it runs");
});

test("a backend was changed and the operator has not seen it: what is stored is not what was asked for", async () => {
  const { run, out } = fleetOf({ seen: 1, operator: {} });
  expect(await run()).toBe(1);
  expect(out.at(-1)).toBe("  the operator has not looked at PbxBackend voice/freepbx-1 as it is now");
});

test.each([
  ["no pod is there", { pods: [] }, "  it has no pods"],
  ["none is wanted", { pods: [], spec: { replicas: 0 } }, "  it has no pods: spec.replicas is 0"],
  [
    "the spec is refused",
    { operator: { accepted: "False" } },
    "  the spec is refused, the pods run what was accepted before: Accepted because",
  ],
  [
    "what it wants is not in the pods",
    { operator: { programmed: "False" } },
    "  Programmed is False: Programmed because",
  ],
])("not done: %s", async (_, setup, last) => {
  const { run, out } = fleetOf({ seen: 2, operator: {}, ...setup });
  expect(await run()).toBe(1);
  expect(out.at(-1)).toBe(last);
});
