/** A command in a network of its own (Linux network namespace), where `NET.0.0/16` is this machine's. Needs root, or user namespaces. */
import { spawnSync } from "node:child_process";

/** Arguments of `unshare`; `more`: further addresses of this machine, IPv6 ones. */
export function ownNetwork(net: string, command: readonly string[], more: readonly string[] = []): string[] {
  const mapping = spawnSync("unshare", ["--net", "true"]).status === 0 ? [] : ["--map-root-user"];
  const further = more.map((address) => `ip address add ${address}/128 dev lo nodad && `).join("");
  const setUp = `ip link set lo up && ip address add ${net}.0.1/16 dev lo && ${further}exec "$@"`;
  return ["--net", ...mapping, "sh", "-c", setUp, "sh", ...command];
}
