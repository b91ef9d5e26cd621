/** How many calls are left at a backend that drains: what the operator says of it, and what the pods tell, by the operator's rule. */
import { keyOf, type Condition, type PbxBackend } from "../../api/index.ts";
import { isWith, readCallPeers, type KnownCalls } from "../../kamailio/callPeers.ts";
import { parseDialogAnswer } from "../../kamailio/parse.ts";
import { podNameOf, type FleetPod } from "../fleet/index.ts";
import { answered, askAll, type Answer } from "../print/output.ts";
import type { Context } from "./context.ts";

export interface Left {
  readonly calls: number;
  /** those of them that nobody has answered: they may go elsewhere */
  readonly ringing?: number;
  /** beside them: Kamailio does not tell where they go */
  readonly unknown?: number;
  /** the operator does not say yet that it is over, and why */
  readonly waiting?: string;
  /** somebody else has ended it */
  readonly ended?: string;
  readonly answers: readonly Answer<unknown>[];
}

/** @param asked as it was when it was asked to drain: what the operator said of an earlier generation does not count */
export function createCallCounter(context: Context, asked: PbxBackend): () => Promise<Left> {
  const known = new Map<string, KnownCalls>();
  return async () => {
    const now = (await context.fleet.backends()).find((one) => keyOf(one) === keyOf(asked));
    const ended = endedBy(asked, now);
    if (now === undefined || ended !== undefined) return { calls: 0, ...(ended ? { ended } : {}), answers: [] };
    const { waiting, leftOutAt } = drainOf(now, asked.metadata.generation ?? 0);
    const counted = await countCalls(context, now, leftOutAt, known);
    return { ...counted, ...(waiting === undefined ? {} : { waiting }) };
  };
}

function endedBy(asked: PbxBackend, now: PbxBackend | undefined): string | undefined {
  if (now === undefined) return `PbxBackend ${keyOf(asked)} was deleted meanwhile.`;
  const state = now.spec.adminState ?? "Enabled";
  if (state === "Draining" || state === "Disabled") return undefined;
  return `PbxBackend ${keyOf(asked)} is ${state} again: something else has set spec.adminState. Where it is kept in Git, change it there.`;
}

interface Drain {
  readonly waiting?: string;
  /** seconds since the epoch: calls that began later were not sent there */
  readonly leftOutAt: number;
}

function drainOf({ status }: PbxBackend, generation: number): Drain {
  const drained = status?.conditions?.find(({ type }): boolean => type === "Drained");
  if (drained === undefined || (drained.observedGeneration ?? -1) < generation)
    return {
      waiting: "The operator has not taken up the change yet; if this stays, check that it runs.",
      leftOutAt: Number.POSITIVE_INFINITY,
    };
  if (drained.status === "True") return { leftOutAt: Date.parse(drained.lastTransitionTime) / 1000 };
  return { waiting: said(drained), leftOutAt: Number.POSITIVE_INFINITY };
}

const said = ({ status, message }: Condition): string => `Drained is ${status}: ${message}`;

/** Of all routers of its namespace; a pod that does not run has no calls. */
async function countCalls(
  { fleet }: Context,
  backend: PbxBackend,
  leftOutAt: number,
  known: Map<string, KnownCalls>,
): Promise<Left> {
  const addresses = new Set((backend.status?.endpoints ?? []).map(({ address }) => address));
  const routers = (await fleet.routers()).filter((one) => one.metadata.namespace === backend.metadata.namespace);
  const pods = (await Promise.all(routers.map((router) => fleet.pods(router)))).flat().filter(({ running }) => running);
  const answers = await askAll(pods, async (pod) => {
    const call = (method: string, ...params: (string | number)[]): Promise<unknown> => fleet.rpc(pod, method, params);
    const active = parseDialogAnswer(await call("dlg.stats_active"));
    const peers = await readCallPeers(call, active, knownOf(known, pod));
    return peers.filter((peer) => isWith(peer, addresses, leftOutAt));
  });
  const peers = answered(answers).flatMap(({ value }) => value);
  const unknown = peers.filter(({ hosts, rings }) => hosts === undefined && !rings).length;
  const ringing = peers.filter(({ rings }) => rings).length;
  return { calls: peers.length - unknown, ringing, unknown, answers };
}

function knownOf(all: Map<string, KnownCalls>, pod: FleetPod): KnownCalls {
  const known: KnownCalls = all.get(podNameOf(pod)) ?? new Map();
  all.set(podNameOf(pod), known);
  return known;
}
