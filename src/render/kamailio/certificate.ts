/**
 * The certificate that the TLS listeners must show, as a data file: its hash only, and the port at which a handshake
 * reads it back. The certificate itself is in the mounted Secret.
 */
import type { DataPlan } from "../../ir/types.ts";
import type { DataTable } from "../types.ts";
import { integer, refuse } from "./quote.ts";

export const CERTIFICATE_FILE = "certificate";

const tableOf = (port: number, generation: string): DataTable => ({
  name: "tls",
  kind: "tls",
  file: CERTIFICATE_FILE,
  generation,
  port,
});

export function renderCertificate({ certificate }: DataPlan): readonly { table: DataTable; text: string }[] {
  if (certificate === undefined) return [];
  const { port, generation } = certificate;
  if (!/^[0-9a-f]{1,64}$/.test(generation)) refuse("the certificate", generation, "its hash");
  const text = `${integer("the TLS listener's port", port, 1, 65_535)} ${generation}\n`;
  return [{ table: tableOf(port, generation), text }];
}

/** No table without the file: the router has no TLS listener. */
export function parseCertificate(data: Readonly<Record<string, string>>): readonly DataTable[] {
  const text = data[CERTIFICATE_FILE];
  if (text === undefined) return [];
  const [, port, generation] = /^([0-9]{1,5}) ([0-9a-f]{1,64})\n$/.exec(text) ?? [];
  if (port === undefined || generation === undefined) return refuse(CERTIFICATE_FILE, text, "a port and a hash");
  return [tableOf(Number(port), generation)];
}
