/** The program under demonstration: `sip-router-operator standalone`, its events and the status files it writes. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";
import type { BackendState, PbxBackendStatus, SipRouterStatus } from "../../src/api/index.ts";
import { start, stop, until } from "./processes.ts";
import type { Samples } from "./samples.ts";

const root = join(import.meta.dirname, "../..");

interface Event {
  readonly event: string;
  readonly [field: string]: unknown;
}

export class Router {
  readonly #samples: Samples;
  readonly #work: string;
  readonly #signal: AbortSignal;
  #child: ChildProcess | undefined;

  constructor(samples: Samples, work: string, signal: AbortSignal) {
    this.#samples = samples;
    this.#work = work;
    this.#signal = signal;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The command line, as one would type it. */
  get command(): string[] {
    const addresses = this.#samples.replicas.map(({ ip }) => ip).join(",");
    const folders = ["--resources", this.#samples.folder, "--state", join(this.#work, "state")];
    return [join(root, "src/main.ts"), "standalone", ...folders, "--addresses", addresses];
  }

  async start(): Promise<void> {
    const child = start(process.execPath, this.command, { cwd: this.#work, output: join(this.#work, "router.out") });
    this.#child = child;
    await until(
      "the router is not ready",
      () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the router ended:\n${this.log()}`);
        const rejected = this.events().find(({ event }) => event === "rejected");
        if (rejected) throw new Error(`the router refuses a resource: ${JSON.stringify(rejected)}`);
        return this.events().some(({ event }) => event === "ready");
      },
      { seconds: 60, signal: this.#signal },
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}${this.#trouble()}`, { cause: error });
    });
  }

  /** What the router's status says is wrong. */
  #trouble(): string {
    const wrong = this.status()?.conditions?.filter(({ status }) => status === "False") ?? [];
    return wrong.map(({ type, message }) => `\n  ${type}: ${message}`).join("");
  }

  /** It waits for calls in progress, `patienceMs` at most. */
  async stop(patienceMs: number): Promise<void> {
    if (this.#child) await stop(this.#child, patienceMs);
  }

  events(): Event[] {
    const file = join(this.#work, "router.out");
    if (!existsSync(file)) return [];
    // the last piece is not a whole line yet, or is empty
    return readFileSync(file, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Event);
  }

  /** The end of what it logged. */
  log(): string {
    const file = join(this.#work, "router.out.err");
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(-20).join("\n") : "";
  }

  #status(kind: string, name: string): unknown {
    const namespace = this.#samples.router.metadata.namespace ?? "default";
    const file = join(this.#work, "state/status", namespace, kind, `${name}.yaml`);
    return existsSync(file) ? (load(readFileSync(file, "utf8")) as { status?: unknown }).status : undefined;
  }

  /** What the router's own status says. */
  status(): SipRouterStatus | undefined {
    return this.#status("SipRouter", this.#samples.router.metadata.name) as SipRouterStatus | undefined;
  }

  backendState(name: string): BackendState | undefined {
    const status = this.#status("PbxBackend", name) as PbxBackendStatus | undefined;
    return status?.routers?.find((router) => router.name === this.#samples.router.metadata.name)?.state;
  }

  awaitBackend(name: string, state: BackendState): Promise<boolean> {
    const reached = () => this.backendState(name) === state;
    return until(`${name} is not ${state} in its status`, reached, { seconds: 20, signal: this.#signal });
  }

  /** Waits until a change that was made after `seen` events runs on every replica. */
  awaitChange(seen: number): Promise<boolean> {
    const reached = () =>
      this.events()
        .slice(seen)
        .some(({ event }) => event === "changed");
    return until("the change does not run everywhere", reached, { seconds: 20, signal: this.#signal });
  }
}
