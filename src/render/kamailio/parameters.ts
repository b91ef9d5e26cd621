/** Core parameters and listeners of `kamailio.cfg`. */
import { isIP } from "node:net";
import type { StructurePlan } from "../../ir/types.ts";
import { advertisedHost, integer } from "./quote.ts";
import { renderConnections } from "./connections.ts";
import { DEFAULT_CONTACTS } from "./registrar.ts";
import { receivedSize, replicationListeners } from "./replication.ts";
import { CONTROL_FILE } from "./tokens.ts";

export const renderParameters = (structure: StructurePlan): readonly string[] => [
  "#!KAMAILIO",
  `include_file "SIPR_CONTROL_DIR/${CONTROL_FILE}"`,
  "",
  "debug=0",
  "# a message that cannot be parsed is its sender's error, not one to log for each",
  "corelog=2",
  "log_stderror=yes",
  "fork=yes",
  `children=${integer("kamailio.workers", structure.workers, 1, 64)}`,
  `tcp_children=${integer("kamailio.workers", structure.workers, 1, 64)}`,
  "auto_aliases=no",
  "# a sip: URI with user=phone is one, and what its user part has behind a semicolon belongs to it",
  "phone2tel=0",
  "rev_dns=no",
  "server_signature=no",
  "sip_warning=0",
  'user_agent_header="User-Agent: sip-router"',
  "disable_core_dump=yes",
  "# HTTP requests without a body have no Content-Length",
  "tcp_accept_no_cl=yes",
  ...renderConnections(structure),
  ...receivedSize(structure),
  ...renderBranches(structure),
  `tcp_connect_timeout=${integer("failover.timeoutSeconds", structure.failover.timeoutSeconds, 1, 30)}`,
  `tcp_send_timeout=${integer("failover.timeoutSeconds", structure.failover.timeoutSeconds, 1, 30)}`,
  "",
  ...renderListeners(structure),
  "",
];

/** Kamailio's own number, and the most that it takes. */
const BRANCHES = { usual: 12, most: 30 } as const;

/**
 * Phones that ring at once, destinations that are tried one after the other (a trunk that challenges twice), those that
 * a REGISTER goes to. Each takes some 600 bytes of every transaction: there are no more than a router uses.
 */
function renderBranches({ registration, failover, trunks }: StructurePlan): readonly string[] {
  const { mode, maxContacts = DEFAULT_CONTACTS } = registration;
  const registered = { Registrar: maxContacts, ForwardAll: BRANCHES.most, Forward: 0, Reject: 0 }[mode];
  const used = Math.max(registered, failover.maxAttempts * (trunks === true ? 2 : 1));
  return used <= BRANCHES.usual
    ? []
    : [`max_branches=${integer("max_branches", Math.min(used, BRANCHES.most), 1, 30)}`];
}

/**
 * In quotes an IPv6 address needs no brackets, and the pod's address has none. SIP listeners before the control port: the first TCP listener is the one whose address goes into Via and
 * Record-Route of what Kamailio sends over TCP. Last the control port for `pods/portforward`, which reaches loopback only.
 */
function renderListeners(structure: StructurePlan): readonly string[] {
  const advertise =
    structure.advertise === undefined ? undefined : advertisedHost("advertise.address", structure.advertise);
  // without quotes a label such as "no" is a keyword
  const named = isIP(structure.advertise ?? "") === 0;
  return [
    ...structure.listeners.map(({ name, transport, port }) => {
      const at = integer(`listener ${name}: port`, port, 1, 65_535);
      const seen = advertise === undefined ? "" : ` advertise ${named ? `"${advertise}"` : advertise}:${at}`;
      return `listen=${transport.toLowerCase()}:"SIPR_POD_IP":${at}${seen}`;
    }),
    ...replicationListeners(structure),
    ...["SIPR_POD_IP", "SIPR_LOOPBACK"].map(
      (address) => `listen=tcp:"${address}":${integer("the control port", structure.controlPort, 1, 65_535)}`,
    ),
  ];
}

/**
 * A route that is never run. Kamailio before 6.1 leaves out a listener whose advertised name does not resolve, and would go
 * on without it (or listen on all addresses): a socket that a route names and that is not there ends it instead.
 */
export function renderListenerCheck({ advertise, listeners }: StructurePlan): readonly string[] {
  if (advertise === undefined) return [];
  return [
    "# never run: ends Kamailio at its start when a listener is not there",
    "route[LISTENERS] {",
    ...listeners.map(
      ({ name, transport, port }) =>
        `  force_send_socket(${transport.toLowerCase()}:"SIPR_POD_IP":${integer(`listener ${name}: port`, port, 1, 65_535)});`,
    ),
    "}",
    "",
  ];
}
