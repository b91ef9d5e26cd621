/** `drain BACKEND` of a PBX with a manager interface: not done before its Asterisk is empty too. */
import { expect, test } from "vitest";
import type { PbxBackend } from "../../../src/api/index.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { drain } from "../../../src/cli/commands/drain.ts";

/** A backend whose condition `Drained` goes through these, one for each look. */
const contextOf = (looks: readonly string[], management: object | undefined) => {
  const out: string[] = [];
  let look = 0;
  const backend = (): PbxBackend => {
    const [, status = "", message = ""] = /^(\w+): (.*)$/.exec(looks[Math.min(look, looks.length - 1)] ?? "") ?? [];
    look += 1;
    return {
      apiVersion: "siprouter.dev/v1alpha1",
      kind: "PbxBackend",
      metadata: { namespace: "default", name: "pbx-1" },
      spec: { address: "192.0.2.1", transport: "UDP", adminState: "Draining", ...(management ? { management } : {}) },
      status: { observedGeneration: 1, conditions: [{ type: "Drained", status, message, reason: "Drained" }] },
    } as unknown as PbxBackend;
  };
  const context = {
    fleet: {
      source: "a cluster",
      routers: async () => [],
      backends: async () => [backend()],
      setAdminState: async () => {},
    },
    io: { stdout: (line: string) => void out.push(line), stderr: () => {}, signal: new AbortController().signal },
    now: () => 0,
  } as unknown as Context;
  return { context, out };
};
const ami = { ami: { port: 5038, secretName: "ami", tls: false } };

test("it waits for the live channels, and says how many there are", async () => {
  const left = "False: There are left: 2 live channels of its Asterisk.";
  const { context, out } = contextOf([left, left, "True: No call is left."], ami);
  expect(await drain(context, "pbx-1", { wait: true, timeout: 60 })).toBe(0);
  expect(out).toEqual([
    "PbxBackend default/pbx-1 is Draining already",
    "pbx-1: There are left: 2 live channels of its Asterisk.",
    "0 calls left at pbx-1",
  ]);
});

test("it gives up when the time is over, and does not look at Drained of a PBX without a manager", async () => {
  const left = "Unknown: Whether it has calls of its own is not known.";
  expect(await drain(contextOf([left], ami).context, "pbx-1", { wait: true, timeout: 0 })).not.toBe(0);
  expect(await drain(contextOf([left], undefined).context, "pbx-1", { wait: true, timeout: 0 })).toBe(0);
});
