/** Connections of TCP and TLS: how many there may be, and how long they last. */
import type { StructurePlan } from "../../ir/types.ts";
import { integer } from "./quote.ts";

/** For each MiB of shared memory: a connection takes 17 KiB, one with TLS some 60 KiB, and calls need the rest. */
const CONNECTIONS = 16;
const TLS_CONNECTIONS = 8;
/** A container's limit of open files is seldom lower; Kamailio does not start where it cannot be raised as far. */
const MOST = 16_384;

/**
 * Kamailio's own limit is 2,048 of each, the control port's included: with so many phones, or silent strangers, the pod
 * would be taken for dead.
 */
export function renderConnections({ shmMemoryMiB, workers, listeners }: StructurePlan): readonly string[] {
  const most = Math.min(Math.max(shmMemoryMiB * CONNECTIONS, 2048), MOST);
  const tls = Math.min(Math.max(shmMemoryMiB * TLS_CONNECTIONS, 1024), most);
  const ownFiles = 4 * (listeners.length + 2) * workers + 512;
  return [
    "# a phone behind NAT is reached through the connection that it opened",
    "tcp_connection_lifetime=3605",
    `tcp_max_connections=${integer("kamailio.shmMemoryMiB", most, 1024)}`,
    `tls_max_connections=${integer("kamailio.shmMemoryMiB", tls, 1024)}`,
    `open_files_limit=${integer("kamailio.shmMemoryMiB", most + ownFiles)}`,
  ];
}
