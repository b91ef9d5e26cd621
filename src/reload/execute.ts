/** Performs one action on one Kamailio. "Ok" is not proof of anything: the caller reads the pod back. */
import { tableKinds } from "../kamailio/tableKinds.ts";
import type { Control, ControlAddress } from "../kamailio/types.ts";
import type { DataTable } from "../render/types.ts";
import type { ReloadAction } from "./types.ts";

type Call = readonly [method: string, params: readonly (string | number)[]];

/**
 * An `awaitFile` action has no request. An action must not be repeated without reading the pod first: `dispatcher.add`
 * adds a second entry.
 * @throws OperatorError SIPR_RPC_*
 */
export async function executeAction(
  control: Control,
  address: ControlAddress,
  action: ReloadAction,
  tables: readonly DataTable[],
): Promise<void> {
  const call = callOf(action, tables);
  if (call !== undefined) await control.call(address, ...call);
}

/** Kamailio modules dispatcher and htable, sections "RPC Commands". */
function callOf(action: ReloadAction, tables: readonly DataTable[]): Call | undefined {
  switch (action.kind) {
    case "addDestination": {
      const { setId, uri, flags, priority, attrs } = action.entry;
      return ["dispatcher.add", [setId, uri, flags, priority, ...(attrs === "" ? [] : [attrs])]];
    }
    case "removeDestination":
      return ["dispatcher.remove", [action.setId, action.uri]];
    case "setState":
      return ["dispatcher.set_state", [action.state, action.setId, action.uri]];
    case "reloadTable":
      return reloadCall(tables.find((one) => one.name === action.table));
    case "markSeeded":
      return ["htable.seti", ["st", "seeded", 1]];
    case "awaitFile":
      return undefined;
  }
}

const reloadCall = (table: DataTable | undefined): Call | undefined =>
  table === undefined ? undefined : tableKinds[table.kind].reload(table.name);
