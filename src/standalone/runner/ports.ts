/** Whether a pod's ports are free on its address, asked before the start: see findSocketHolder for why. */
import { findSocketHolder, type SocketHolder } from "./proc.ts";
import type { ContainerPort } from "./types.ts";

export async function findPortInUse(ip: string, ports: readonly ContainerPort[]): Promise<SocketHolder | undefined> {
  for (const port of ports) {
    const protocol = port.protocol === "UDP" ? "UDP" : "TCP";
    const holder = await findSocketHolder(ip, port.containerPort, protocol);
    if (holder !== undefined) return holder;
  }
  return undefined;
}

export function describePortInUse(ip: string, holder: SocketHolder): string {
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const who =
    holder.pid === undefined ? "another user's process" : `${holder.program ?? "a process"} (pid ${holder.pid})`;
  const where = holder.address === "*" ? " on all addresses" : "";
  return (
    `SIPR_PORT_IN_USE: ${holder.protocol} ${host}:${holder.port} is in use by ${who}${where}. ` +
    "Stop it, or give the listener another port or the router another address."
  );
}
