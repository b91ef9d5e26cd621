/**
 * Who takes part in the calls of one Kamailio: all are counted by `dlg.briefing`, and each is asked once (`dlg.dlg_list`) for
 * its contacts, where it was sent and, from a backend, where it came from. A target refresh may change a contact's port or user,
 * hardly ever its host.
 */
import { OperatorError } from "../errors.ts";
import { NOT_THERE, orWhen, type Call } from "./ask.ts";

export interface CallPeers {
  /** hosts of both sides and of their contacts; undefined while it rings, and when Kamailio did not tell them (yet) */
  readonly hosts: readonly string[] | undefined;
  /** nobody has answered it */
  readonly rings: boolean;
  /** when it began, seconds since the epoch */
  readonly startedAt: number;
}

/** "call-id from-tag" -> hosts of a call that was answered */
export type KnownCalls = Map<string, readonly string[]>;

/** Calls whose contacts are asked for in one look. */
const ASKED_AT_ONCE = 500;
/** Kamailio builds an answer in 8 MiB of private memory; a call takes about 200 bytes of it. */
const LISTABLE = 20_000;
/** Of Kamailio's module dialog (dlg_hash.h): 4 confirmed, 5 deleted. */
const CONFIRMED = 4;
const DELETED = 5;

type Fields = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** A call that began later than this after a backend was left out of the lists was not sent there, answered or not. */
const MARGIN_S = 10;

/**
 * Is the call with a backend of these addresses: also when it may be, because nobody has answered it yet or Kamailio does
 * not tell.
 * @param leftOutAt since when new calls are not sent there, seconds since the epoch
 */
export const isWith = ({ hosts, startedAt }: CallPeers, addresses: ReadonlySet<string>, leftOutAt: number): boolean =>
  hosts?.some((host) => addresses.has(host)) ?? startedAt <= leftOutAt + MARGIN_S;

/**
 * @param known of the last look; gets what is new, loses what has ended
 * @throws OperatorError SIPR_RPC_*; SIPR_RPC_FAULT also when there are too many calls to be listed
 */
export async function readCallPeers(call: Call, active: number, known: KnownCalls): Promise<readonly CallPeers[]> {
  if (active > LISTABLE)
    throw new OperatorError("SIPR_RPC_FAULT", `it has ${active} calls, more than can be listed.`, {
      remedy: "Wait until there are fewer.",
    });
  const briefing = await call("dlg.briefing", "cFIs");
  const listed = (Array.isArray(briefing) ? (briefing as Fields[]) : [])
    .filter((one) => Number(one["state"]) !== DELETED)
    .map((one) => ({
      callId: text(one["call-id"]),
      fromTag: text(one["from_tag"]),
      rings: Number(one["state"]) < CONFIRMED,
      startedAt: Number(one["init_ts"] ?? 0),
    }))
    .toSorted((a, b) => a.startedAt - b.startedAt);
  const ids = new Set(listed.map(({ callId, fromTag }) => `${callId} ${fromTag}`));
  for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
  let asked = 0;
  const peers: CallPeers[] = [];
  for (const { callId, fromTag, rings, startedAt } of listed) {
    const id = `${callId} ${fromTag}`;
    if (!rings && !known.has(id) && asked < ASKED_AT_ONCE && isAskable(id)) {
      asked += 1;
      const dialog = await askDialog(call, callId, fromTag);
      if (dialog === ENDED) continue;
      const hosts = hostsOf(dialog);
      if (hosts !== undefined) known.set(id, hosts);
    }
    peers.push({ hosts: known.get(id), rings, startedAt });
  }
  return peers;
}

const ENDED = Symbol("the call has ended meanwhile");

/** undefined: Kamailio refuses to tell of this one call, which says nothing of the others. */
async function askDialog(call: Call, callId: string, fromTag: string): Promise<unknown> {
  try {
    return await orWhen<unknown>(NOT_THERE, ENDED, call("dlg.dlg_list", callId, fromTag));
  } catch (error) {
    if (error instanceof OperatorError && error.code === "SIPR_RPC_FAULT") return undefined;
    throw error;
  }
}

/** What the control route takes as parameters. */
const isAskable = (id: string): boolean => /^[\x20-\x7E]+$/.test(id) && !/["\\]/.test(id);

/** `dlg.dlg_list`; undefined while the call is not answered. */
export function hostsOf(result: unknown): readonly string[] | undefined {
  const dialog = (Array.isArray(result) ? (result as unknown[])[0] : result) as Fields | undefined;
  if (typeof dialog !== "object" || dialog === null || Number(dialog["state"]) < CONFIRMED) return undefined;
  const sides = [dialog["caller"], dialog["callee"]].map((side) => (side as Fields | undefined)?.["contact"]);
  return [...new Set([...sides, callVariable(dialog, "target"), callVariable(dialog, "source")].flatMap(hostOf))];
}

const hostOf = (uri: unknown): readonly string[] => {
  const host = /^<?sips?:(?:[^@>]*@)?(\[[0-9A-Fa-f:.]+\]|[^:;>?]+)/.exec(text(uri))?.[1];
  return host === undefined ? [] : [host.replaceAll(/[[\]]/g, "")];
};

/** What the router noted of a call: `target` and, when a backend began it, `source` are URIs. */
export function callVariable(dialog: Fields, name: "route" | "source" | "target"): string {
  const variables = Array.isArray(dialog["variables"]) ? (dialog["variables"] as Fields[]) : [];
  return text(variables.find((one) => Object.hasOwn(one, name))?.[name]);
}
