/**
 * Replicas share their registrations (Kamailio modules dmq and dmq_usrloc): each tells the others, and one that starts
 * is told all. Those behind one advertised address tell each other of calls that end (callEnds.ts). They speak to each
 * other on a listener of their own. Who knows the name of the channel, which is made of the Secret that all replicas have,
 * is one of them; from anybody else nothing is taken.
 */
import type { StructurePlan } from "../../ir/types.ts";
import { PEER_PORT } from "../layout.ts";
import { advertisedHost } from "./quote.ts";
import { notMine } from "./keepAlive.ts";
import { hearEnd, tellsEnds } from "./callEnds.ts";
import { exceptHandedOver, hearHandedOver, meetPeer } from "./handOver.ts";
import { hasRegistrants } from "./registrants.ts";
import { peerKeyInCfg } from "./tokens.ts";
import { whereAvailable } from "./versions.ts";

/** They keep contacts, those of users or of PBXes: they share them, and hand over calls to phones whose connection another one has. */
export const sharesLocation = (structure: StructurePlan): boolean =>
  structure.registration.mode === "Registrar" || hasRegistrants(structure);

export const hasReplication = (structure: StructurePlan): boolean => sharesLocation(structure) || tellsEnds(structure);

export const replicationListeners = (structure: StructurePlan): readonly string[] =>
  hasReplication(structure) ? [`listen=udp:"SIPR_POD_IP":${PEER_PORT}`] : [];

/** They share calls of trunks that have challenged (trunkCalls.ts), in tables of module htable. */
const sharesTables = (structure: StructurePlan): boolean => structure.trunks === true && hasReplication(structure);
/** Core parameter: one that starts is told the rows in datagrams of 60,000 bytes; usual are 32,767 at most. */
export const receivedSize = (structure: StructurePlan): readonly string[] =>
  sharesTables(structure) ? whereAvailable("receivedSize", ["msg_recv_max_size=65535"]) : [];
/** Of a table that they share. */
export const replicatedTable = (structure: StructurePlan): string => (sharesTables(structure) ? "dmqreplicate=1;" : "");

/**
 * Whoever writes tables could write any, those of trunks and of the control too, and the module's channel has a name that is
 * known: so what a replica says there is proved by the key.
 */
const PROOF = "P-Proof";
const TABLES = "htable";
const proof = `$var(proof) = $(rb{s.md5}) + " ${peerKeyInCfg}";`;
/** Line for what this replica sends by itself. */
export const proveTable = (structure: StructurePlan): string =>
  sharesTables(structure)
    ? `
  if (is_method("KDMQ") && $rU == "${TABLES}") {
    ${proof}
    append_hf("${PROOF}: $(var(proof){s.md5})\\r\\n");
  }`
    : "";
/** Lines for what another replica sends. */
const isProved = (structure: StructurePlan): string =>
  sharesTables(structure)
    ? `
    if (is_method("KDMQ") && $rU == "${TABLES}") {
      ${proof}
      if (!($hdr(${PROOF}) == $(var(proof){s.md5}))) exit;
    }`
    : "";

/** In a URI an IPv6 address has brackets, and no other has: what stands for the host is replaced before this is. */
const uriOf = (host: string): string => `sip:<${host}>:${PEER_PORT}`;
const brackets = [
  `#!subst "!sip:<([0-9a-fA-F]*:[0-9a-fA-F:.]+)>:${PEER_PORT}!sip:[\\1]:${PEER_PORT}!"`,
  `#!subst "!sip:<([^>]+)>:${PEER_PORT}!sip:\\1:${PEER_PORT}!"`,
];

/** Before the module htable. */
export const replicationModules = (structure: StructurePlan): readonly string[] =>
  hasReplication(structure)
    ? [
        ...brackets,
        'loadmodule "dmq.so"',
        `modparam("dmq", "server_address", "${uriOf("SIPR_POD_IP")}")`,
        `modparam("dmq", "notification_address", "${uriOf("SIPR_PEERS")}")`,
        `modparam("dmq", "notification_channel", "${peerKeyInCfg}")`,
        // every address of the name; looked up anew as long as nobody is found
        'modparam("dmq", "multi_notify", 1)',
        // of two, one could take a row's later state first
        `modparam("dmq", "num_workers", ${sharesTables(structure) ? 1 : 2})`,
        'modparam("dmq", "ping_interval", 10)',
      ]
    : [];

/** After the module htable: one that starts asks for all rows. */
export const replicatedTables = (structure: StructurePlan): readonly string[] =>
  sharesTables(structure) ? ['modparam("htable", "enable_dmq", 1)', 'modparam("htable", "dmq_init_sync", 1)'] : [];

/** After the module usrloc. Without these sizes a full transfer loses contacts. */
export const replicatedLocation = [
  'loadmodule "dmq_usrloc.so"',
  'modparam("dmq_usrloc", "enable", 1)',
  'modparam("dmq_usrloc", "sync", 1)',
  'modparam("dmq_usrloc", "batch_size", 200)',
  'modparam("dmq_usrloc", "batch_msg_contacts", 50)',
  'modparam("dmq_usrloc", "batch_msg_size", 30000)',
  'modparam("dmq_usrloc", "batch_usleep", 20000)',
  // addresses of the others, who are heard of every 10 s
  'modparam("htable", "htable", "peers=>size=6;autoexpire=60;")',
] as const;

/** A condition in front of a statement: what another replica sends has passed it already. */
export const unlessPeer = (structure: StructurePlan): string =>
  sharesLocation(structure) ? "if ($sht(peers=>$si) == $null) " : "";

/** A condition on $var(host): replicas have addresses of their own in Record-Route, or the one that all advertise. */
export const isReplica = ({ advertise }: StructurePlan): string =>
  `$sht(peers=>$var(host)) != $null${advertise === undefined ? "" : ` || $var(host) == "${advertisedHost("advertise.address", advertise).replaceAll(/[[\]]/g, "")}"`}`;

/** A line in front of what only strangers pass: other replicas send the calls of many. */
export const exceptPeers = (structure: StructurePlan): string =>
  `${sharesLocation(structure) ? "\n  if ($sht(peers=>$si) != $null) return;" : ""}${exceptHandedOver(structure)}`;

/** First lines of `request_route`. */
export const peerRequests = (structure: StructurePlan): string =>
  hasReplication(structure)
    ? `
  if ($Rp == ${PEER_PORT}) {${hearEnd(structure)}${isProved(structure)}
    if (is_method("KDMQ") && ($rU == "${peerKeyInCfg}" || dmq_is_from_node())) {${sharesLocation(structure) ? "\n      $sht(peers=>$si) = 1;" : ""}${notMine(structure)}${meetPeer(structure)}
      dmq_handle_message();
    }${hearHandedOver(structure)}
  }
  # relayed to another replica it would be this one's word
  if (is_method("KDMQ")) exit;`
    : "";
