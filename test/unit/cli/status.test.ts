/** `status --check`: what is another router's trouble is not this one's. */
import { expect, test } from "vitest";
import type { PbxBackend, SipRouter } from "../../../src/api/index.ts";
import type { Context } from "../../../src/cli/commands/context.ts";
import { status } from "../../../src/cli/commands/view.ts";
import { backends, router } from "../../golden/cli/fleet.ts";

const good = { conditions: [{ type: "Accepted", status: "True" }] };
const routerOf = (name: string, dispatcherSets: readonly object[]): SipRouter =>
  ({
    ...router,
    metadata: { ...router.metadata, name },
    spec: { ...router.spec, dispatcherSets },
    status: good,
  }) as unknown as SipRouter;
const named = routerOf("named", [{ name: "main", backends: [{ name: "freepbx-2" }] }]);
const selects = routerOf("selects", [{ name: "trunks", selector: { matchLabels: { role: "trunk" } } }]);
const other = routerOf("other", [{ name: "main", backends: [{ name: "freepbx-1" }] }]);
// freepbx-1 is the one that does not answer
const context = {
  fleet: {
    source: "a cluster",
    routers: async () => [named, selects, other],
    backends: async () => backends,
    pods: async () => [],
  },
  io: { stdout: () => {}, stderr: () => {}, env: {}, columns: undefined },
} as unknown as Context;

test.each([
  ["named", 0],
  ["selects", 0],
  ["other", 1],
  [undefined, 1],
] as const)("of %s: exit code %i", async (name, code) => {
  const dead = backends.filter((one: PbxBackend) => one.status?.conditions?.some((at) => at.status === "False"));
  expect(dead.map(({ metadata }) => metadata.name)).toEqual(["freepbx-1"]);
  expect(await status(context, name, { check: true })).toBe(code);
});
