/**
 * One pod: its volumes, its process and the supervision of it. A process that ends is started again, with growing pauses,
 * on the data of that moment; one that an earlier instance started is taken over as it runs.
 */
import { rm } from "node:fs/promises";
import { isCode } from "./files.ts";
import { resolveContainer, type LocalCommand } from "./container.ts";
import { endProcess } from "./endProcess.ts";
import { boundLog, logSize, readLogTail } from "./log.ts";
import { logFileOf, processFileOf, writePodRecord, writeTermination } from "./podFolder.ts";
import { PodVolumes, type PodVolumesOptions } from "./podVolumes.ts";
import { describePortInUse, findPortInUse } from "./ports.ts";
import { startProbes } from "./probes.ts";
import { adoptProcess, killRemains, readRecord, signalMembers, startProcess, type RunningProcess } from "./process.ts";
import type { Container, PodRecord, PodStatus } from "./types.ts";

export interface PodOptions extends PodVolumesOptions {
  /** see ContainerContext */
  readonly addressOf: (name: string) => string | undefined;
  /** see ContainerContext */
  readonly loopback: string;
  /** replaces the container's own program */
  readonly program?: string;
  readonly baseEnv: Readonly<Record<string, string>>;
  /** pause before the second restart in a row; doubled each time up to the maximum; forgotten after `resetMs` of running */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number; readonly resetMs: number };
  readonly onChange: (status: PodStatus) => void;
  readonly log: (message: string) => void;
}

const failureOf = (error: unknown): string =>
  `the runner failed: ${error instanceof Error ? error.message : String(error)}`;
const RETRY_MS = 1000;
const LOG_CHECK_MS = 10_000;
const LAST_LINES = 5;

type Mutable = { -readonly [Field in keyof Omit<PodStatus, "record">]: PodStatus[Field] };

export class LocalPod {
  readonly record: PodRecord;
  readonly #options: PodOptions;
  readonly #container: Container;
  readonly #volumes: PodVolumes;
  #process: RunningProcess | undefined;
  #command: LocalCommand | undefined;
  #status: Mutable = {
    phase: "Pending",
    running: false,
    ready: false,
    terminating: false,
    restartCount: 0,
    message: "",
  };
  #ending: "no" | "released" | "terminating" = "no";
  #loop: Promise<void> = Promise.resolve();
  #termination: Promise<void> | undefined;
  /** ends of the process in a row */
  #failures = 0;
  #wake: () => void = () => undefined;
  #settle: () => void = () => undefined;
  #begin: () => void = () => undefined;
  /** resolves once the process runs and is watched, or it is known that it cannot be started now */
  readonly #begun = new Promise<void>((resolve) => (this.#begin = resolve));
  /** resolves once it is known for the first time whether the pod is ready, or why it cannot be */
  readonly settled = new Promise<void>((resolve) => (this.#settle = resolve));

  constructor(record: PodRecord, options: PodOptions) {
    const container = record.spec.containers[0];
    if (container === undefined) throw new Error(`pod ${record.namespace}/${record.name} has no container`);
    this.record = record;
    this.#options = options;
    this.#container = container;
    this.#volumes = new PodVolumes(record, options);
  }

  get status(): PodStatus {
    return { record: this.record, ...this.#status };
  }

  get logFile(): string {
    return logFileOf(this.#options.folder);
  }

  /** `onlyAdopt`: take over a process that runs, but start none (the pod is about to be ended). */
  start(onlyAdopt = false): void {
    this.#loop = this.#supervise(onlyAdopt).finally(() => this.#begin());
  }

  /** Brings the volumes to the objects' content of now. Returns what is missing, "" when nothing. */
  syncVolumes(): Promise<string> {
    return this.#volumes.sync();
  }

  /** A pod that waits (for an object, for a port, for its back-off) looks again. */
  retry(): void {
    this.#wake();
  }

  /** Stops supervising and leaves the process as it is. */
  async release(): Promise<void> {
    this.#ending = "released";
    this.#process?.release();
    this.#wake();
    await this.#loop;
  }

  /** preStop, SIGTERM, the grace period, SIGKILL; then the pod's folder is removed. */
  terminate(graceSeconds?: number): Promise<void> {
    this.#termination ??= this.#terminate(graceSeconds ?? this.record.spec.terminationGracePeriodSeconds ?? 30);
    return this.#termination;
  }

  /** Sends a signal to the main process and all it forked: SIGSTOP, SIGCONT, SIGKILL. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    if (this.#process !== undefined) await signalMembers(this.#process.record, signal);
  }

  /** A fault of this moment (a full disk, too many open files) is told, and tried again: what runs is watched all the time. */
  async #supervise(onlyAdopt: boolean): Promise<void> {
    while (this.#ending === "no") {
      try {
        return await this.#runAndWatch(onlyAdopt);
      } catch (error) {
        const message = failureOf(error);
        if (message !== this.#status.message)
          this.#options.log(`${this.record.namespace}/${this.record.name}: ${message}: it tries again`);
        this.#update({ message });
        await this.#pause(RETRY_MS);
      }
    }
  }

  async #runAndWatch(onlyAdopt: boolean): Promise<void> {
    const { folder } = this.#options;
    const recordFile = processFileOf(folder);
    let adopted = await adoptProcess(recordFile);
    if (adopted === undefined && onlyAdopt) return;
    if (adopted === undefined) this.#update({ phase: "Pending", running: false, ready: false });
    while (this.#ending === "no") {
      const problem = await this.#prepare(adopted !== undefined);
      if (problem !== "" && adopted === undefined) {
        this.#update({ phase: "Pending", running: false, ready: false, message: problem });
        await this.#pause(RETRY_MS);
        continue;
      }
      const logFrom = await logSize(this.logFile);
      const running = adopted ?? (await this.#startProcess(recordFile));
      adopted = undefined;
      if (running === undefined) {
        await this.#pause(RETRY_MS);
        continue;
      }
      if (this.#isEnding()) {
        // The end came while it was being started.
        running.release();
        return;
      }
      const how = await this.#watch(running);
      if (this.#isEnding()) return;
      await killRemains(running.record);
      const lasted = Date.now() - Date.parse(running.record.startedAt);
      this.#failures = lasted > this.#options.backoff.resetMs ? 1 : this.#failures + 1;
      await this.#backOff(this.#failures, how, logFrom);
    }
  }

  /** What a process needs before it starts; why it cannot start now, "" when it can. */
  async #prepare(runs: boolean): Promise<string> {
    try {
      await writePodRecord(this.#options.folder, this.record);
      return (await this.syncVolumes()) || this.#resolveCommand() || (runs ? "" : await this.#portProblem());
    } catch (error) {
      // what runs goes on with the files that it has
      if (runs) this.#resolveCommand();
      return failureOf(error);
    }
  }

  // A method, so that the compiler does not think the field unchanged across an await.
  #isEnding(): boolean {
    return this.#ending !== "no";
  }

  async #startProcess(recordFile: string): Promise<RunningProcess | undefined> {
    const command = this.#command;
    if (command === undefined || this.#isEnding()) return undefined;
    const last = await readRecord(recordFile);
    if (last !== undefined) await killRemains(last);
    const restartCount = last === undefined ? 0 : last.restartCount + 1;
    try {
      const { argv, env } = command;
      return await startProcess({
        argv,
        env,
        logFile: this.logFile,
        recordFile,
        cwd: this.#options.folder,
        restartCount,
      });
    } catch (error) {
      const why = isCode(error, "ENOENT") ? "not found" : error instanceof Error ? error.message : String(error);
      this.#update({ phase: "Pending", message: `RunContainerError: ${command.argv[0]}: ${why}` });
      return undefined;
    }
  }

  async #watch(running: RunningProcess): Promise<string> {
    this.#process = running;
    this.#begin();
    const { record, pid } = running;
    this.#update({
      phase: "Running",
      running: true,
      ready: false,
      pid,
      restartCount: record.restartCount,
      startedAt: record.startedAt,
      message: "",
    });
    const stopProbes = this.#probe();
    const logTimer = setInterval(() => void boundLog(this.logFile).catch(() => undefined), LOG_CHECK_MS);
    const woken = new Promise<string>((resolve) => (this.#wake = () => this.#ending === "released" && resolve("")));
    const how = await Promise.race([running.exited, woken]);
    clearInterval(logTimer);
    stopProbes();
    if (this.#ending !== "released") this.#process = undefined;
    return how;
  }

  #probe(): () => void {
    const env = this.#command?.env ?? {};
    const localise = this.#command?.localise ?? ((argument: string): string => argument);
    let dead = false;
    return startProbes(
      this.#container,
      { ip: this.record.ip, env, localise },
      {
        onReady: (ready, message) => this.#update({ ready, message }),
        onDead: (message) => {
          if (dead || this.#isEnding()) return;
          dead = true;
          this.#options.log(`${this.record.namespace}/${this.record.name}: ${message}: it is restarted`);
          if (this.#process !== undefined) void killRemains(this.#process.record);
        },
      },
    );
  }

  async #backOff(failures: number, how: string, logFrom: number): Promise<void> {
    const { baseMs, maxMs } = this.#options.backoff;
    const pause = failures <= 1 ? 0 : Math.min(maxMs, baseMs * 2 ** (failures - 2));
    const ended = `${this.#container.name} ended${how === "" ? "" : ` (${how})`}`;
    const lines = await readLogTail(this.logFile, LAST_LINES, logFrom);
    const said = lines.length === 0 ? "" : `; last log lines: ${lines.join(" | ")}`;
    const message =
      failures <= 1
        ? `${ended}${said}`
        : `CrashLoopBackOff: ${ended} ${failures} times, next start in ${pause / 1000} s${said}`;
    this.#options.log(`${this.record.namespace}/${this.record.name}: ${message}`);
    this.#update({ running: false, ready: false, pid: undefined, lastExit: how, message });
    if (pause > 0) await this.#pause(pause, false);
  }

  async #terminate(graceSeconds: number): Promise<void> {
    await this.#begun;
    this.#ending = "terminating";
    this.#update({ terminating: true });
    const { folder } = this.#options;
    const graceMs = graceSeconds * 1000;
    const deadline = performance.now() + graceMs;
    await writeTermination(folder, Date.now() + graceMs).catch(() => undefined);
    const running = this.#process;
    this.#wake();
    if (running !== undefined) {
      const { preStop, env = {} } = this.#command ?? {};
      const { logFile } = this;
      const { log } = this.#options;
      await endProcess({ process: running, preStop, env, graceSeconds, deadline, logFile, log });
    }
    await this.#loop;
    const last = await readRecord(processFileOf(folder));
    if (last !== undefined) await killRemains(last);
    this.#update({ running: false, ready: false, pid: undefined });
    await this.#volumes.remove();
    // its volumes may be written at this very moment
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  #resolveCommand(): string {
    const { objects, addressOf, loopback, program, baseEnv } = this.#options;
    const context = {
      record: this.record,
      objects,
      addressOf,
      loopback,
      volumeFolder: (volume: string) => this.#volumes.folderOf(volume),
      baseEnv,
      ...(program === undefined ? {} : { program }),
    };
    const command = resolveContainer(this.#container, context);
    if (typeof command === "string") return command;
    this.#command = command;
    return "";
  }

  async #portProblem(): Promise<string> {
    const last = await readRecord(processFileOf(this.#options.folder));
    if (last !== undefined) await killRemains(last);
    const holder = await findPortInUse(this.record.ip, this.#container.ports ?? []);
    return holder === undefined ? "" : describePortInUse(this.record.ip, holder);
  }

  /** `early`: a change of objects ends the pause; the end of the pod always does. */
  #pause(milliseconds: number, early = true): Promise<void> {
    this.#begin();
    if (this.#isEnding()) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        if (!early && this.#ending === "no") return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #update(change: Partial<Mutable>): void {
    const before = JSON.stringify(this.#status);
    this.#status = { ...this.#status, ...change };
    if (this.#status.ready || this.#status.message !== "") this.#settle();
    if (JSON.stringify(this.#status) !== before) this.#options.onChange(this.status);
  }
}
