/** What the machine gives: the kamailio program, and addresses that stand for pod IPs. */
import { access, constants } from "node:fs/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { OperatorError } from "../errors.ts";
import type { Pool } from "./addresses.ts";

/** Where distributions put it, and where a user's PATH may not lead. */
const systemFolders = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** Absolute path of the program. Throws OperatorError SIPR_KAMAILIO_MISSING. */
export async function findKamailio(program: string, path: string, cwd: string): Promise<string> {
  const folders = [...path.split(delimiter).filter((folder) => folder !== ""), ...systemFolders];
  const candidates = program.includes("/") ? [resolve(cwd, program)] : folders.map((folder) => join(folder, program));
  for (const candidate of candidates) {
    const found = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return candidate;
  }
  const where = program.includes("/")
    ? `${program} is not an executable file`
    : `There is no ${program} on PATH or in ${systemFolders.join(", ")}`;
  throw new OperatorError("SIPR_KAMAILIO_MISSING", `${where}.`, {
    remedy:
      "Install Kamailio (Debian and Ubuntu: apt-get install kamailio kamailio-tls-modules), or name the program with --kamailio.",
  });
}

const isLoopback = (address: string): boolean => address.startsWith("127.");

/** The pool that `--addresses` names, else this host's own addresses with one replica. Throws OperatorError SIPR_USAGE. */
export function resolvePool(addresses: string | undefined, interfaces = networkInterfaces()): Pool {
  const own = Object.values(interfaces).flatMap((entries) => entries ?? []);
  if (addresses === undefined) {
    const external = own.filter((entry) => !entry.internal && entry.family === "IPv4");
    return { addresses: external.length > 0 ? external.map((entry) => entry.address) : ["127.0.0.1"], maxReplicas: 1 };
  }
  const list = addresses.split(",").map((address) => address.trim());
  const known = new Set(own.map((entry) => entry.address));
  for (const [index, address] of list.entries()) {
    if (isIP(address) === 0) throw usage(`--addresses: ${JSON.stringify(address)} is not an IP address.`);
    if (list.indexOf(address) !== index) throw usage(`--addresses: ${address} is named twice.`);
    if (!isLoopback(address) && !known.has(address))
      throw usage(`--addresses: ${address} is not an address of this host.`);
  }
  return { addresses: list };
}

const usage = (message: string): OperatorError =>
  new OperatorError("SIPR_USAGE", message, {
    remedy: "Name addresses of this host separated by commas, for example --addresses 127.0.0.2,127.0.0.3.",
  });
