/** One fleet of three replicas under test: changes one after the other, then ten within 100 ms. */
import { setTimeout as wait } from "node:timers/promises";
import type { Ratio } from "./ratio.ts";
import { uriOf, type Destination } from "./sidecar.ts";

/** all pods and destinations are in it, in a network of the benchmark's own: an EndpointSlice takes no loopback addresses */
export const NET = "10.62";
/** of a destination: it answers OPTIONS at both, so that a changed one is alive */
export const [PORT, OTHER_PORT] = [5060, 5070];

export interface Summary {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export interface Result extends Summary {
  readonly what: string;
  readonly destinations: number;
  readonly changes: number;
  /** known by all replicas not to answer before the changes */
  readonly dead: number;
  /** of these, how often one was taken for alive afterwards: looked at after every twentieth change */
  readonly forgotten: number;
  readonly lostOfTen: number;
  /** milliseconds of processor time of the operator from one change to the next: with status, Events and polling */
  readonly cpuMsPerChange?: number;
  /** milliseconds from the write to each step of the operator */
  readonly stages?: Readonly<Record<string, Summary>>;
  /** of the operator, when sidecars ran beside it */
  readonly timesSidecar?: Ratio;
}

export interface Fleet {
  readonly what: string;
  /** false: only the ten changes in 100 ms */
  readonly timed: boolean;
  /** resolves when all three have the destination: milliseconds from the write until they had */
  change(one: Destination): Promise<number>;
  /** writes the port of a backend */
  write(name: string, port: number): Promise<unknown>;
  /** the port that the API server has */
  read(name: string): Promise<number>;
  /** used so far by who brings the change to the replicas */
  cpuSeconds?(): number;
  /** per pod: URI -> answers or not */
  states(): Promise<readonly ReadonlyMap<string, boolean>[]>;
}

const percentile = (values: readonly number[], part: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
};

export const summary = (times: readonly number[]): Summary => ({
  p50: percentile(times, 0.5),
  p95: percentile(times, 0.95),
  p99: percentile(times, 0.99),
  max: Math.max(...times),
});

/** between two changes */
const SPACING_MS = 100;

/** every fifth, the first excepted, does not answer */
export const isDead = (index: number): boolean => index % 5 === 1;

/** URIs of silent destinations that every replica knows not to answer. */
const knownDead = async (fleet: Fleet, silent: readonly string[]): Promise<readonly string[]> => {
  const look = async (): Promise<readonly string[]> => {
    const all = await fleet.states();
    return silent.filter((uri) => all.every((states) => states.get(uri) === false));
  };
  let dead = await look();
  for (let tries = 0; dead.length < silent.length && tries < 30; tries += 1) {
    await wait(1000);
    dead = await look();
  }
  return dead;
};

/** Most of the ten that one replica did not get. */
const lostOfTen = async (fleet: Fleet, movable: readonly Destination[]): Promise<number> => {
  const ten = Array.from({ length: 10 }, (_, index) => movable[index % movable.length] as Destination);
  const writes: Promise<unknown>[] = [];
  for (const one of ten) {
    writes.push(fleet.write(one.name, 6001 + writes.length));
    await wait(10);
  }
  await Promise.all(writes);
  await wait(4000);
  // writes to one object may overtake each other: what the API server has in the end counts
  const wanted = await Promise.all(
    [...new Set(ten)].map(async ({ name, address }) => uriOf({ address, port: await fleet.read(name) })),
  );
  const missing = (await fleet.states()).map((states) => wanted.filter((uri) => !states.has(uri)).length);
  return Math.max(...missing);
};

/** Each change is awaited, then the next; alive destinations are moved to the other port and back. */
export const measure = async (fleet: Fleet, destinations: readonly Destination[], changes: number): Promise<Result> => {
  const silent = destinations.filter((_, index) => isDead(index)).map(uriOf);
  const movable = destinations.filter((_, index) => !isDead(index));
  const now = new Map(movable.map((one) => [one.name, one.port]));
  const dead = await knownDead(fleet, silent);
  const times: number[] = [];
  let forgotten = 0;
  const cpuBefore = fleet.cpuSeconds?.();
  for (let index = 0; index < (fleet.timed ? changes : 0); index += 1) {
    const one = movable[index % movable.length] as Destination;
    const port = now.get(one.name) === PORT ? OTHER_PORT : PORT;
    now.set(one.name, port);
    times.push(await fleet.change({ ...one, port }));
    if (index % 20 === 0)
      for (const states of await fleet.states()) forgotten += dead.filter((uri) => states.get(uri) !== false).length;
    // what follows a change (its file, statuses) is not what the next one waits for
    await wait(SPACING_MS);
  }
  const cpu = cpuBefore === undefined ? undefined : (fleet.cpuSeconds?.() ?? 0) - cpuBefore;
  await wait(6000);
  return {
    what: fleet.what,
    destinations: destinations.length,
    changes: times.length,
    dead: dead.length,
    ...summary(times),
    ...(cpu === undefined ? {} : { cpuMsPerChange: (cpu * 1000) / changes }),
    forgotten,
    lostOfTen: await lostOfTen(fleet, movable),
  };
};
