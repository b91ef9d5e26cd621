/**
 * A model of running Kamailios behind `Control`, with the habits that matter: `dispatcher.add` is not idempotent, the list
 * is turned round by every change, `dispatcher.set_state` reaches the first entry alone and disregards case, removing what is not there says Ok, a table reload says Ok whatever it did, db_text sees a file's age in whole seconds,
 * and a reply may get lost after the work was done.
 */
import { OperatorError } from "../../src/errors.ts";
import { BrokenOff } from "../../src/kamailio/brokenOff.ts";
import type {
  Control,
  ControlAddress,
  DestinationState,
  ObservedDestination,
  PodReading,
} from "../../src/kamailio/types.ts";
import type { DesiredData, DispatcherEntry } from "../../src/render/types.ts";

export interface KamailioFiles {
  readonly dispatcher: readonly DispatcherEntry[];
  readonly tables: Readonly<Record<string, string>>;
}

export interface FakeKamailio {
  destinations: ObservedDestination[];
  tables: Record<string, string>;
  /** what lies in the data folder, and its modification time in whole seconds */
  files: KamailioFiles;
  filesAt: number;
  /** modification times of the tables when they were loaded */
  loadedAt: Record<string, number>;
  up: boolean;
  /** it was told what the other pods know */
  seeded: boolean;
  /** hosts of caller and callee of each call, undefined: not answered yet */
  dialogs: { readonly id: string; readonly startedAt: number; readonly hosts?: readonly [string, string] }[];
  /** methods called that change something, with parameters */
  readonly calls: string[];
}

/** What happens to the next call: it is not received; it is done but the answer is lost; it is refused. */
export type CallFault = "unreachable" | "lostReply" | "fault";

export interface FakeKamailios extends Control {
  start(host: string, files: KamailioFiles, second: number): FakeKamailio;
  /** the process ends and starts anew from its files */
  restart(host: string): void;
  at(host: string): FakeKamailio;
  remove(host: string): void;
  read(address: ControlAddress, desired: DesiredData): Promise<PodReading>;
  /** asked before every call */
  onCall: (host: string, method: string) => CallFault | undefined;
  /** every call waits for this first */
  before: (host: string) => Promise<void>;
  /** told of what a call has made of a Kamailio */
  after: (host: string, method: string, kamailio: FakeKamailio, params: readonly (string | number)[]) => void;
}

const stateOf = (flags: number): DestinationState =>
  (flags & 4) !== 0 ? "Disabled" : (flags & 1) !== 0 ? "Inactive" : (flags & 2) !== 0 ? "Probing" : "Active";
const observed = ({ setId, uri, flags, priority, attrs }: DispatcherEntry): ObservedDestination => {
  const state = stateOf(flags);
  const shown = { Active: "AP", Inactive: "IP", Probing: "TP", Disabled: "DX" }[state];
  return { setId, uri, state, flags: shown, priority, attrs };
};
const letters: Readonly<Record<string, DestinationState>> = { a: "Active", i: "Inactive", t: "Probing", d: "Disabled" };

/** Every change of the list makes a new one: who comes later stands before those of his priority that came before. */
const sorted = (list: readonly ObservedDestination[]): ObservedDestination[] =>
  list.toSorted((one, other) => other.priority - one.priority);

const load = (files: KamailioFiles, second: number, calls: string[]): FakeKamailio => ({
  destinations: files.dispatcher.map(observed),
  tables: { ...files.tables },
  files,
  filesAt: second,
  loadedAt: Object.fromEntries(Object.keys(files.tables).map((table) => [table, second])),
  up: true,
  seeded: false,
  dialogs: [],
  calls,
});

export function createFakeKamailios(): FakeKamailios {
  const running = new Map<string, FakeKamailio>();
  const at = (host: string): FakeKamailio => {
    const found = running.get(host);
    if (found === undefined) throw new Error(`no Kamailio at ${host}`);
    return found;
  };
  const unreachable = (host: string, cause?: Error): OperatorError =>
    new OperatorError("SIPR_RPC_UNREACHABLE", `the control port of ${host} does not answer`, {
      remedy: "Look at the pod.",
      cause,
    });

  const perform = (kamailio: FakeKamailio, method: string, params: readonly (string | number)[]): unknown => {
    const [first, second, third, fourth, fifth] = params;
    if (method === "dispatcher.add") {
      const entry = {
        setId: Number(first),
        uri: String(second),
        flags: Number(third),
        priority: Number(fourth),
        attrs: String(fifth ?? ""),
      };
      const added = observed(entry);
      // nothing was asked yet
      const one = added.state === "Active" ? { ...added, flags: "AX" } : added;
      kamailio.destinations = sorted([one, ...kamailio.destinations.toReversed()]);
    } else if (method === "dispatcher.remove") {
      const kept = kamailio.destinations.filter((one) => one.setId !== first || one.uri !== second);
      kamailio.destinations = sorted(kept.toReversed());
    } else if (method === "dispatcher.set_state") {
      const state = letters[String(first).charAt(0)] ?? "Active";
      const flags = `${String(first).charAt(0).toUpperCase()}${String(first).endsWith("p") ? "P" : "X"}`;
      const meant = kamailio.destinations.findIndex(
        (one) => one.setId === second && one.uri.toLowerCase() === String(third).toLowerCase(),
      );
      kamailio.destinations = kamailio.destinations.map((one, index) =>
        index === meant ? { ...one, state, flags } : one,
      );
    } else if (method === "mtree.reload" || method === "htable.reload") {
      const table = String(first);
      const generation = kamailio.files.tables[table];
      if (generation !== undefined && kamailio.loadedAt[table] !== kamailio.filesAt) {
        kamailio.tables = { ...kamailio.tables, [table]: generation };
        kamailio.loadedAt[table] = kamailio.filesAt;
      }
    } else if (method === "htable.seti" && second === "seeded") {
      kamailio.seeded = true;
    } else if (method === "core.shmmem") return { total: 1000, real_used: 100 };
    else if (method === "dlg.stats_active") return { all: kamailio.dialogs.length };
    else if (method === "dlg.briefing")
      return kamailio.dialogs.map(({ id, startedAt, hosts }) => ({
        "call-id": id,
        from_tag: "t",
        init_ts: startedAt,
        state: hosts === undefined ? 2 : 4,
      }));
    else if (method === "dlg.dlg_list") {
      const { hosts } = kamailio.dialogs.find(({ id }) => id === first) ?? {};
      const [caller, callee] = (hosts ?? ["", ""]).map((host) => ({ contact: `sip:x@${host}:5060` }));
      return { state: hosts === undefined ? 2 : 4, caller, callee };
    } else if (method === "read")
      return {
        destinations: [...kamailio.destinations],
        tables: { ...kamailio.tables },
        draining: false,
        calls: kamailio.dialogs.length,
        ...(kamailio.seeded ? {} : { fresh: true }),
      };
    else throw new Error(`unknown method ${method}`);
    return "Ok";
  };

  const made: FakeKamailios = {
    onCall: () => undefined,
    before: () => Promise.resolve(),
    after: () => {},
    start(host, files, second) {
      const kamailio = load(files, second, []);
      running.set(host, kamailio);
      return kamailio;
    },
    restart(host) {
      const { files, filesAt, calls } = at(host);
      const started = load(files, filesAt, calls);
      // nothing was asked yet
      for (const one of started.destinations) if (one.state === "Active") Object.assign(one, { flags: "AX" });
      running.set(host, started);
    },
    at,
    remove: (host) => void running.delete(host),
    async call({ host }, method, params = []) {
      await made.before(host);
      const kamailio = running.get(host);
      const stood = kamailio?.up === true;
      const fault = made.onCall(host, method);
      if (stood && !kamailio.up) throw unreachable(host, new BrokenOff("socket hang up"));
      if (fault === "unreachable" || kamailio === undefined || !kamailio.up) throw unreachable(host);
      if (fault === "fault")
        throw new OperatorError("SIPR_RPC_FAULT", `${method} was refused by ${host}`, { remedy: "Look at the pod." });
      if (method !== "read" && !method.startsWith("dlg.")) kamailio.calls.push(`${method} ${params.join(" ")}`);
      const answer = perform(kamailio, method, params);
      made.after(host, method, kamailio, params);
      await Promise.resolve();
      if (fault === "lostReply") throw unreachable(host, new BrokenOff("socket hang up"));
      return answer;
    },
    read: async (address) => (await made.call(address, "read")) as PodReading,
  };
  return made;
}
