/**
 * The certificate that the TLS listeners must show, as a data file: its hash only, and the port at which a handshake
 * reads it back. The certificate itself is in the mounted Secret.
 */
import type { DataTableFile } from "./dataTable.ts";
import { integer, refuse } from "./quote.ts";

const tls = { name: "tls", kind: "tls", file: "certificate" } as const;

export const certificateTable: DataTableFile = {
  ...tls,
  render: ({ data: { certificate } }) => {
    if (certificate === undefined) return undefined;
    const { port, generation } = certificate;
    if (!/^[0-9a-f]{1,64}$/.test(generation)) refuse("the certificate", generation, "its hash");
    const text = `${integer("the TLS listener's port", port, 1, 65_535)} ${generation}\n`;
    return { table: { ...tls, generation, port }, text };
  },
  parse: (text) => {
    const [, port, generation] = /^([0-9]{1,5}) ([0-9a-f]{1,64})\n$/.exec(text) ?? [];
    return port === undefined || generation === undefined ? undefined : { generation, port: Number(port) };
  },
};
