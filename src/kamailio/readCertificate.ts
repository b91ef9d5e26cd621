/** Which certificate a TLS listener shows, by a handshake: that of the file may not have been loaded. */
import { createHash } from "node:crypto";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { hashOf } from "../ir/index.ts";

/**
 * Hash of the chain of certificates as {@link DataPlan} has it; undefined when no handshake comes about.
 * @param timeoutMs for the whole handshake
 */
export function readCertificate(host: string, port: number, timeoutMs = 3000): Promise<string | undefined> {
  return new Promise((resolve) => {
    // Nothing is sent over the connection. Without `ca: []` Node adds roots of its own to the chain.
    const socket = connect({ host, port, ca: [], rejectUnauthorized: false, timeout: timeoutMs });
    const end = (generation?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(generation);
    };
    const timer = setTimeout(end, timeoutMs);
    socket.on("error", () => end());
    socket.on("close", () => end());
    socket.on("secureConnect", () => end(hashOf(chainOf(socket.getPeerCertificate(true)))));
  });
}

function chainOf(leaf: DetailedPeerCertificate): readonly string[] {
  const chain: string[] = [];
  for (let one: DetailedPeerCertificate | undefined = leaf; one?.raw !== undefined; one = one.issuerCertificate) {
    const fingerprint = createHash("sha256").update(one.raw).digest("hex");
    if (chain.includes(fingerprint)) break;
    chain.push(fingerprint);
  }
  return chain;
}
