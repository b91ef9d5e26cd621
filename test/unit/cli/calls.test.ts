/** `calls`, `end` and `top`: which call is meant, which part of the list is shown, and what was not counted. */
import { expect, test } from "vitest";
import type { SipRouter } from "../../../src/api/index.ts";
import { endCall, listCalls, topCalls } from "../../../src/cli/commands/calls.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { registrations } from "../../../src/cli/commands/registrations.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import { backends, pods, router } from "../../golden/cli/fleet.ts";

/** The same router, with a pod of the same name, in each namespace. */
function fleetOf(namespaces: readonly string[], calls: number) {
  const out: string[] = [];
  const asked: string[] = [];
  const context = {
    fleet: {
      source: "all namespaces",
      routers: async () => namespaces.map((namespace) => ({ ...router, metadata: { ...router.metadata, namespace } })),
      backends: async () => backends,
      pods: async ({ metadata }: SipRouter) => [{ ...pods[0], namespace: metadata.namespace }],
      async rpc({ namespace, name }: FleetPod, method: string, params: readonly unknown[] = []) {
        asked.push(`${namespace}/${name} ${method} ${params.join(" ")}`);
        if (method === "dlg.stats_active") return { all: calls };
        if (method !== "dlg.briefing") return "Ok";
        return Array.from({ length: calls }, (_, index) => ({
          h_entry: 1,
          h_id: index,
          "call-id": `c${index}`,
          state: 4,
        }));
      },
    },
    io: { stdout: (line: string) => void out.push(line), stderr: () => {}, env: {}, columns: undefined },
    now: () => 0,
  } as unknown as Context;
  return { context, out, asked };
}
const ended = (asked: readonly string[]): readonly string[] => asked.filter((one) => one.includes("dlg.end_dlg"));

test("with -A an ID names the namespace, and just that call is ended", async () => {
  const { context, out, asked } = fleetOf(["a", "b"], 1);
  await listCalls(context, undefined, { limit: 50, offset: 0, allNamespaces: true, output: "json" });
  const lists = JSON.parse(out.join("\n")) as { calls: { id: string }[] }[];
  expect(lists.map(({ calls }) => calls[0]?.id)).toEqual(["1:0@a/edge-7c9f-a", "1:0@b/edge-7c9f-a"]);
  expect(await endCall(context, lists[1]?.calls[0]?.id ?? "")).toBe(0);
  expect(ended(asked)).toEqual(["b/edge-7c9f-a dlg.end_dlg 1 0"]);
});

test("an ID without a namespace is refused where two pods have the name", async () => {
  const { context, asked } = fleetOf(["a", "b"], 1);
  await expect(endCall(context, "1:0@edge-7c9f-a")).rejects.toMatchObject({
    code: "SIPR_USAGE",
    message: "There are 2 pods edge-7c9f-a: a/edge-7c9f-a, b/edge-7c9f-a.",
  });
  expect(ended(asked)).toEqual([]);
});

test("past the end there is nothing, and it says how many there are", async () => {
  const { context, out } = fleetOf(["a"], 8);
  await listCalls(context, undefined, { limit: 50, offset: 100 });
  expect(out).toContain("none from 101 on: there are 8");
});

test("what is not counted above 500 calls is named", async () => {
  const many = fleetOf(["a"], 501);
  await topCalls(many.context, undefined, { limit: 10 });
  expect(many.out[1]).toBe("backends and routes are not counted: each of more than 500 calls would be asked for");
  const data = fleetOf(["a"], 501);
  await topCalls(data.context, undefined, { limit: 10, output: "json" });
  expect(JSON.parse(data.out.join("\n"))).toMatchObject({ calls: 501, notCounted: ["backend", "route"] });
  const few = fleetOf(["a"], 500);
  await topCalls(few.context, undefined, { limit: 10 });
  expect(few.out.join("\n")).toContain("BACKEND");
});

test("a user that no control port takes is a wrong command line, and no pod is asked", async () => {
  const { context, asked } = fleetOf(["a"], 0);
  for (const user of ['a"b', "a\\b", "ä"])
    await expect(registrations(context, undefined, { user, limit: 50, offset: 0 })).rejects.toMatchObject({
      code: "SIPR_USAGE",
    });
  expect(asked).toEqual([]);
});
