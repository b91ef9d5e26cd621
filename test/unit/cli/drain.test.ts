/** `drain BACKEND`: what it says is left, and that it does not end well before the operator says that none is. */
import { test } from "vitest";
import type { PbxBackend } from "../../../src/api/index.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { drain } from "../../../src/cli/commands/drain.ts";
import { OperatorError } from "../../../src/errors.ts";
import { pods, router } from "../../golden/cli/fleet.ts";

const [pod] = pods;
const PBX = "192.0.2.1";
const at = "2026-01-01T00:00:00Z";
const epoch = Date.parse(at) / 1000;

interface Dialog {
  readonly id: string;
  /** [caller, callee]; undefined: it rings */
  readonly hosts?: readonly [string, string];
  readonly startedAt?: number;
  /** Kamailio's answer when it is asked for this call */
  readonly fault?: string;
}

/** How the backend is found, look by look; the last one stays. */
interface Look {
  /** "True: message"; "" while the operator has not looked since it was asked to drain */
  readonly drained: string;
  readonly adminState?: string;
  readonly calls?: readonly Dialog[];
  /** pods that do not answer */
  readonly silent?: readonly string[];
}

const was = (adminState: string, generation: number, drained: string, observed: number): PbxBackend => {
  const [, status, message] = /^(\w+): (.*)$/.exec(drained) ?? [];
  const condition = {
    type: "Drained",
    status,
    message,
    reason: "-",
    lastTransitionTime: at,
    observedGeneration: observed,
  };
  return {
    apiVersion: "siprouter.dev/v1alpha1",
    kind: "PbxBackend",
    metadata: { namespace: "voice", name: "pbx-1", generation },
    spec: { address: PBX, transport: "UDP", adminState },
    status: {
      observedGeneration: observed,
      endpoints: [{ address: PBX, port: 5060, transport: "UDP", ready: true }],
      conditions: status === undefined ? [] : [condition],
    },
  } as unknown as PbxBackend;
};

/** @param before what the operator said when it drained the last time */
function fleetOf(looks: readonly Look[], before = "True: No call is left.") {
  const out: string[] = [];
  const err: string[] = [];
  let look = -1;
  const now = (): Look => looks[Math.min(Math.max(look - 1, 0), looks.length - 1)] as Look;
  const rpc = async (one: { name: string }, method: string, params: readonly unknown[] = []): Promise<unknown> => {
    const { calls = [], silent = [] } = now();
    if (silent.includes(one.name)) throw new OperatorError("SIPR_RPC_UNREACHABLE", "it is silent.", { remedy: "" });
    if (method === "dlg.stats_active") return { all: calls.length };
    const dialogs = calls.map(({ id, hosts, startedAt = epoch - 60, fault }) => {
      const [caller, callee] = (hosts ?? ["", ""]).map((host) => ({ contact: `sip:x@${host}:5060` }));
      return {
        "call-id": id,
        from_tag: "t",
        init_ts: startedAt,
        state: hosts ? 4 : 2,
        caller,
        callee,
        fault,
      };
    });
    if (method === "dlg.briefing") return dialogs;
    const dialog = dialogs.find((call) => call["call-id"] === params[0]);
    if (dialog?.fault !== undefined) throw new OperatorError("SIPR_RPC_FAULT", dialog.fault, { remedy: "" });
    return dialog;
  };
  const context = {
    fleet: {
      source: "a cluster",
      rpc,
      routers: async () => [router],
      pods: async () => [pod],
      async backends() {
        look += 1;
        if (look === 0) return [was("Enabled", 4, before, 4)];
        const { drained, adminState = "Draining" } = now();
        return [drained === "" ? was(adminState, 5, before, 4) : was(adminState, 5, drained, 5)];
      },
      setAdminState: async () => was("Draining", 5, before, 4),
    },
    io: {
      stdout: (line: string) => void out.push(line),
      stderr: (line: string) => void err.push(line),
      signal: new AbortController().signal,
    },
    now: () => Math.max(0, look - 1) * 1000,
  } as unknown as Context;
  const run = (timeout: number): Promise<number> => drain(context, "pbx-1", { wait: true, timeout });
  return { run, out, err, context };
}
const changed = "PbxBackend voice/pbx-1: spec.adminState is Draining now";
const notTaken = "pbx-1: The operator has not taken up the change yet; if this stays, check that it runs.";

test.concurrent("an operator that does not run: not done, whatever the pods say and it said the last time", async ({
  expect,
}) => {
  const { run, out, err } = fleetOf([{ drained: "" }]);
  expect(await run(2)).toBe(1);
  expect(out).toEqual([changed, notTaken]);
  expect(err).toEqual([
    "after 2 s: pbx-1 stays Draining: it gets no new calls, those that are left go on. Wait again with: kubectl sip drain pbx-1; let it take calls again with: kubectl sip undrain pbx-1",
  ]);
});

test.concurrent("calls that it was given and calls that it placed are counted, and those that ring", async ({
  expect,
}) => {
  const elsewhere = ["198.51.100.3", "192.0.2.2"] as const;
  const calls = [
    { id: "to-it", hosts: ["198.51.100.1", PBX] },
    { id: "from-it", hosts: [PBX, "198.51.100.2"] },
    { id: "other", hosts: elsewhere },
    { id: "ringing", startedAt: epoch - 5 },
  ] as const;
  const { run, out } = fleetOf([
    { drained: "False: There are left: 3 calls of the routers.", calls },
    // it rings elsewhere: it began when nobody sent calls there any more
    {
      drained: "True: No call is left.",
      calls: [
        { id: "other", hosts: elsewhere },
        { id: "later", startedAt: epoch + 60 },
      ],
    },
  ]);
  expect(await run(60)).toBe(0);
  expect(out).toEqual([
    changed,
    "pbx-1: Drained is False: There are left: 3 calls of the routers.",
    "3 calls left at pbx-1 (1 of them rings, here or elsewhere)",
    "0 calls left at pbx-1",
  ]);
});

test.concurrent("it waits for the live channels of its Asterisk", async ({ expect }) => {
  const left = { drained: "False: There are left: 2 live channels of its Asterisk." };
  const { run, out } = fleetOf([left, left, { drained: "True: No call is left." }]);
  expect(await run(60)).toBe(0);
  expect(out).toEqual([
    changed,
    "pbx-1: Drained is False: There are left: 2 live channels of its Asterisk.",
    "0 calls left at pbx-1",
  ]);
});

test.concurrent("calls that do not tell where they go, and silent pods, make it at least so many; a silent pod is named once", async ({
  expect,
}) => {
  const calls = [
    { id: "to-it", hosts: ["198.51.100.1", PBX] },
    { id: "untold", hosts: ["198.51.100.1", PBX], fault: "500 Internal" },
  ] as const;
  const untold = fleetOf([{ drained: "Unknown: Not every pod has told.", calls }]);
  expect(await untold.run(1)).toBe(1);
  expect(untold.out).toContain("at least 1 call left at pbx-1 (of 1 more it is not known where they go)");
  const silent = fleetOf([
    { drained: "False: There are left: 1 call.", calls: calls.slice(0, 1), silent: [pod?.name ?? ""] },
  ]);
  expect(await silent.run(3)).toBe(1);
  expect(silent.err.filter((line) => line.includes("no answer from pod"))).toHaveLength(1);
  expect(silent.out).not.toContain("0 calls left at pbx-1");
});

test.concurrent("it ends when something else lets the backend take calls again", async ({ expect }) => {
  const { run, err } = fleetOf([{ drained: "" }, { drained: "", adminState: "Enabled" }]);
  expect(await run(60)).toBe(1);
  expect(err.join()).toContain("is Enabled again: something else has set spec.adminState");
});

test.concurrent("--no-wait says what is so now", async ({ expect }) => {
  const { context, out } = fleetOf([{ drained: "", calls: [{ id: "to-it", hosts: ["198.51.100.1", PBX] }] }]);
  expect(await drain(context, "pbx-1", { wait: false, timeout: 60 })).toBe(0);
  expect(out).toEqual([changed, notTaken, "1 call left at pbx-1"]);
});
