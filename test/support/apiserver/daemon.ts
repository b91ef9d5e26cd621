/**
 * Programs that must not outlive the test process: each runs in its own process group, and a watchdog (a shell that
 * reads a pipe from this process) kills the groups when the pipe closes, however this process ended.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";

const WATCHDOG = `
trap '' TERM INT HUP
groups=
while read -r verb group; do
  case $verb in
    add) groups="$groups $group " ;;
    drop) groups=$(echo " $groups " | sed "s/ $group / /g") ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
[ -z "$1" ] || rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
`;

export interface Watchdog {
  add(pid: number): void;
  drop(pid: number): void;
  /** kills what is left and removes the folder */
  end(): Promise<void>;
}

/** `folder` (may be "") is removed at the end. */
export function startWatchdog(folder: string): Watchdog {
  const shell = spawn("/bin/sh", ["-c", WATCHDOG, "watchdog", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const ended = new Promise<void>((resolve) => shell.once("exit", () => resolve()));
  shell.stdin.on("error", () => undefined);
  shell.unref();
  return {
    add: (pid) => void shell.stdin.write(`add ${pid}\n`),
    drop: (pid) => void shell.stdin.write(`drop ${pid}\n`),
    end: async () => {
      shell.ref();
      shell.stdin.end();
      await ended;
    },
  };
}

export interface Daemon {
  readonly name: string;
  readonly pid: number;
  /** undefined while it runs */
  exit(): string | undefined;
  /** the last lines of its log, for error messages */
  tail(): string;
  /** SIGKILL to the group; resolves when the process is gone */
  kill(): Promise<void>;
  onExit(listener: () => void): void;
}

export function startDaemon(
  program: string,
  args: string[],
  options: { logFolder: string; watchdog: Watchdog },
): Daemon {
  const name = path.basename(program);
  const logFile = path.join(options.logFolder, `${name}.log`);
  const log = openSync(logFile, "a");
  const child: ChildProcess = spawn(program, args, { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  const pid = child.pid ?? 0;
  if (pid) options.watchdog.add(pid);
  let exit: string | undefined;
  const gone = new Promise<void>((resolve) => {
    const done = (text: string) => {
      exit ??= text;
      if (pid) options.watchdog.drop(pid);
      resolve();
    };
    child.once("exit", (code, signal) => done(`${name} ended with ${signal ?? `exit code ${code}`}`));
    child.once("error", (error) => done(`${name} did not start: ${error.message}`));
  });
  child.unref();
  return {
    name,
    pid,
    exit: () => exit,
    tail: () => readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-15).join("\n"),
    kill: async () => {
      if (exit !== undefined || !pid) return;
      child.ref();
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // ended in the meantime
      }
      await gone;
    },
    onExit: (listener) => void gone.then(listener),
  };
}

/** Ports of 127.0.0.1 that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = net.createServer();
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map(async (server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Polls until `probe` gives true; fails as soon as one of the daemons ended, with the end of its log. */
export async function waitFor(
  what: string,
  daemons: readonly Daemon[],
  probe: () => Promise<boolean>,
  seconds = 90,
): Promise<void> {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    if (await probe().catch(() => false)) return;
    const dead = daemons.find((daemon) => daemon.exit() !== undefined);
    if (dead) throw new Error(`${what}: ${dead.exit()}\n${dead.tail()}`);
    if (Date.now() > until)
      throw new Error(`${what}: not within ${seconds} s\n${daemons.map((d) => `${d.name}: ${d.tail()}`).join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
