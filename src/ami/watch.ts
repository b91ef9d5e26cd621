/**
 * One session for each PBX that is to be watched, asked again and again: at a rate that is bounded however many there are,
 * and ever more seldom while one does not answer.
 */
import { AmiError, type AmiAddress, type AmiLogin, type AmiSession, type AmiView, type ConnectAmi } from "./types.ts";

export interface AmiTarget {
  readonly address: AmiAddress;
  readonly login: AmiLogin;
}

export interface AmiClock {
  setTimeout(run: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface AmiWatchOptions {
  readonly clock: AmiClock;
  readonly connect: ConnectAmi;
  /** 0 to 1 */
  readonly random: () => number;
  /** whatever another look at {@link AmiWatch.views} of this owner shows differently */
  readonly onChange: (owner: string, before: AmiView, after: AmiView) => void;
  /** between two questions to one PBX */
  readonly pollMs?: number;
  /** questions to all of them together, per second */
  readonly pollsPerSecond?: number;
}

export interface AmiWatch {
  /** exactly these are watched for the owner from now on; the same target again goes on as it is */
  want(owner: string, targets: readonly AmiTarget[]): void;
  views(owner: string): readonly AmiView[];
  stop(): void;
}

const POLL_MS = 5000;
const POLLS_PER_SECOND = 100;
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 60_000;
/** A login that is refused again and again gets the router's address banned there. */
const REFUSED_MS = 60_000;

interface Watched {
  readonly owner: string;
  readonly target: AmiTarget;
  view: AmiView;
  session: AmiSession | undefined;
  timer: unknown;
  failures: number;
}

export function createAmiWatch(options: AmiWatchOptions): AmiWatch {
  const { clock, random } = options;
  const pollMs = options.pollMs ?? POLL_MS;
  const perSecond = options.pollsPerSecond ?? POLLS_PER_SECOND;
  /** owner -> identity of the target -> what is watched */
  const owners = new Map<string, Map<string, Watched>>();
  let count = 0;

  const isWatched = (one: Watched): boolean => owners.get(one.owner)?.get(identity(one.target)) === one;

  const show = (one: Watched, view: AmiView): void => {
    const before = one.view;
    one.view = view;
    if (!sameView(before, view)) options.onChange(one.owner, before, view);
  };

  const interval = (): number => Math.max(pollMs, (count / perSecond) * 1000) * (0.9 + random() / 5);

  const schedule = (one: Watched, milliseconds: number): void => {
    if (!isWatched(one)) return;
    one.timer = clock.setTimeout(() => void poll(one), milliseconds);
  };

  const poll = async (one: Watched): Promise<void> => {
    const { address, login } = one.target;
    try {
      one.session ??= await options.connect(address, login);
      const { version, channels } = await one.session.read();
      if (!isWatched(one)) return one.session.close();
      one.failures = 0;
      show(one, { host: address.host, port: address.port, state: "Connected", version, channels });
      schedule(one, interval());
    } catch (error) {
      one.session = undefined;
      if (!isWatched(one)) return;
      schedule(one, failed(one, error));
    }
  };

  /** Milliseconds until the next try. */
  const failed = (one: Watched, error: unknown): number => {
    const { host, port } = one.target.address;
    const state = error instanceof AmiError ? error.state : "Unreachable";
    const message = error instanceof Error ? error.message : String(error);
    const { version } = one.view;
    show(one, { host, port, state, message, ...(version === undefined ? {} : { version }) });
    one.failures += 1;
    const wait = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(one.failures - 1, 10));
    return (state === "Unreachable" ? wait : REFUSED_MS) * (0.75 + random() / 4);
  };

  const drop = (one: Watched): void => {
    clock.clearTimeout(one.timer);
    one.session?.close();
    count -= 1;
  };

  return {
    want(owner, targets) {
      const before = owners.get(owner) ?? new Map<string, Watched>();
      const after = new Map<string, Watched>();
      const begun: Watched[] = [];
      for (const target of targets) {
        const id = identity(target);
        if (after.has(id)) continue;
        const known = before.get(id);
        const { host, port } = target.address;
        const one: Watched = known ?? {
          owner,
          target,
          view: { host, port, state: undefined },
          session: undefined,
          timer: undefined,
          failures: 0,
        };
        if (known === undefined) begun.push(one);
        after.set(id, one);
      }
      if (after.size > 0) owners.set(owner, after);
      else owners.delete(owner);
      for (const [id, one] of before) if (!after.has(id)) drop(one);
      count += begun.length;
      // the first of all at once, many of them spread over what the rate allows
      for (const one of begun) schedule(one, random() * (count / perSecond) * 1000);
    },
    views: (owner) => [...(owners.get(owner)?.values() ?? [])].map((one) => one.view),
    stop() {
      for (const watched of owners.values()) for (const one of watched.values()) drop(one);
      owners.clear();
    },
  };
}

const identity = ({ address, login }: AmiTarget): string => JSON.stringify([address, login]);

const sameView = (a: AmiView, b: AmiView): boolean =>
  a.state === b.state && a.version === b.version && a.channels === b.channels && a.message === b.message;
