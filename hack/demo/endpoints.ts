/** SIP endpoints of the demo, all of them SIPp: PBXes and phones that answer, callers, a registering phone. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ended, start, stop, until } from "./processes.ts";

export interface Address {
  readonly ip: string;
  readonly port: number;
}

const scenario = (name: string): string => join(import.meta.dirname, "scenarios", `${name}.xml`);
const lines = (file: string): string[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];

let count = 0;
const flags = (values: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => [`-${name}`, String(value)]);
const common = (name: string, own: Address, log: string): string[] => [
  ...flags({ sf: scenario(name), i: own.ip, p: own.port, log_file: log, error_file: `${log}.err` }),
  // a datagram that was overtaken is no reason to end a call
  ...flags({ default_behaviors: "all,-abortunexp" }),
  "-trace_logs",
  "-trace_err",
  "-nostdin",
];
const keys = (values: Readonly<Record<string, string>>): string[] =>
  Object.entries(values).flatMap(([name, value]) => ["-key", name, value]);

/** Something that answers calls at an address, under a name that its answers carry. */
export class Answering {
  readonly name: string;
  readonly at: Address;
  readonly #folder: string;
  readonly #log: string;
  #child: ChildProcess | undefined;

  constructor(name: string, at: Address, folder: string) {
    this.name = name;
    this.at = at;
    this.#folder = folder;
    this.#log = join(folder, `${name}.log`);
  }

  start(): void {
    const args = [...common("pbx", this.at, this.#log), ...keys({ who: this.name })];
    this.#child = start("sipp", args, { cwd: this.#folder, output: join(this.#folder, `${this.name}.out`) });
  }

  async stop(): Promise<void> {
    // SIPp takes SIGTERM as "finish the calls first"
    if (this.#child) await stop(this.#child, 300);
    this.#child = undefined;
  }

  /** Path and Contact of the REGISTERs that came, the latest last. */
  registrations(): { path: string; contact: string }[] {
    return lines(this.#log).flatMap((line) => {
      const found = /^REGISTER (.*)\|<?(.*?)>?$/.exec(line);
      return found ? [{ path: found[1] ?? "", contact: found[2] ?? "" }] : [];
    });
  }
}

/** Final answers, one per call: "200 freepbx-1", "403 router". A call without one is "none". */
export type Answers = readonly string[];

export interface Calls {
  readonly number: string;
  readonly from: Address;
  readonly to: Address;
  readonly calls?: number;
  readonly perSecond?: number;
  readonly talkMs?: number;
  /** call the registered contact by its Path instead of the number at `to` */
  readonly phone?: { readonly path: string; readonly contact: string };
}

export interface Running {
  readonly answers: () => Answers;
  readonly done: Promise<Answers>;
}

export function startCalls(calls: Calls, folder: string): Running {
  const log = join(folder, `call-${++count}.log`);
  const total = calls.calls ?? 1;
  const args = [
    ...common(calls.phone ? "call-phone" : "call", calls.from, log),
    ...flags({ s: calls.number, m: total, r: calls.perSecond ?? 20, d: calls.talkMs ?? 50, recv_timeout: 12_000 }),
    ...keys({ from: "caller", ...calls.phone }),
    `${calls.to.ip}:${calls.to.port}`,
  ];
  const child = start("sipp", args, { cwd: folder, output: join(folder, `call-${count}.out`) });
  const answers = (): Answers => lines(log);
  const done = ended(child).then((code) => {
    const all = [...answers()];
    while (all.length < total) all.push("none");
    // an answered call whose BYE failed is a lost call too
    if (code !== 0 && all.every((answer) => answer.startsWith("200"))) all.push("unfinished");
    return all;
  });
  return { answers, done };
}

/** Registers once; the answer as in {@link Answers}. */
export async function register(number: string, from: Address, to: Address, folder: string): Promise<string> {
  const log = join(folder, `register-${++count}.log`);
  const args = [
    ...common("register", from, log),
    ...flags({ s: number, m: 1, recv_timeout: 5000 }),
    `${to.ip}:${to.port}`,
  ];
  await ended(start("sipp", args, { cwd: folder, output: join(folder, `register-${count}.out`) }));
  return lines(log)[0] ?? "none";
}

/** Whether something holds the port, on this address or on all: bound to UDP, or listening on TCP (Linux). */
export function isBound({ ip, port }: Address, protocol: "UDP" | "TCP" = "UDP"): boolean {
  const bytes = ip.split(".").toReversed().map(Number);
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const at = `:${port.toString(16).padStart(4, "0")}`;
  const own = [hex, "00000000"].map((address) => `${address}${at}`.toUpperCase());
  const sockets = readFileSync(`/proc/net/${protocol.toLowerCase()}`, "utf8").split("\n");
  // connections have local ports too: 0A is LISTEN
  return sockets
    .map((line) => line.trim().split(/\s+/))
    .some(([, local = "", , state]) => own.includes(local) && (protocol === "UDP" || state === "0A"));
}

export const bound = (at: Address, signal: AbortSignal): Promise<boolean> =>
  until(`nothing listens on ${at.ip}:${at.port}`, () => isBound(at), { seconds: 10, signal });
