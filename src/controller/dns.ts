/**
 * Addresses of backends whose address is a DNS name: looked up here, because Kamailio refuses a whole list for one name
 * that does not resolve. Looked up again when the record's time to live is over; on an error the last good answer stays.
 */
import { Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import type { Snapshot } from "../model/types.ts";
import type { Clock, ResolveName } from "./types.ts";

export type Names = Snapshot["names"];

export interface NamesOptions {
  readonly clock: Clock;
  readonly resolve: ResolveName;
  /** called after an answer that differs from the last one */
  readonly onChange: (name: string) => void;
}

export interface NameCache {
  /** what is known now; the same object until something changes */
  current(): Names;
  /** exactly these names are wanted from now on */
  want(names: readonly string[]): void;
  /** What an earlier operator knew: it counts until the name is looked up, like any good answer. */
  remember(name: string, addresses: readonly string[]): void;
  /** milliseconds that the first answer may still take: until then the name neither resolves nor fails to; 0: known, or late */
  waitMs(name: string): number;
  stop(): void;
}

const SHORTEST_S = 5;
const LONGEST_S = 300;
const AFTER_ERROR_S = 10;
/** What depends on a name that was never looked up waits this long at most. */
const FIRST_ANSWER_MS = 3000;

export function createNameCache({ clock, resolve, onChange }: NamesOptions): NameCache {
  let names: Names = new Map();
  const timers = new Map<string, unknown>();
  const wantedAt = new Map<string, number>();
  let stopped = false;

  const store = (name: string, value: { addresses: readonly string[] } | { error: string } | undefined): void => {
    const next = new Map(names);
    if (value === undefined) next.delete(name);
    else next.set(name, value);
    names = next;
  };

  const lookUp = async (name: string): Promise<void> => {
    let again = AFTER_ERROR_S;
    let value: { addresses: readonly string[] } | { error: string };
    try {
      const { addresses, ttlSeconds, unanswered = [] } = await resolve(name);
      const last = names.get(name);
      const kept = (last !== undefined && "addresses" in last ? last.addresses : []).filter((address) =>
        unanswered.includes(isIP(address)),
      );
      if (addresses.length + kept.length === 0) throw new Error("no address");
      value = { addresses: [...new Set([...addresses, ...kept])].toSorted() };
      if (unanswered.length === 0) again = Math.min(LONGEST_S, Math.max(SHORTEST_S, ttlSeconds));
    } catch (error) {
      value = { error: error instanceof Error ? error.message : String(error) };
    }
    if (stopped || !timers.has(name)) return;
    timers.set(
      name,
      clock.setTimeout(() => void lookUp(name), again * 1000),
    );
    const old = names.get(name);
    const keepsOld = "error" in value && old !== undefined && "addresses" in old;
    if (keepsOld || JSON.stringify(old) === JSON.stringify(value)) return;
    store(name, value);
    onChange(name);
  };

  return {
    current: () => names,
    want(wanted) {
      const set = new Set(wanted);
      for (const [name, timer] of timers) {
        if (set.has(name)) continue;
        clock.clearTimeout(timer);
        timers.delete(name);
        wantedAt.delete(name);
        store(name, undefined);
      }
      for (const name of set) {
        if (timers.has(name)) continue;
        timers.set(name, undefined);
        wantedAt.set(name, clock.now());
        void lookUp(name);
      }
    },
    remember(name, addresses) {
      const known = names.get(name);
      if (addresses.length === 0 || (known !== undefined && "addresses" in known)) return;
      store(name, { addresses: [...new Set(addresses)].toSorted() });
    },
    waitMs(name) {
      const since = wantedAt.get(name);
      return since === undefined || names.has(name) ? 0 : Math.max(0, since + FIRST_ANSWER_MS - clock.now());
    },
    stop() {
      stopped = true;
      for (const timer of timers.values()) clock.clearTimeout(timer);
      timers.clear();
    },
  };
}

/** The name has no address of this family: that is an answer, everything else is a failure (RFC 2308 2). */
const noAddress = new Set(["ENODATA", "ENOTFOUND"]);
const isAnswer = (answer: PromiseSettledResult<unknown>): boolean =>
  answer.status === "fulfilled" || noAddress.has((answer.reason as NodeJS.ErrnoException).code ?? "");

/** A and AAAA records by the system's DNS servers; the hosts file is not read. */
export function systemResolveName(resolver: Pick<Resolver, "resolve4" | "resolve6"> = systemResolver()): ResolveName {
  return async (name) => {
    const answers = await Promise.allSettled([
      resolver.resolve4(name, { ttl: true }),
      resolver.resolve6(name, { ttl: true }),
    ]);
    const records = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const unanswered = [4, 6].filter((_family, index) => answers[index] !== undefined && !isAnswer(answers[index]));
    if (records.length > 0)
      return {
        addresses: records.map((record) => record.address),
        ttlSeconds: Math.min(...records.map((record) => record.ttl)),
        unanswered,
      };
    const failed = answers.find((answer) => !isAnswer(answer)) ?? answers[0];
    throw failed.status === "rejected" ? failed.reason : new Error("no address");
  };
}

const systemResolver = (): Resolver => new Resolver({ timeout: 3000, tries: 2 });
