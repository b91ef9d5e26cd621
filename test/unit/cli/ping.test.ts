/** `ping`: a destination that costs a request its time hides no other, and what is shown is the time of this OPTIONS. */
import { expect, test } from "vitest";
import type { Context } from "../../../src/cli/commands/context.ts";
import { ping } from "../../../src/cli/commands/routes.ts";
import type { FleetPod } from "../../../src/cli/fleet/index.ts";
import type { PingResult } from "../../../src/cli/views/ping.ts";
import { OperatorError } from "../../../src/errors.ts";
import { backends, pods, router } from "../../golden/cli/fleet.ts";

const hosts = ["192.0.2.11", "192.0.2.12"];
const list = {
  RECORDS: hosts.map((host, index) => ({
    SET: {
      ID: 100 + index,
      TARGETS: [
        {
          DEST: {
            URI: `sip:${host}:5060;transport=udp`,
            FLAGS: "AP",
            PRIORITY: 0,
            ATTRS: { BODY: "" },
            LATENCY: { AVG: 777, STD: 0, EST: 777, MAX: 777, TIMEOUT: 0 },
          },
        },
      ],
    },
  })),
};

function fleetOf(found = backends) {
  const out: string[] = [];
  const waits: number[] = [];
  const slow = { ...router, spec: { ...router.spec, healthCheck: { timeoutSeconds: 9 } } } as typeof router;
  const context = {
    fleet: {
      source: "a cluster",
      routers: async () => [slow],
      backends: async () => found,
      pods: async () => pods.slice(0, 1),
      async rpc(_pod: FleetPod, method: string, params: readonly string[] = [], workMs = 0) {
        if (method === "dispatcher.list") return list;
        waits.push(workMs);
        if (params[1]?.includes("192.0.2.11"))
          throw new OperatorError("SIPR_RPC_UNREACHABLE", "no answer.", { remedy: "" });
        return { code: 200, text: "OK" };
      },
    },
    io: { stdout: (line: string) => void out.push(line), stderr: () => {}, env: {}, columns: undefined },
  } as unknown as Context;
  const results = (): readonly PingResult[] => (JSON.parse(out.join("\n")) as { results: PingResult[] }).results;
  return { run: (target?: string) => ping(context, target, { output: "json" }), results, waits };
}

test("one that is not answered in time is named beside the others, and a request waits as long as Kamailio does", async () => {
  const { run, results, waits } = fleetOf();
  expect(await run()).toBe(1);
  expect(results()).toMatchObject([
    { backend: "freepbx-1", alive: false, code: 0, text: "no answer." },
    { backend: "freepbx-2", alive: true, code: 200 },
  ]);
  expect(results()[0]).not.toHaveProperty("rttMs");
  expect(results()[1]?.rttMs).not.toBe(777);
  expect(waits).toEqual([9000, 9000]);
});

test.each(["freepbx-2", "voice/freepbx-2", "pbxbackend/freepbx-2"])("%s is a backend", async (target) => {
  const { run, results } = fleetOf();
  expect(await run(target)).toBe(0);
  expect(results().map(({ backend }) => backend)).toEqual(["freepbx-2"]);
});

test("a pod is none, nor is what is not there, nor a name that two have", async () => {
  const { run } = fleetOf();
  for (const target of ["pod/edge-7c9f-a", "nobody"])
    await expect(run(target)).rejects.toMatchObject({ code: "SIPR_USAGE", message: expect.stringContaining(target) });
  const twice = fleetOf(
    backends.flatMap((one) => [one, { ...one, metadata: { ...one.metadata, namespace: "other" } }]),
  );
  await expect(twice.run("freepbx-2")).rejects.toMatchObject({ message: expect.stringContaining("other/freepbx-2") });
});
