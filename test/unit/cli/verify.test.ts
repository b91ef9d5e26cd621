/** Reading back a pod for a user: what the command knows, and that it changes nothing in the pod. */
import { expect, test } from "vitest";
import type { Fleet } from "../../../src/cli/fleet/index.ts";
import { verifyPod } from "../../../src/cli/commands/verify.ts";
import { OperatorError } from "../../../src/errors.ts";
import type { DesiredData } from "../../../src/render/types.ts";
import { pods } from "../../golden/cli/fleet.ts";

const [pod] = pods;
const desired: DesiredData = {
  revision: "dab1bc2409ec",
  dispatcher: [],
  tables: [{ name: "tls", kind: "tls", file: "tls.cfg", generation: "c0ffee" }],
};

/** A pod with TLS that is otherwise in sync; `certificate` is what is noted in it. */
function fleetOf(certificate: string | undefined): { readonly fleet: Fleet; readonly asked: string[] } {
  const asked: string[] = [];
  const notes: Record<string, unknown> = { drain: 0, seeded: 1, certificate };
  const rpc = async (_pod: unknown, method: string, [, key]: readonly (string | number)[] = []): Promise<unknown> => {
    asked.push(method);
    if (method === "dispatcher.list") throw new OperatorError("SIPR_RPC_FAULT", "No Destination Sets", { remedy: "" });
    if (method === "dlg.stats_active") return { all: 0 };
    if (method === "core.version") return "kamailio 5.6.3 (x86_64/linux)";
    const value = method === "htable.get" ? notes[String(key)] : undefined;
    if (value === undefined)
      throw new OperatorError("SIPR_RPC_FAULT", "Key name doesn't exist in htable.", { remedy: "" });
    return { item: { name: key, value } };
  };
  return { fleet: { rpc } as unknown as Fleet, asked };
}
const reads = ["core.shmmem", "core.version", "dispatcher.list", "dlg.stats_active", "htable.get"];

test("the operator's note tells which certificate is shown", async () => {
  const { fleet } = fleetOf("c0ffee");
  expect(await verifyPod(fleet, pod!, desired)).toMatchObject({ inSync: true, differences: [], unknown: [] });
});

test.each([["no note"], ["note of an older certificate", "decaf"]])(
  "%s: unknown, neither in sync nor different, and nothing is written to the pod",
  async (_, certificate?: string) => {
    const { fleet, asked } = fleetOf(certificate);
    const { inSync, differences, unknown } = await verifyPod(fleet, pod!, desired);
    expect({ inSync, differences }).toEqual({ inSync: false, differences: [] });
    expect(unknown).toEqual(["the operator has not noted that the wanted certificate is shown"]);
    expect([...new Set(asked)].toSorted()).toEqual(reads);
  },
);
