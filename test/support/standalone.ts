/** The `standalone` command as a process of its own, with its folders; for tests that need the whole program. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { load } from "js-yaml";
import { until } from "./until.ts";

const root = resolve(import.meta.dirname, "../..");

export interface StandaloneEvent {
  readonly event: string;
  readonly router?: string;
  readonly revision?: string;
  readonly object?: string;
  readonly path?: string;
  readonly message?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Resources and state, which outlive an instance. */
export class StandaloneFolders {
  readonly root = mkdtempSync(join(tmpdir(), "standalone-"));
  readonly resources = join(this.root, "resources");
  readonly state = join(this.root, "state");

  constructor() {
    mkdirSync(this.resources);
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.resources, file), text);
  }

  /** the object's file below STATE/status, parsed */
  status(
    kind: string,
    name: string,
    namespace = "default",
  ): { metadata: Record<string, unknown>; status: Record<string, unknown> } {
    return load(readFileSync(join(this.state, "status", namespace, kind, `${name}.yaml`), "utf8")) as never;
  }

  condition(kind: string, name: string, type: string): { status: string; reason: string; message: string } {
    const { conditions } = this.status(kind, name).status as {
      conditions: { type: string; status: string; reason: string; message: string }[];
    };
    const found = conditions.find((condition) => condition.type === type);
    if (found === undefined) throw new Error(`${kind} ${name} has no condition ${type}`);
    return found;
  }

  /** pod name to the pid of its main process */
  pids(): Record<string, number> {
    const folder = join(this.state, "pods/default");
    const found: Record<string, number> = {};
    for (const pod of readdirSync(folder)) {
      const { identity } = JSON.parse(readFileSync(join(folder, pod, "process.json"), "utf8")) as {
        identity: { pid: number };
      };
      found[pod] = identity.pid;
    }
    return found;
  }

  /** every live process that belongs to a pod of this state folder */
  processes(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const alive = !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
          return alive && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`${this.state}/pods/`);
        } catch {
          return false;
        }
      });
  }

  remove(): void {
    for (const pid of this.processes()) process.kill(pid, "SIGKILL");
    rmSync(this.root, { recursive: true, force: true });
  }
}

export class Standalone {
  readonly events: StandaloneEvent[] = [];
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #errors = "";

  constructor(folders: StandaloneFolders, options: { addresses?: readonly string[]; kamailio?: string } = {}) {
    const args = ["standalone", "--resources", folders.resources, "--state", folders.state];
    if (options.addresses !== undefined) args.push("--addresses", options.addresses.join(","));
    if (options.kamailio !== undefined) args.push("--kamailio", options.kamailio);
    this.#child = spawn(process.execPath, [join(root, "src/main.ts"), ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let rest = "";
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.events.push(JSON.parse(line) as StandaloneEvent);
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#errors += chunk.toString("utf8")));
    this.exited = new Promise((done) => this.#child.once("exit", (code, signal) => done({ code, signal })));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** what it wrote to standard error */
  get errors(): string {
    return this.#errors;
  }

  /** the first event, not before the `from`-th, that `matches` */
  event(what: string, matches: (event: StandaloneEvent) => boolean, from = 0): Promise<StandaloneEvent> {
    return until(`event ${what}`, () => this.events.slice(from).find(matches)).catch((error: unknown) => {
      throw new Error(`${String(error)}\nevents: ${JSON.stringify(this.events)}\nlog: ${this.#errors.slice(-3000)}`);
    });
  }

  ready(): Promise<StandaloneEvent> {
    return this.event("ready", ({ event }) => event === "ready");
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    return this.exited;
  }
}
