/**
 * Starts the Kamailio of a plan as a local process: the rendered files in a temporary folder, the container's command
 * line with that folder in place of the mount paths.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalBody } from "../../../src/kamailio/control.ts";
import type { ControlAddress } from "../../../src/kamailio/types.ts";
import type { RouterPlan } from "../../../src/ir/index.ts";
import { renderFiles } from "../../../src/render/files.ts";
import { renderControlSecret } from "../../../src/render/kamailio/tokens.ts";
import {
  CONTROL_DIR,
  DATA_DIR,
  LOOPBACK_VARIABLE,
  RUN_DIR,
  STRUCTURE_DIR,
  TLS_DIR,
} from "../../../src/render/layout.ts";
import { renderProcess } from "../../../src/render/process.ts";
import type { RenderedFiles } from "../../../src/render/types.ts";
import { until } from "../until.ts";
import { inUri } from "./message.ts";
import type { KamailioProgram } from "./programs.ts";

const TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz";

export class LocalKamailio {
  readonly ip: string;
  readonly control: ControlAddress;
  readonly #program: KamailioProgram;
  readonly #folder: string;
  /** address of another replica */
  readonly #peer: string;
  #plan: RouterPlan;
  #files: RenderedFiles;
  #child: ChildProcess | undefined;
  #log = "";
  #version = 0;
  #seconds = Math.floor(Date.now() / 1000);

  private constructor(program: KamailioProgram, plan: RouterPlan, ip: string, folder: string, peer: string) {
    this.#peer = peer;
    this.#program = program;
    this.#plan = plan;
    this.#files = renderFiles(plan);
    this.#folder = folder;
    this.ip = ip;
    this.control = { host: ip, port: plan.structure.controlPort, token: TOKEN };
  }

  /** Resolves when it is ready to serve. */
  static async start(
    program: KamailioProgram,
    plan: RouterPlan,
    ip: string,
    secret: Readonly<Record<string, string>> = {},
    peer = ip,
    /** of kamailio.cfg: for what takes minutes */
    alter = (text: string): string => text,
  ): Promise<LocalKamailio> {
    const folder = await mkdtemp(join(tmpdir(), "sipr-"));
    const kamailio = new LocalKamailio(program, plan, ip, folder, peer);
    for (const name of ["structure", "data", "control", "run", "tls"]) await mkdir(join(folder, name));
    const structure = Object.entries(kamailio.#files.structure).map(([name, text]) => [name, alter(text)] as const);
    await kamailio.#write("structure", Object.fromEntries(structure));
    await kamailio.#write("control", renderControlSecret(TOKEN));
    await kamailio.writeSecret(secret);
    await kamailio.writeData(plan);
    try {
      await kamailio.#run();
    } catch (error) {
      await kamailio.stop();
      throw error;
    }
    return kamailio;
  }

  /** its first process */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get files(): RenderedFiles {
    return this.#files;
  }

  /** what it wrote to standard error */
  get log(): string {
    return this.#log;
  }

  /** Puts the data files of `plan` in place as the kubelet does; nothing is reloaded. */
  async writeData(plan: RouterPlan): Promise<RenderedFiles> {
    this.#plan = plan;
    this.#files = renderFiles(plan);
    const folder = join(this.#folder, "data");
    const version = `..v${(this.#version += 1)}`;
    await mkdir(join(folder, version));
    this.#seconds = Math.max(Math.floor(Date.now() / 1000), this.#seconds + 1);
    for (const [name, text] of Object.entries({ ...this.#files.data, ...this.#files.secret })) {
      await writeFile(join(folder, version, name), text);
      await utimes(join(folder, version, name), this.#seconds, this.#seconds);
      await symlink(join("..data", name), join(folder, name)).catch(() => undefined);
    }
    await symlink(version, join(folder, "..tmp"));
    await rename(join(folder, "..tmp"), join(folder, "..data"));
    return this.#files;
  }

  /** The Secret of the TLS listener, as it is mounted; nothing is reloaded. */
  async writeSecret(secret: Readonly<Record<string, string>>): Promise<void> {
    const { tls } = this.#plan.structure;
    if (tls === undefined) return;
    await mkdir(join(this.#folder, "tls", tls.listener), { recursive: true });
    for (const [key, text] of Object.entries(secret)) {
      const file = join(this.#folder, "tls", tls.listener, key);
      await writeFile(`${file}.new`, text, { mode: 0o600 });
      await rename(`${file}.new`, file);
    }
  }

  /** The drain script, as `preStop` runs it; resolves with its exit code. */
  async drain(): Promise<number> {
    const [command = "", ...args] = renderProcess(this.#plan).preStop.map((text) => this.#local(text));
    const child = spawn(command, args, { stdio: "inherit", env: this.#env() });
    const [code] = (await once(child, "exit")) as [number];
    return code;
  }

  /** As with its node: no process of it does anything any more, its own end included. */
  async kill(): Promise<void> {
    const children = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, "utf8");
    for (const pid of [this.pid, ...children.split(" ").filter(Boolean).map(Number)]) process.kill(pid, "SIGKILL");
    await this.stop();
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #write(name: string, files: Readonly<Record<string, string>>): Promise<void> {
    for (const [file, text] of Object.entries(files))
      await writeFile(join(this.#folder, name, file), text, { mode: 0o600 });
  }

  #local(text: string): string {
    const folders = {
      [STRUCTURE_DIR]: "structure",
      [DATA_DIR]: "data",
      [CONTROL_DIR]: "control",
      [RUN_DIR]: "run",
      [TLS_DIR]: "tls",
    };
    let out = text
      .replaceAll("$(POD_IP)", this.ip)
      .replaceAll(`$(${LOOPBACK_VARIABLE})`, this.ip)
      .replaceAll("$(PEERS)", this.#peer);
    for (const [mounted, name] of Object.entries(folders)) out = out.replaceAll(mounted, join(this.#folder, name));
    return out;
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, PATH: `${this.#program.folder}:${process.env["PATH"] ?? ""}` };
  }

  async #run(): Promise<void> {
    const { command, args, readinessPath } = renderProcess(this.#plan);
    const [program = "", ...rest] = [...command, ...args].map((text) => this.#local(text));
    const child = spawn(program, rest, { stdio: ["ignore", "ignore", "pipe"], env: this.#env() });
    this.#child = child;
    child.stderr?.on("data", (text: Buffer) => (this.#log += text.toString()));
    await until(`kamailio ${this.#program.name} is ready`, async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`kamailio ended:\n${this.#log}`);
      const base = `http://${inUri(this.ip)}:${this.control.port}`;
      const answer = await fetch(`${base}${readinessPath}`).catch(() => undefined);
      // what the operator says when it has read back a pod for the first time
      if (answer?.status === 503)
        await fetch(`${base}/rpc`, {
          method: "POST",
          headers: { Authorization: `Bearer ${TOKEN}` },
          body: canonicalBody("htable.seti", ["st", "seeded", 1], 1),
        });
      return answer?.status === 200;
    });
  }
}
