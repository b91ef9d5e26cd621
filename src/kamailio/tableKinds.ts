/** What a kind of data table is to a running Kamailio: how it is reloaded, and how the generation it runs is read back. */
import type { DataTable } from "../render/types.ts";
import { NOT_THERE, orWhen, type Call } from "./ask.ts";
import { parseDomainDump, parseHtableAnswer, parseMtreeAnswer } from "./parse.ts";

export interface TableKind {
  /** of the RPC that loads the file anew; Kamailio modules tls, htable, permissions and mtree, sections "RPC Commands" */
  reload(name: string): readonly [method: string, params: readonly string[]];
  /**
   * undefined: the pod runs no such table, or has no note of it
   * @throws OperatorError SIPR_RPC_*
   */
  generation(call: Call, name: string): Promise<string | undefined>;
}

const htableValue = async (call: Call, table: string, key: string): Promise<string | undefined> => {
  const value = parseHtableAnswer(await orWhen(NOT_THERE, undefined, call("htable.get", table, key)));
  return value === undefined ? undefined : String(value);
};

/** In the order of reloading: what lookups refer to before the lookups. */
export const tableKinds: Readonly<Record<DataTable["kind"], TableKind>> = {
  // what a pod shows is proved by a handshake and noted in the pod
  tls: { reload: () => ["tls.reload", []], generation: (call) => htableValue(call, "st", "certificate") },
  htable: {
    reload: (name) => ["htable.reload", [name]],
    generation: (call, name) => htableValue(call, name, "#generation"),
  },
  address: {
    reload: () => ["permissions.addressReload", []],
    generation: async (call) => parseDomainDump(await orWhen(NOT_THERE, undefined, call("permissions.domainDump"))),
  },
  mtree: {
    reload: (name) => ["mtree.reload", [name]],
    generation: async (call, name) =>
      parseMtreeAnswer(await orWhen(NOT_THERE, undefined, call("mtree.match", name, "*", 0))),
  },
};

const order = Object.keys(tableKinds);
export const byReloadOrder = (a: DataTable, b: DataTable): number =>
  order.indexOf(a.kind) - order.indexOf(b.kind) || (a.name < b.name ? -1 : 1);
