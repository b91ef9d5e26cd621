/** What a PbxBackend's status says of its Asterisk Managers, and of the calls that are left at it. */
import type { AdminState, PbxBackendStatus, Reason } from "../api/index.ts";
import type { AmiState, AmiView } from "../ami/types.ts";
import { decideVerdict, listNames, no, unknown, yes, type Check } from "./checks.ts";
import type { DrainView, Verdict } from "./types.ts";

type ManagerEntry = NonNullable<PbxBackendStatus["management"]>[number];

/** Those that have been asked; sorted by address. Live channels are a metric: they would be a write each time. */
export function managerEntries(
  views: readonly AmiView[],
  before: readonly ManagerEntry[] | undefined,
  now: string,
): ManagerEntry[] {
  return views
    .flatMap(({ host, port, state, version }) => {
      const old = before?.find((entry) => entry.address === host && entry.port === port);
      if (state === undefined) return old === undefined ? [] : [old];
      const since = old !== undefined && old.state === state ? old.lastTransitionTime : now;
      const known = version ?? old?.version;
      const said = known === undefined ? {} : { version: known };
      return [{ address: host, port, state, ...said, lastTransitionTime: since }];
    })
    .toSorted((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port));
}

const reasonOf: Readonly<Record<Exclude<AmiState, "Connected">, Reason>> = {
  Unreachable: "ManagerUnreachable",
  LoginRefused: "ManagerLoginRefused",
  Denied: "ManagerDenied",
  Untrusted: "ManagerUntrusted",
};

const placeOf = ({ host, port }: AmiView): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** @param views undefined: no manager is asked for, and the condition is not there */
export function judgeManaged(views: readonly AmiView[] | undefined): Verdict | undefined {
  if (views === undefined) return undefined;
  const wrong = views.filter(({ state }) => state !== undefined && state !== "Connected");
  const [first] = wrong;
  if (first?.state !== undefined && first.state !== "Connected") {
    const others = wrong.length === 1 ? "" : ` So do ${wrong.length - 1} more.`;
    return no(reasonOf[first.state], `Asterisk Manager ${placeOf(first)}: ${first.message ?? ""}${others}`);
  }
  if (views.length === 0) return unknown("Unobserved", "There is no Asterisk Manager to ask yet.");
  if (views.some(({ state }) => state === undefined))
    return unknown("Unobserved", "Not every Asterisk Manager has been asked yet.");
  const versions = [...new Set(views.map(({ version }) => version ?? ""))].filter((one) => one !== "").toSorted();
  return yes("Managed", versions.length === 0 ? "Asterisk answers." : `Asterisk ${listNames(versions)} answers.`);
}

interface Drained {
  readonly drain: DrainView | undefined;
  readonly managers: readonly AmiView[] | undefined;
}

/** undefined: the backend takes calls, and the condition is not there. */
export function judgeDrained(adminState: AdminState | undefined, input: Drained): Verdict | undefined {
  if (adminState !== "Draining" && adminState !== "Disabled") return undefined;
  return decideVerdict(drained, yes("Drained", "No call is left."), input);
}

const drained: readonly Check<Drained>[] = [
  ({ drain }) =>
    drain?.leftOut === false
      ? unknown("Progressing", "Not every pod leaves it out of new calls yet: look at Programmed of its routers.")
      : undefined,
  ({ drain, managers = [] }) => {
    const calls = drain?.calls ?? 0;
    const channels = managers.reduce((sum, view) => sum + (view.channels ?? 0), 0);
    if (calls + channels === 0) return undefined;
    const left = [
      ...(calls === 0 ? [] : [`${calls} call${calls === 1 ? "" : "s"} of the routers`]),
      ...(channels === 0 ? [] : [`${channels} live channel${channels === 1 ? "" : "s"} of its Asterisk`]),
    ];
    return no("Draining", `There are left: ${left.join(", ")}.`);
  },
  ({ drain }) =>
    drain?.calls === undefined ? unknown("Unobserved", "Not every pod has told yet which calls it has.") : undefined,
  ({ managers }) => {
    const verdict = judgeManaged(managers);
    if (verdict === undefined || verdict.status === "True") return undefined;
    return unknown(verdict.reason, `Whether it has calls of its own is not known. ${verdict.message}`);
  },
];
