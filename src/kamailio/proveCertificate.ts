/** The proof that a pod shows a certificate: a TLS handshake with its listener. */
import { readCertificate } from "./readCertificate.ts";
import type { ProveCertificate } from "./readPod.ts";

/**
 * What a handshake shows. A proof is noted in the pod, to be had without a handshake by the next reading; the note goes
 * with the process.
 */
export const proveCertificate: ProveCertificate = async (call, host, { generation, port }) => {
  const shown = await readCertificate(host, port ?? 5061);
  if (shown === generation) await call("htable.sets", "st", "certificate", generation);
  return shown;
};
