/**
 * What the kernel says about processes and sockets (Linux `/proc`, see proc(5)). A process is identified by its pid
 * *and* its start time *and* the boot it belongs to: a pid alone may have been given to somebody else.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { isCode } from "./files.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** field 22 of /proc/PID/stat: clock ticks since boot */
  readonly startTime: string;
  readonly bootId: string;
}

let bootId: string | undefined;
export async function currentBoot(): Promise<string> {
  bootId ??= (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  return bootId;
}

interface Stat {
  readonly state: string;
  readonly parent: number;
  readonly startTime: string;
}

async function readStat(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch((error: unknown) => {
    if (isCode(error, "ENOENT") || isCode(error, "ESRCH")) return undefined;
    // too many open files, say, tell nothing of the process
    throw error;
  });
  // The second field is the program's name in brackets and may hold anything, brackets and spaces included.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields?.[0] === undefined || fields[1] === undefined || fields[19] === undefined) return undefined;
  return { state: fields[0], parent: Number(fields[1]), startTime: fields[19] };
}

/** undefined when there is no such process, or only what is left of it (a zombie) */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const found = await readStat(pid);
  if (found === undefined || found.state === "Z" || found.state === "X") return undefined;
  return { pid, startTime: found.startTime, bootId: await currentBoot() };
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/** The process that asks. */
export async function identifySelf(): Promise<ProcessIdentity> {
  const self = await identify(Number(await readlink("/proc/self")));
  if (self === undefined) throw new Error("/proc/self is not there: this runs on Linux only");
  return self;
}

/** False when the process is gone. Only for processes that were identified as started here. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    // oxlint-disable-next-line no-restricted-globals -- the one place that signals processes
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function processIds(): Promise<number[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** All live processes whose initial environment holds `NAME=value`: a process and all its descendants. */
export async function findByEnvironment(entry: string): Promise<(ProcessIdentity & { readonly parent: number })[]> {
  const needle = Buffer.from(`${entry}\0`);
  const found: (ProcessIdentity & { parent: number })[] = [];
  for (const pid of await processIds()) {
    const environment = await readFile(`/proc/${pid}/environ`).catch(() => undefined);
    if (environment?.includes(needle) !== true) continue;
    const [identity, details] = [await identify(pid), await readStat(pid)];
    if (identity !== undefined && details !== undefined) found.push({ ...identity, parent: details.parent });
  }
  return found;
}

export interface SocketHolder {
  readonly address: string;
  readonly port: number;
  readonly protocol: "TCP" | "UDP";
  /** absent when the process is another user's */
  readonly pid?: number;
  readonly program?: string;
}

/**
 * Who holds `address:port`, on that address or on all. Kamailio's UDP sockets have SO_REUSEADDR, with which Linux lets
 * two processes bind one address and port and gives the datagrams to one of them: a bind that succeeds proves nothing.
 */
export async function findSocketHolder(
  address: string,
  port: number,
  protocol: "TCP" | "UDP",
): Promise<SocketHolder | undefined> {
  const isIpv6 = address.includes(":");
  const family = isIpv6 ? ["tcp6", "udp6"] : ["tcp", "udp", "tcp6", "udp6"];
  const [own, all] = [hexAddress(address), isIpv6 ? [ALL_IPV6] : [ALL_IPV4, ALL_IPV6, MAPPED + ALL_IPV4]];
  for (const table of family.filter((name) => name.startsWith(protocol.toLowerCase()))) {
    const text = await readFile(`/proc/net/${table}`, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      const [host, hexPort] = (fields[1] ?? "").split(":");
      const listens = protocol === "UDP" || fields[3] === "0A";
      if (host === undefined || !listens || Number.parseInt(hexPort ?? "", 16) !== port) continue;
      const wildcard = all.includes(host);
      if (!wildcard && host !== own && (isIpv6 || host !== MAPPED + own)) continue;
      const owner = await findSocketOwner(fields[9] ?? "");
      return { address: wildcard ? "*" : address, port, protocol, ...owner };
    }
  }
  return undefined;
}

const ALL_IPV4 = "0".repeat(8);
const ALL_IPV6 = "0".repeat(32);
/** An IPv6 socket with an IPv4 address (RFC 4291 2.5.5.2), as some programs open them, is in the IPv4 address's way. */
const MAPPED = "0000000000000000FFFF0000";

/** As /proc/net writes it: 32-bit words in the machine's byte order (little-endian here and on every usual machine). */
function hexAddress(address: string): string {
  const bytes = address.includes(":") ? ipv6Bytes(address) : address.split(".").map(Number);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4)
    words.push(
      bytes
        .slice(at, at + 4)
        .toReversed()
        .map((byte) => byte.toString(16).padStart(2, "0"))
        .join(""),
    );
  return words.join("").toUpperCase();
}

function ipv6Bytes(address: string): number[] {
  const [head = "", tail = ""] = address.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [left, right] = [groups(head), groups(tail)];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
  return all.flatMap((group) => [group >> 8, group & 255]);
}

async function findSocketOwner(inode: string): Promise<{ pid?: number; program?: string }> {
  for (const pid of await processIds()) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => "");
      if (target !== `socket:[${inode}]`) continue;
      const program = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
      return { pid, ...(program === "" ? {} : { program }) };
    }
  }
  return {};
}
